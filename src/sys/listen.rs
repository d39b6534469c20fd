//! Listeners: one SO_REUSEPORT socket per worker and address.
//!
//! The kernel hashes connections over them, so workers share nothing. A process that merely binds
//! with SO_REUSEPORT would also share a port with a stranger of the same user and take half of its
//! connections; so the port is asked for alone, first.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::unix;
use crate::reactor::net::{Keepalive, path_of};

/// Connections the kernel may hold for us; it caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Whose connections a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// Those of its own family.
    Own,
    /// Of both: `[::]`, where nobody listens on the port for IPv4.
    Both,
}

/// `count` non-blocking listeners on `address`. Port 0 is chosen once and shared by all.
pub fn listen(
    address: SocketAddr,
    count: usize,
    families: Families,
) -> io::Result<Vec<TcpListener>> {
    if let Some(path) = path_of(address) {
        // Nothing is shared between sockets on a path, so the workers share one.
        let listener = unix::listen(path, BACKLOG)?;
        return (0..count).map(|_| listener.try_clone()).collect();
    }
    let alone = socket(address, families)?;
    alone.bind(&address.into())?;
    alone.listen(1)?;
    let address = local_address(&alone)?;
    drop(alone);
    (0..count).map(|_| bind_beside(address, families)).collect()
}

/// One more listener on an address that is ours already.
pub(super) fn bind_beside(address: SocketAddr, families: Families) -> io::Result<TcpListener> {
    let socket = socket(address, families)?;
    socket.set_reuse_port(true)?;
    // Inherited by accepted sockets: a token must not wait for an acknowledgement.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// How connections that are accepted here are asked whether their peer is there. Said before anybody
/// accepts: a connection has what its listener had when it came.
pub fn keep_alive(listener: &TcpListener, keepalive: Option<Keepalive>) {
    set_keep_alive(SockRef::from(listener), keepalive.map(tcp_keepalive).as_ref());
}

pub(super) fn tcp_keepalive(keepalive: Keepalive) -> TcpKeepalive {
    let Keepalive { idle, interval, probes } = keepalive;
    TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes)
}

pub(super) fn set_keep_alive(listener: SockRef<'_>, keepalive: Option<&TcpKeepalive>) {
    // If it fails, only timers notice that a peer has vanished.
    let _ = match keepalive {
        Some(keepalive) => listener.set_tcp_keepalive(keepalive),
        None => listener.set_keepalive(false),
    };
}

fn socket(address: SocketAddr, families: Families) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a predecessor that are in TIME_WAIT do not keep us from its port.
    socket.set_reuse_address(true)?;
    // Said either way, so that the system's `bindv6only` decides nothing.
    if address.is_ipv6() {
        socket.set_only_v6(families == Families::Own)?;
    }
    Ok(socket)
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    let address = socket.local_addr()?.as_socket();
    address.ok_or_else(|| io::Error::other("the listener has no internet address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_a_port_and_strangers_do_not() {
        let any = ([127, 0, 0, 1], 0).into();
        let ours = listen(any, 3, Families::Own).expect("a free port");
        let address = ours[0].local_addr().expect("bound");
        assert!(ours.iter().all(|listener| listener.local_addr().ok() == Some(address)));
        let taken = listen(address, 1, Families::Own).expect_err("the port is taken");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn each_family_has_a_listener_of_its_own_or_one_has_both() {
        let everywhere = SocketAddr::from(([0u16; 8], 0));
        let Ok(both) = listen(everywhere, 2, Families::Both) else {
            return eprintln!("SKIPPED: this machine has no IPv6");
        };
        let port = both[0].local_addr().expect("bound").port();
        let reached = |host: &str| std::net::TcpStream::connect((host, port)).is_ok();
        assert!(reached("127.0.0.1"), "whatever bindv6only says");
        assert!(reached("::1") || std::net::TcpListener::bind("[::1]:0").is_err());
        // Somebody else's port for IPv4 is told, and not shadowed.
        let four = listen(([0, 0, 0, 0], port).into(), 1, Families::Own);
        assert_eq!(four.expect_err("it is taken").kind(), io::ErrorKind::AddrInUse);
        drop(both);
        let four = listen(([0, 0, 0, 0], 0).into(), 1, Families::Own).expect("a port");
        let port = four[0].local_addr().expect("bound").port();
        let six = listen(([0u16; 8], port).into(), 1, Families::Own);
        assert!(six.is_ok(), "side by side: {six:?}");
        let shadow = listen(([0u16; 8], port).into(), 1, Families::Both);
        assert!(shadow.is_err(), "the IPv4 half is taken");
    }
}
