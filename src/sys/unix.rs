//! Unix sockets, in the shape of TCP's.
//!
//! A socket is a descriptor, and what is done with one after its birth is the same for both kinds: read,
//! write, poll, shut down. So a Unix socket lives in the types of TCP, and a token pays no branch for
//! it; only who makes one, takes a connection or asks for an address has to know.
//!
//! | of TCP | on a Unix socket (linux: net/unix/af_unix.c) |
//! |---|---|
//! | a short read means empty | holds: a stream is read over the borders of writes until the buffer is full or nothing is left. A client that sends descriptors along ends a read early, and may wait for its own next byte |
//! | a short write means full | holds: the queue has a limit, and room raises an edge |
//! | RST | there is none. A peer that closes with bytes unread is seen as a reset; ours is a plain end, so that the end of a body without a length or chunks is not told from a break |
//! | SO_REUSEPORT | there is none: workers share one listener, and race for its connections |
//! | TCP_NODELAY, keepalive, acknowledgements | not needed; setting them fails, and nobody minds |
//!
//! * The file of a listener has the mode 0660: its owner and its group may connect.
//! * A file that was left behind is taken away if it is a socket and nobody listens on it. Nothing
//!   else is ever removed.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};

use rustix::fs::{FileType, Mode, chmod, lstat, unlink};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

/// Owner and group may connect.
const MODE: u32 = 0o660;

/// A listener on this path.
pub(super) fn listen(path: &str, backlog: i32) -> io::Result<TcpListener> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_left_behind(path)? => {
            unlink(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    // Before it listens: until then nobody can connect.
    chmod(path, Mode::from_raw_mode(MODE))?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Whether this is a socket on which nobody listens.
fn is_left_behind(path: &str) -> io::Result<bool> {
    if FileType::from_raw_mode(lstat(path)?.st_mode) != FileType::Socket {
        return Ok(false);
    }
    let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
    Ok(dial(path).err().is_some_and(refused))
}

fn dial(path: &str) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        // Its queue is full: nobody tells when there is room, so it counts as refused, for now.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(io::Error::new(ErrorKind::ResourceBusy, error))
        }
        Err(error) => Err(error),
        Ok(()) => Ok(socket),
    }
}

/// A connection to this path. It stands at once, or there is none.
pub fn connect(path: &str) -> io::Result<TcpStream> {
    dial(path).map(TcpStream::from)
}

/// The path that a listener is bound to; `None`: it is no Unix socket.
pub(super) fn path_of_listener(listener: &TcpListener) -> Option<String> {
    let address = SockRef::from(listener).local_addr().ok()?;
    Some(address.as_pathname()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn path(name: &str) -> String {
        let name = format!("sluicegate-unix-{}-{name}", std::process::id());
        std::env::temp_dir().join(name).display().to_string()
    }

    #[test]
    fn a_socket_that_was_left_behind_gives_way_and_nothing_else_does() {
        let path = path("stale");
        let first = listen(&path, 16).expect("a folder");
        assert_eq!(path_of_listener(&first).as_deref(), Some(&*path));
        let taken = listen(&path, 16).expect_err("somebody listens");
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        drop(first);
        let again = listen(&path, 16).expect("it was left behind");
        let mode = lstat(&*path).expect("a file").st_mode & 0o777;
        assert_eq!(mode, MODE);
        drop(again);
        std::fs::remove_file(&path).expect("a socket");
        std::fs::write(&path, "mine").expect("a file");
        listen(&path, 16).expect_err("it is no socket");
        assert_eq!(std::fs::read_to_string(&path).expect("it stays"), "mine");
        std::fs::remove_file(&path).expect("a file");
    }

    /// What `readiness` lives by: a read goes over the borders of writes, and is short when nothing is left.
    #[test]
    fn a_short_read_means_empty() {
        use std::io::Write;
        let (mut here, mut there) = std::os::unix::net::UnixStream::pair().expect("a pair");
        there.set_nonblocking(true).expect("a socket");
        for _ in 0..100 {
            here.write_all(&[b'x'; 37]).expect("there is room");
        }
        let mut buffer = [0; 8192];
        assert_eq!(there.read(&mut buffer).expect("bytes"), 3700);
        let nothing = there.read(&mut buffer).expect_err("nothing is left");
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        here.write_all(&[b'x'; 4000]).expect("there is room");
        assert_eq!(there.read(&mut buffer[..3000]).expect("bytes"), 3000);
        assert_eq!(there.read(&mut buffer).expect("bytes"), 1000);
    }

    #[test]
    fn a_full_queue_is_no_connection() {
        let path = path("full");
        let _listener = listen(&path, 1).expect("a folder");
        let connections: Vec<_> = (0..8).map(|_| connect(&path)).collect();
        let refused = connections.into_iter().find_map(Result::err).expect("it is full");
        assert_eq!(refused.kind(), ErrorKind::ResourceBusy);
        std::fs::remove_file(&path).expect("a socket");
        assert_eq!(connect(&path).expect_err("gone").kind(), ErrorKind::NotFound);
    }
}
