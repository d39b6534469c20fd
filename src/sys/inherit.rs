//! Inherited listeners: sockets that this process was given instead of binding them.
//!
//! They come from a service manager (systemd's socket activation, `LISTEN_FDS`) or from a
//! predecessor that hands over to us. Either way their queues were filled before we came, and
//! nobody is refused in between.
//!
//! Where there are fewer sockets than workers, more are bound beside them if they allow it
//! (SO_REUSEPORT), else workers share one and race for its connections. Where there are more, none
//! is left alone: a worker may have several.
//!
//! The admin address has one socket of its own. A predecessor says which one it is, because with
//! port 0 its address would not tell.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use socket2::SockRef;

use super::listen::{Families, bind_beside, listen};
use super::unix;
use crate::reactor::net::{path_of, stand_in};

/// The listening sockets of a process.
#[derive(Debug, Default)]
pub struct Listeners {
    pub workers: Vec<TcpListener>,
    pub admin: Option<TcpListener>,
}

impl Listeners {
    /// Second descriptors of all of them.
    pub fn try_clone(&self) -> io::Result<Listeners> {
        Ok(Listeners {
            workers: self.workers.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?,
            admin: self.admin.as_ref().map(TcpListener::try_clone).transpose()?,
        })
    }
}

/// Listeners that were given to us and are not in use yet.
#[derive(Debug, Default)]
pub struct Inherited(Listeners);

impl Inherited {
    /// What a service manager has passed. To be called before the process has a second thread or
    /// another descriptor.
    pub fn from_service_manager() -> io::Result<Inherited> {
        let mut given = ListenFd::from_env();
        let count = given.len();
        let mut take = |index| match given.take_unix_listener(index) {
            Ok(unix) => Ok(unix.map(|unix| TcpListener::from(OwnedFd::from(unix)))),
            // It is of another kind.
            Err(_) => given.take_tcp_listener(index),
        };
        let listeners = (0..count).filter_map(|index| take(index).transpose());
        let workers = listeners.collect::<io::Result<_>>()?;
        Ok(Inherited::of(Listeners { workers, admin: None }))
    }

    pub(super) fn of(listeners: Listeners) -> Inherited {
        Inherited(listeners)
    }

    /// Whether there is one for this address.
    pub fn holds(&self, address: SocketAddr) -> bool {
        self.0.workers.iter().any(|listener| is_on(listener, address))
    }

    /// Listeners on `address` for `workers` workers, each with at least one: the inherited ones if
    /// there are any, else new ones. Port 0 takes the first that are left, so it is asked for behind the
    /// addresses that name theirs.
    pub fn listen(
        &mut self,
        address: SocketAddr,
        workers: usize,
        families: Families,
    ) -> io::Result<Vec<Vec<TcpListener>>> {
        let mut sockets = self.take(address);
        match sockets.first() {
            None => sockets = listen(address, workers, families)?,
            Some(first) if unix::path_of_listener(first).is_some() => {
                for index in sockets.len()..workers {
                    sockets.push(sockets[index % sockets.len()].try_clone()?);
                }
                sockets.iter().try_for_each(prepare)?;
            }
            Some(first) => {
                let address = first.local_addr()?;
                for socket in &sockets {
                    prepare(socket)?;
                }
                let alone = !SockRef::from(first).reuse_port()?;
                // It was bound by somebody else, who has decided that.
                let only_v6 = address.is_ipv4() || SockRef::from(first).only_v6()?;
                let families = if only_v6 { Families::Own } else { Families::Both };
                for index in sockets.len()..workers {
                    let another = if alone {
                        sockets[index % sockets.len()].try_clone()?
                    } else {
                        match bind_beside(address, families) {
                            // A socket that root has bound takes none of another user's beside it, and a
                            // low port none at all: two workers share one.
                            Err(error) if is_anothers(&error) => {
                                sockets[index % sockets.len()].try_clone()?
                            }
                            bound => bound?,
                        }
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

    /// The listener of the admin address: the one that was inherited, or a new one.
    pub fn listen_admin(
        &mut self,
        address: SocketAddr,
        families: Families,
    ) -> io::Result<TcpListener> {
        let own = self.0.admin.take_if(|listener| is_on(listener, address));
        // A service manager does not say what its sockets are for; an address of its own does.
        let named = |listeners: Vec<TcpListener>| listeners.into_iter().next();
        let given = match own {
            None if address.port() != 0 => named(self.take(address)),
            own => own,
        };
        match given {
            Some(listener) => prepare(&listener).map(|()| listener),
            None => {
                let missing = || io::Error::other("one listener was asked for");
                listen(address, 1, families)?.pop().ok_or_else(missing)
            }
        }
    }

    /// The ones that nobody has asked for are closed. Returns where they listened.
    pub fn close_rest(self) -> Vec<SocketAddr> {
        let rest = self.0.workers.iter().chain(&self.0.admin);
        let address = |listener: &TcpListener| match unix::path_of_listener(listener) {
            Some(path) => Some(stand_in(&path)),
            None => listener.local_addr().ok(),
        };
        rest.filter_map(address).collect()
    }

    /// Those on an address. Of port 0, those of one port: another one that is asked for by 0 is another
    /// listener's, where clients may have to speak otherwise.
    fn take(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        let first = self.0.workers.iter().find(|listener| is_on(listener, address));
        let address = match first.map(TcpListener::local_addr) {
            Some(Ok(bound)) if path_of(address).is_none() => bound,
            _ => address,
        };
        let all = std::mem::take(&mut self.0.workers);
        let (ours, others) = all.into_iter().partition(|listener| is_on(listener, address));
        self.0.workers = others;
        ours
    }
}

/// Whether it is bound to `address`. Port 0 is whichever port it has.
fn is_on(listener: &TcpListener, address: SocketAddr) -> bool {
    if let Some(path) = path_of(address) {
        return unix::path_of_listener(listener).as_deref() == Some(path);
    }
    listener
        .local_addr()
        .is_ok_and(|bound| bound == address || (address.port() == 0 && bound.ip() == address.ip()))
}

/// What our own listeners are from their birth.
fn prepare(listener: &TcpListener) -> io::Result<()> {
    if unix::path_of_listener(listener).is_none() {
        SockRef::from(listener).set_tcp_nodelay(true)?;
    }
    listener.set_nonblocking(true)
}

/// Whether an address that is ours was bound by who we are no more.
fn is_anothers(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    fn inherited(workers: Vec<TcpListener>) -> Inherited {
        Inherited::of(Listeners { workers, admin: None })
    }

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
            let mut inherited =
                inherited(listen(ANY, sockets, Families::Own).expect("a free port"));
            let address = inherited.0.workers[0].local_addr().expect("bound");
            let seats = inherited.listen(address, workers, Families::Own).expect("they are ours");
            assert_eq!(counts(&seats), expected);
            assert_eq!(waiting(&seats, 64), 64);
        }
    }

    #[test]
    fn a_socket_that_allows_no_other_is_shared() {
        let alone = TcpListener::bind(ANY).expect("a free port");
        let mut inherited = inherited(vec![alone]);
        let seats = inherited.listen(ANY, 3, Families::Own).expect("port 0 is the port it has");
        assert_eq!(counts(&seats), [1, 1, 1]);
        assert_eq!(waiting(&seats, 8), 8);
    }

    #[test]
    fn two_ports_that_are_asked_for_by_0_stay_two() {
        let two = || listen(ANY, 2, Families::Own).expect("a free port");
        let sockets: Vec<TcpListener> = [two(), two()].into_iter().flatten().collect();
        let on = |listener: &TcpListener| listener.local_addr().expect("bound");
        let bound = [on(&sockets[0]), on(&sockets[2])];
        let mut inherited = inherited(sockets);
        for expected in bound {
            let seats = inherited.listen(ANY, 2, Families::Own).expect("they are ours");
            assert_eq!(counts(&seats), [1, 1]);
            assert!(seats.iter().flatten().all(|listener| on(listener) == expected));
        }
        assert_eq!(inherited.close_rest(), []);
    }

    #[test]
    fn what_nobody_asks_for_is_closed() {
        let mut inherited = inherited(listen(ANY, 2, Families::Own).expect("a free port"));
        let address = inherited.0.workers[0].local_addr().expect("bound");
        let other = listen(ANY, 1, Families::Own)
            .expect("a free port")
            .remove(0)
            .local_addr()
            .expect("bound");
        assert_eq!(counts(&inherited.listen(other, 1, Families::Own).expect("free again")), [1]);
        assert_eq!(inherited.close_rest(), [address, address]);
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn the_admin_address_keeps_its_socket_and_takes_nobody_elses() {
        let sockets = || listen(ANY, 1, Families::Own).expect("a free port").remove(0);
        let (worker, admin, spare) = (sockets(), sockets(), sockets());
        let on = |listener: &TcpListener| listener.local_addr().expect("bound");
        let (worker_address, admin_address) = (on(&worker), on(&admin));
        let given = || {
            let listeners = Listeners {
                workers: vec![worker.try_clone().expect("a descriptor")],
                admin: Some(admin.try_clone().expect("a descriptor")),
            };
            Inherited::of(listeners)
        };
        // Port 0 names both: each has its own.
        let mut both = given();
        assert_eq!(on(&both.listen(ANY, 1, Families::Own).expect("given")[0][0]), worker_address);
        assert_eq!(on(&both.listen_admin(ANY, Families::Own).expect("given")), admin_address);
        assert!(both.close_rest().is_empty());
        // Where there was no admin address, port 0 is a new port.
        let mut none = Inherited::of(Listeners { admin: None, ..given().0 });
        assert!(
            ![worker_address, admin_address]
                .contains(&on(&none.listen_admin(ANY, Families::Own).expect("new")))
        );
        // It has moved; and a service manager's is known by its address.
        let moved = on(&spare);
        let mut moving = given();
        moving.0.workers.push(spare);
        assert_eq!(on(&moving.listen_admin(moved, Families::Own).expect("given")), moved);
        assert_eq!(moving.close_rest(), [worker_address, admin_address]);
    }
}
