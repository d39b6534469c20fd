//! What a service manager is told (systemd's `sd_notify` protocol): a datagram of `KEY=VALUE` lines
//! to the socket that `NOTIFY_SOCKET` names. Without one, nothing happens.
//!
//! `Type=notify-reload` wants `RELOADING=1` with the time of day of CLOCK_MONOTONIC, and `READY=1`
//! when the reload is over, whether it was accepted or refused.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::linux::now;
use crate::clock::Instant;

/// Something the service manager wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    Ready,
    Reloading,
    Stopping,
    /// Another process is the service from now on.
    Successor(u32),
}

/// Tells it. That it cannot be told is no reason for a gateway not to run, so it is only logged.
pub fn notify(state: ServiceState) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(name.as_bytes(), &message(state)) {
        log::warn!("the service manager cannot be told ({state:?}): {error}");
    }
}

fn message(state: ServiceState) -> String {
    match state {
        ServiceState::Ready => "READY=1".into(),
        ServiceState::Reloading => {
            let micros = (now() - Instant::ZERO).as_micros();
            format!("RELOADING=1\nMONOTONIC_USEC={micros}")
        }
        ServiceState::Stopping => "STOPPING=1".into(),
        ServiceState::Successor(pid) => format!("READY=1\nMAINPID={pid}"),
    }
}

fn send(name: &[u8], message: &str) -> io::Result<()> {
    let address = match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reaches_a_socket_by_either_kind_of_name() {
        let path = env::temp_dir().join(format!("sluicegate-notify-{}", std::process::id()));
        let name = path.as_os_str().as_bytes();
        let abstract_name = [b"@", name].concat();
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        let by_path = UnixDatagram::bind(&path).expect("a free name");
        let abstract_one = UnixDatagram::bind_addr(&address).expect("a free name");
        for (name, socket) in [(name, by_path), (&abstract_name, abstract_one)] {
            send(name, &message(ServiceState::Successor(7))).expect("it is there");
            let mut bytes = [0; 64];
            let length = socket.recv(&mut bytes).expect("it was sent");
            assert_eq!(&bytes[..length], b"READY=1\nMAINPID=7");
        }
        std::fs::remove_file(&path).expect("ours");
        send(name, "nobody is there").expect_err("it is gone");
    }
}
