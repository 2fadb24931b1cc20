//! Facts of the machine that stand in for settings nobody gave.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;

/// Java: `NetworkUtil.getLocalHostName`.
pub(super) fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

/// The address this machine reaches others from: that of the default route, or else what the host name stands for.
///
/// Java takes the last private IPv4 address in the order of its interfaces, which may well be that of a container bridge
/// or a VPN.
pub(super) fn own_address() -> Option<IpAddr> {
    default_route().or_else(|| {
        let addresses = (host_name()?, 0).to_socket_addrs().ok()?;
        addresses.map(|address| address.ip()).find(|ip| ip.is_ipv4() && is_reachable(*ip))
    })
}

/// To connect a datagram socket sends nothing; it makes the system choose a route and with it a source address.
fn default_route() -> Option<IpAddr> {
    // An address for documents (RFC 5737), which hardly any machine has a route of its own to.
    let anywhere = SocketAddr::from((Ipv4Addr::new(203, 0, 113, 1), 9));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(anywhere).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| is_reachable(*ip))
}

fn is_reachable(ip: IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified()
}

/// Java's default: `~/store`.
pub(super) fn store_folder() -> PathBuf {
    env::home_dir().unwrap_or_default().join("store")
}

/// A variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}
