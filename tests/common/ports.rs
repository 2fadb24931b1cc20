//! Ports for the servers of tests.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nobody listens on, and neither on the two below, one of which is a broker's fast port, nor on the one above,
/// where slaves connect. No connection of another test is given it meanwhile, as it is below those that the system gives
/// away.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 1000) as u16 * 20;
    loop {
        let port = 10_000 + (first + NEXT.fetch_add(4, Ordering::Relaxed)) % 20_000;
        if (port - 2..=port + 1).all(|port| TcpListener::bind(("0.0.0.0", port)).is_ok()) {
            return port;
        }
    }
}
