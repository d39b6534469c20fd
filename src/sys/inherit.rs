//! Inherited listeners: sockets that this process was given instead of binding them.
//!
//! They come from a service manager (systemd's socket activation, `LISTEN_FDS`) or from a
//! predecessor that hands over to us. Either way their queues were filled before we came, and
//! nobody is refused in between.
//!
//! Where there are fewer sockets than workers, more are bound beside them if they allow it
//! (SO_REUSEPORT), else workers share one and race for its connections. Where there are more, none
//! is left alone: a worker may have several.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use socket2::SockRef;

use super::listen::{bind_beside, listen};

/// Listeners that were given to us and are not in use yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<TcpListener>);

impl Inherited {
    /// What a service manager has passed. To be called before the process has a second thread or
    /// another descriptor.
    pub fn from_service_manager() -> io::Result<Inherited> {
        let mut given = ListenFd::from_env();
        let listeners =
            (0..given.len()).filter_map(|index| given.take_tcp_listener(index).transpose());
        listeners.collect::<io::Result<_>>().map(Inherited)
    }

    pub(super) fn of(listeners: Vec<TcpListener>) -> Inherited {
        Inherited(listeners)
    }

    /// Listeners on `address` for `workers` workers, each with at least one: the inherited ones if
    /// there are any, else new ones.
    pub fn listen(
        &mut self,
        address: SocketAddr,
        workers: usize,
    ) -> io::Result<Vec<Vec<TcpListener>>> {
        let mut sockets = self.take(address);
        match sockets.first() {
            None => sockets = listen(address, workers)?,
            Some(first) => {
                let address = first.local_addr()?;
                for socket in &sockets {
                    prepare(socket)?;
                }
                let alone = !SockRef::from(first).reuse_port()?;
                for index in sockets.len()..workers {
                    let another = if alone {
                        sockets[index % sockets.len()].try_clone()?
                    } else {
                        bind_beside(address)?
                    };
                    sockets.push(another);
                }
            }
        }
        let mut seats: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
        for (index, socket) in sockets.into_iter().enumerate() {
            seats[index % workers].push(socket);
        }
        Ok(seats)
    }

    /// The ones that nobody has asked for are closed. Returns where they listened.
    pub fn close_rest(self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Those bound to `address`. Port 0 is whichever port they have.
    fn take(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        let is_it = |listener: &TcpListener| {
            listener.local_addr().is_ok_and(|bound| {
                bound == address || (address.port() == 0 && bound.ip() == address.ip())
            })
        };
        let (ours, others) = std::mem::take(&mut self.0).into_iter().partition(is_it);
        self.0 = others;
        ours
    }
}

/// What our own listeners are from their birth.
fn prepare(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    listener.set_nonblocking(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    fn counts(seats: &[Vec<TcpListener>]) -> Vec<usize> {
        seats.iter().map(Vec::len).collect()
    }

    /// Connects `count` times and looks where the connections wait. Returns how many were found.
    fn waiting(seats: &[Vec<TcpListener>], count: usize) -> usize {
        let address = seats[0][0].local_addr().expect("bound");
        let clients: Vec<_> = (0..count).map(|_| TcpStream::connect(address)).collect();
        assert!(clients.iter().all(Result::is_ok));
        seats
            .iter()
            .flatten()
            .map(|listener| listener.incoming().map_while(Result::ok).count())
            .sum()
    }

    #[test]
    fn every_socket_is_served_and_every_worker_has_one() {
        for (sockets, workers, expected) in
            [(3, 3, vec![1, 1, 1]), (3, 2, vec![2, 1]), (2, 4, vec![1; 4])]
        {
            let mut inherited = Inherited(listen(ANY, sockets).expect("a free port"));
            let address = inherited.0[0].local_addr().expect("bound");
            let seats = inherited.listen(address, workers).expect("they are ours");
            assert_eq!(counts(&seats), expected);
            assert_eq!(waiting(&seats, 64), 64);
        }
    }

    #[test]
    fn a_socket_that_allows_no_other_is_shared() {
        let alone = TcpListener::bind(ANY).expect("a free port");
        let mut inherited = Inherited(vec![alone]);
        let seats = inherited.listen(ANY, 3).expect("port 0 is the port it has");
        assert_eq!(counts(&seats), [1, 1, 1]);
        assert_eq!(waiting(&seats, 8), 8);
    }

    #[test]
    fn what_nobody_asks_for_is_closed() {
        let mut inherited = Inherited(listen(ANY, 2).expect("a free port"));
        let address = inherited.0[0].local_addr().expect("bound");
        let other = listen(ANY, 1).expect("a free port").remove(0).local_addr().expect("bound");
        assert_eq!(counts(&inherited.listen(other, 1).expect("free again")), [1]);
        assert_eq!(inherited.close_rest(), [address, address]);
        assert!(TcpStream::connect(address).is_err());
    }
}
