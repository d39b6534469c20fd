//! Hand-over: the listening sockets move from one process to the next, with everything that waits in
//! their queues.
//!
//! ```text
//!   predecessor                                  successor
//!     starts the program again; its standard
//!     input is one end of a socket pair
//!     listeners ─────────────────────────────▶   takes them, reads the configuration,
//!                                                starts its workers
//!     drains    ◀───────────────────── READY     serves
//! ```
//!
//! The sockets themselves are passed (SCM_RIGHTS), and not merely their addresses: a listener that is
//! closed takes the connections in its queue with it, even if another listens on the same port.
//!
//! Until READY the predecessor serves alone. A successor that ends before, or says nothing in time,
//! has changed nothing.

use std::env;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use rustix::process::getppid;
use rustix::stdio::{dup2_stdin, stdin};

use super::inherit::{Inherited, Listeners};
use super::syscalls;

/// Tells the successor whose standard input to trust: the process id of its parent.
const VARIABLE: &str = "SLUICEGATE_PREDECESSOR";
/// Set where the last of the sockets is the admin address's.
const ADMIN_VARIABLE: &str = "SLUICEGATE_ADMIN_SOCKET";
/// Sockets in one message, which says in its only byte how many; none in the last one.
const BATCH: usize = 64;
const READY: &[u8] = b"READY\n";
/// A successor reads its sockets as soon as it runs.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A process that is to take our place, on its way.
pub struct Successor {
    process: Child,
    channel: UnixStream,
}

impl Successor {
    /// Starts this program again, as it was started, and sends it these listeners.
    pub fn start(listeners: Listeners) -> io::Result<Successor> {
        let (channel, theirs) = UnixStream::pair()?;
        channel.set_write_timeout(Some(SEND_TIMEOUT))?;
        let mut arguments = env::args_os();
        let program = arguments.next().ok_or(ErrorKind::NotFound)?;
        // The name it was called by, not the file that runs: that one may have been replaced.
        let mut command = Command::new(program);
        command.args(arguments).env(VARIABLE, std::process::id().to_string());
        match listeners.admin {
            Some(_) => command.env(ADMIN_VARIABLE, "last"),
            None => command.env_remove(ADMIN_VARIABLE),
        };
        match syscalls::filter_in_force() {
            Some(filter) => command.env(syscalls::VARIABLE, filter),
            None => command.env_remove(syscalls::VARIABLE),
        };
        let process = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        let mut successor = Successor { process, channel };
        let all: Vec<TcpListener> = listeners.workers.into_iter().chain(listeners.admin).collect();
        if let Err(error) = send(&successor.channel, &all) {
            successor.give_up();
            return Err(error);
        }
        Ok(successor)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it serves. Otherwise it is ended, and the reason is told.
    pub fn wait_until_ready(&mut self, patience: Duration) -> Result<(), String> {
        let mut told = [0; READY.len()];
        let heard = self.channel.set_read_timeout(Some(patience));
        let heard = heard.and_then(|()| self.channel.read_exact(&mut told));
        let reason = match heard {
            Ok(()) if told == READY => return Ok(()),
            Ok(()) => "it said something else than READY".to_owned(),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                // It has closed its end; most likely it is ending.
                return Err(match self.process.wait() {
                    Ok(status) => format!("it ended before it was ready ({status})"),
                    Err(error) => format!("it cannot be waited for: {error}"),
                });
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                format!("it was not ready within {patience:?}")
            }
            Err(error) => error.to_string(),
        };
        self.give_up();
        Err(reason)
    }

    /// Waits for its end; tells how it ended.
    pub fn wait(mut self) -> io::Result<std::process::ExitStatus> {
        self.process.wait()
    }

    fn give_up(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The process whose place we take.
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// Takes the listeners over, if there is a predecessor.
    pub fn find() -> io::Result<Option<(Predecessor, Inherited)>> {
        let named = env::var(VARIABLE).ok().and_then(|pid| pid.parse().ok());
        let parent = getppid().map(|pid| pid.as_raw_nonzero().get());
        if named.is_none() || named != parent {
            return Ok(None);
        }
        let channel = UnixStream::from(fcntl_dupfd_cloexec(stdin(), 3)?);
        dup2_stdin(File::open("/dev/null")?)?;
        let mut workers = receive(&channel)?;
        let admin = env::var_os(ADMIN_VARIABLE).and_then(|_| workers.pop());
        Ok(Some((Predecessor(channel), Inherited::of(Listeners { workers, admin }))))
    }

    /// Tells it that we serve.
    pub fn dismiss(mut self) -> io::Result<()> {
        self.0.write_all(READY)
    }
}

fn send(channel: &UnixStream, listeners: &[TcpListener]) -> io::Result<()> {
    for batch in listeners.chunks(BATCH).chain([&[][..]]) {
        let sockets: Vec<BorrowedFd<'_>> = batch.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
            return Err(io::Error::other("a batch of sockets is larger than its message"));
        }
        // At most BATCH.
        let count = [sockets.len() as u8];
        sendmsg(channel, &[IoSlice::new(&count)], &mut control, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

fn receive(channel: &UnixStream) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    loop {
        let mut count = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut count)];
        let received = recvmsg(channel, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let before = listeners.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(sockets) = message {
                listeners.extend(sockets.map(TcpListener::from));
            }
        }
        if listeners.len() - before != usize::from(count[0]) {
            // The limit of descriptors is the usual reason.
            return Err(io::Error::other("some of the predecessor's sockets did not arrive"));
        }
        if count[0] == 0 {
            break;
        }
    }
    for listener in &listeners {
        if !sockopt::socket_acceptconn(listener)? {
            return Err(io::Error::other("a socket of the predecessor does not listen"));
        }
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Families, listen};

    #[test]
    fn any_number_of_listeners_arrives_with_what_waits_in_them() {
        for count in [0, 1, BATCH, 2 * BATCH + 3] {
            let (here, there) = UnixStream::pair().expect("a pair");
            let sent = listen(([127, 0, 0, 1], 0).into(), count.max(1), Families::Own)
                .expect("a free port");
            let sent = &sent[..count];
            let clients: Vec<_> = sent
                .iter()
                .filter_map(|listener| listener.local_addr().ok())
                .map(|address| std::net::TcpStream::connect(address).expect("it listens"))
                .collect();
            send(&here, sent).expect("there is room");
            let received = receive(&there).expect("they were sent");
            let addresses = |listeners: &[TcpListener]| {
                listeners.iter().map(|one| one.local_addr().ok()).collect::<Vec<_>>()
            };
            assert_eq!(addresses(&received), addresses(sent));
            let accept = |one: &TcpListener| one.incoming().map_while(Result::ok).count();
            assert_eq!(received.iter().map(accept).sum::<usize>(), clients.len());
        }
    }

    #[test]
    fn a_predecessor_that_breaks_off_or_sends_something_else_is_an_error() {
        let (here, there) = UnixStream::pair().expect("a pair");
        drop(here);
        receive(&there).expect_err("nothing came");
        let (here, there) = UnixStream::pair().expect("a pair");
        (&here).write_all(&[3]).expect("there is room");
        receive(&there).expect_err("three sockets were promised");
    }
}
