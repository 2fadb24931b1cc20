//! A peer's address as records and ids carry it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Address and port of a client or broker, as stored in messages and offset message ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    pub ip: IpAddr,
    /// Ports are 16 bits, but the record gives them 32 and old data may use them.
    pub port: i32,
}

impl Host {
    pub fn is_ipv6(&self) -> bool {
        self.ip.is_ipv6()
    }
}

impl From<SocketAddr> for Host {
    fn from(addr: SocketAddr) -> Self {
        // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d; records must hold the short form, as Java's do.
        Self { ip: addr.ip().to_canonical(), port: i32::from(addr.port()) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}
