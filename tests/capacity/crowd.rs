//! A crowd: thousands of clients on one thread, each with one stamped stream of the mock server.
//!
//! The mock stamps each token with the monotonic clock, which is one for all processes of a
//! machine: the age of a stamp on arrival is the time the token was under way.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{ClockId, clock_gettime};

use crate::harness::PATIENCE;

/// Connections under way at once: fewer than a listener's queue holds.
const CONNECTING: usize = 256;

/// What happened to a crowd.
#[derive(Debug, Default)]
pub struct Report {
    /// How long each token was under way, sorted.
    pub delays: Vec<Duration>,
    /// Streams that came to the end of their message.
    pub complete: usize,
    /// Streams that did not, and why.
    pub failed: Vec<String>,
    /// Connections that were reset before a byte came, and made once more. One is forgiven: among
    /// ten thousand loopback connections one may get the port of a server of an earlier test, and
    /// meet what is left of a connection between the same two ports (TIME_WAIT).
    pub tried_again: usize,
}

impl Report {
    /// The delay that this share of the tokens did not exceed.
    pub fn delay(&self, share: f64) -> Duration {
        let last = self.delays.len().saturating_sub(1);
        self.delays[(last as f64 * share) as usize]
    }

    pub fn show(&self, what: &str) {
        println!(
            "{what}: {} streams, {} tokens; under way p50 {:?}, p99 {:?}, worst {:?}",
            self.complete,
            self.delays.len(),
            self.delay(0.5),
            self.delay(0.99),
            self.delay(1.0),
        );
    }
}

struct Client {
    stream: TcpStream,
    asked: bool,
    over: bool,
    begun: bool,
    /// A byte has come.
    heard: bool,
    /// The digits of the number that is being read.
    digits: u32,
    number: u64,
    tail: [u8; 7],
}

/// Opens `count` streams with `request` and reads them to their end. Calls `all_run` once, when
/// each has received its first token.
pub fn crowd(address: SocketAddr, count: usize, request: &str, all_run: impl FnOnce()) -> Report {
    let mut poll = Poll::new().expect("a poller");
    let mut events = Events::with_capacity(4096);
    let mut clients: Vec<Client> = Vec::with_capacity(count);
    let mut report = Report::default();
    let (mut asked, mut begun, mut over) = (0, 0, 0);
    let mut all_run = Some(all_run);
    let mut quiet = Instant::now();
    while over < count {
        while clients.len() < count && clients.len() - asked < CONNECTING {
            clients.push(Client::connect(address, &poll, clients.len()));
        }
        poll.poll(&mut events, Some(Duration::from_secs(1))).expect("a poller");
        if !events.is_empty() {
            quiet = Instant::now();
        }
        assert!(quiet.elapsed() < PATIENCE, "{over} of {count} are over, none goes on");
        for event in &events {
            let client = &mut clients[event.token().0];
            let (had_asked, had_begun) = (client.asked, client.begun);
            if client.over {
                continue;
            }
            if let Err(reason) = client.go_on(request, &mut report.delays) {
                if !client.heard && report.tried_again == 0 {
                    report.tried_again += 1;
                    asked -= usize::from(had_asked);
                    *client = Client::connect(address, &poll, event.token().0);
                    continue;
                }
                report.failed.push(reason);
                client.over = true;
            }
            asked += usize::from(!had_asked && (client.asked || client.over));
            begun += usize::from(!had_begun && (client.begun || client.over));
            over += usize::from(client.over);
        }
        if begun == count
            && let Some(all_run) = all_run.take()
        {
            all_run();
        }
    }
    report.complete = count - report.failed.len();
    report.delays.sort();
    report
}

impl Client {
    fn connect(address: SocketAddr, poll: &Poll, index: usize) -> Client {
        let mut stream = TcpStream::connect(address).expect("a descriptor and a port");
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(index), both).expect("a poller");
        Client {
            stream,
            asked: false,
            over: false,
            begun: false,
            heard: false,
            digits: 0,
            number: 0,
            tail: [0; 7],
        }
    }

    fn go_on(&mut self, request: &str, delays: &mut Vec<Duration>) -> Result<(), String> {
        if !self.asked {
            match self.stream.write(request.as_bytes()) {
                Ok(sent) => assert_eq!(sent, request.len(), "a request fits a socket"),
                Err(error) if is_pending(&error) => return Ok(()),
                Err(error) => return Err(format!("connect: {error}")),
            }
            self.asked = true;
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(format!("broken off, tail {:?}", self.tail.escape_ascii())),
                Ok(count) => self.take(&buffer[..count], delays),
                Err(error) if is_pending(&error) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
            if self.tail == *b"\r\n0\r\n\r\n" {
                self.over = true;
                return Ok(());
            }
        }
    }

    /// Finds the stamps: twenty digits and a space.
    fn take(&mut self, bytes: &[u8], delays: &mut Vec<Duration>) {
        let now = clock_gettime(ClockId::Monotonic);
        let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        self.heard = true;
        for &byte in bytes {
            self.tail.rotate_left(1);
            self.tail[6] = byte;
            if byte.is_ascii_digit() {
                self.digits += 1;
                self.number = self.number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                continue;
            }
            if byte == b' ' && self.digits == 20 {
                self.begun = true;
                delays.push(Duration::from_nanos(now.saturating_sub(self.number)));
            }
            (self.digits, self.number) = (0, 0);
        }
    }
}

fn is_pending(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}
