//! A question to name servers: over UDP, over TCP where the answer does not fit, to the next server where
//! one is silent or will not answer.
//!
//! * The socket is connected, so the kernel drops what comes from elsewhere, and a closed port is known at
//!   once. What has another id or another question is dropped here, and waited on.
//! * Port and id are drawn anew for each question.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::message::{self, Answer, Kind, Reading};
use super::system::System;

/// All servers together, however many there are.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any datagram without EDNS, which is never asked for.
const DATAGRAM_MAX: usize = 4_096;

pub(super) struct Exchange<'s> {
    servers: &'s [SocketAddr],
    timeout: Duration,
    attempts: u32,
    tcp_only: bool,
}

impl<'s> Exchange<'s> {
    pub fn new(servers: &'s [SocketAddr], system: &System) -> Exchange<'s> {
        let System { timeout, attempts, tcp_only, .. } = *system;
        Exchange { servers, timeout, attempts, tcp_only }
    }

    /// The answer of the first server that has one; or why none has, a clause.
    pub fn ask(&self, name: &str, kind: Kind) -> Result<Answer, String> {
        let end = Instant::now() + PATIENCE;
        let mut failure = "there is no name server".to_owned();
        for _ in 0..self.attempts {
            for server in self.servers {
                let until = end.min(Instant::now() + self.timeout);
                if until == end && Instant::now() >= end {
                    return Err(failure);
                }
                match self.ask_one(*server, name, kind, until) {
                    Ok(Reading::Answer(answer)) => return Ok(answer),
                    Ok(Reading::Refused(why)) => failure = format!("{server} answers {why}"),
                    Ok(Reading::Truncated | Reading::Foreign) => {
                        failure = format!("{server} answers something else");
                    }
                    Err(error) if is_timeout(&error) => {
                        failure = format!("{server} does not answer");
                    }
                    Err(error) => failure = format!("{server}: {error}"),
                }
            }
        }
        Err(failure)
    }

    fn ask_one(
        &self,
        server: SocketAddr,
        name: &str,
        kind: Kind,
        until: Instant,
    ) -> io::Result<Reading> {
        let id = random_id();
        let question = message::question(id, name, kind).map_err(io::Error::other)?;
        let read = |bytes: &[u8]| message::read(bytes, id, name, kind);
        if !self.tcp_only {
            match by_udp(server, &question, until, read)? {
                // The time of the other half: a server that has just answered is there.
                Reading::Truncated => {}
                reading => return Ok(reading),
            }
        }
        by_tcp(server, &question, Instant::now() + self.timeout, read)
    }
}

/// Unpredictable: the keys of a hasher are the system's randomness.
fn random_id() -> u16 {
    RandomState::new().hash_one(0u8) as u16
}

fn by_udp(
    server: SocketAddr,
    question: &[u8],
    until: Instant,
    read: impl Fn(&[u8]) -> Reading,
) -> io::Result<Reading> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.send(question)?;
    let mut datagram = [0; DATAGRAM_MAX];
    loop {
        socket.set_read_timeout(Some(left(until)?))?;
        let length = match socket.recv(&mut datagram) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            received => received?,
        };
        match read(&datagram[..length]) {
            Reading::Foreign => {}
            reading => return Ok(reading),
        }
    }
}

fn by_tcp(
    server: SocketAddr,
    question: &[u8],
    until: Instant,
    read: impl Fn(&[u8]) -> Reading,
) -> io::Result<Reading> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes()[..], question].concat();
    stream.set_write_timeout(Some(left(until)?))?;
    stream.write_all(&framed)?;
    let mut length = [0; 2];
    fill(&mut stream, &mut length, until)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    fill(&mut stream, &mut answer, until)?;
    Ok(read(&answer))
}

/// Fills the buffer; the clock runs on while bytes drip.
fn fill(stream: &mut TcpStream, buffer: &mut [u8], until: Instant) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}
