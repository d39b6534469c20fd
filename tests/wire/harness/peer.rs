//! One end of a raw connection, in the hands of a test.
//!
//! It keeps every byte it has received and when, and reads messages out of them on request.
//! `read_…` consumes; [`Peer::received`] always tells of everything.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::message::{Message, parse_fields};
use super::{PATIENCE, WATCH};

/// A client's socket, or the one that a scripted server has accepted.
pub struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
    /// After which number of bytes each read ended, and when.
    arrivals: Vec<(usize, Instant)>,
    consumed: usize,
    end: Option<End>,
}

/// How the other side ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Fin,
    Reset,
}

impl Peer {
    pub fn connect(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the gateway accepts");
        Peer::of(stream)
    }

    pub fn of(stream: TcpStream) -> Peer {
        stream.set_nonblocking(false).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Peer { stream, received: Vec::new(), arrivals: Vec::new(), consumed: 0, end: None }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the gateway takes what is sent");
    }

    /// As [`Peer::send`], where the other side may have left already.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends FIN.
    pub fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("an open connection");
    }

    /// Closes with RST.
    pub fn reset(self) {
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(&self.stream).set_linger(linger).expect("a socket");
    }

    /// Everything that has been received, consumed or not.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// When the byte at this place of [`Peer::received`] arrived.
    pub fn arrival(&self, index: usize) -> Instant {
        let read = self.arrivals.iter().find(|(end, _)| index < *end);
        read.unwrap_or_else(|| panic!("byte {index} has not arrived")).1
    }

    /// When the last byte of the first `text` in [`Peer::received`] arrived.
    pub fn arrival_of(&self, text: &str) -> Instant {
        let start = find(&self.received, text.as_bytes())
            .unwrap_or_else(|| panic!("{text:?} has not arrived: {}", self.transcript()));
        self.arrival(start + text.len() - 1)
    }

    /// The bytes that were received and not read by any of the methods below.
    pub fn unread(&self) -> &[u8] {
        &self.received[self.consumed..]
    }

    /// Waits for `count` more bytes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        while self.unread().len() < count {
            self.receive_or_panic(&format!("{count} bytes"));
        }
        self.consume(count)
    }

    /// Waits for `text`, and gives everything up to its end.
    pub fn read_until(&mut self, text: &str) -> Vec<u8> {
        loop {
            if let Some(start) = find(self.unread(), text.as_bytes()) {
                return self.consume(start + text.len());
            }
            self.receive_or_panic(&format!("{text:?}"));
        }
    }

    /// Waits for a head, request or response.
    pub fn read_head(&mut self) -> Message {
        Message::of_head(&self.read_until("\r\n\r\n"))
    }

    /// Waits for a whole request.
    pub fn read_request(&mut self) -> Message {
        let mut message = self.read_head();
        self.read_body(&mut message, false);
        message
    }

    /// Waits for a whole response to anything but HEAD. An interim one has no body and is given.
    pub fn read_response(&mut self) -> Message {
        let mut message = self.read_head();
        if !matches!(message.status(), 100..=199 | 204 | 304) {
            self.read_body(&mut message, true);
        }
        message
    }

    /// Reads the first response of the connection, of which parts were read already, as a whole.
    pub fn reread_response(&mut self) -> Message {
        self.consumed = 0;
        self.read_response()
    }

    fn read_body(&mut self, message: &mut Message, until_close: bool) {
        if message.field("transfer-encoding") == Some("chunked") {
            self.read_chunks(message);
        } else if let Some(length) = message.field("content-length") {
            message.body = self.read(length.parse().expect("a length"));
            message.framed = message.body.clone();
        } else if until_close {
            assert_eq!(self.read_end(), End::Fin, "a body that ends with its connection");
            message.body = self.consume(self.unread().len());
            message.framed = message.body.clone();
        }
    }

    fn read_chunks(&mut self, message: &mut Message) {
        let start = self.consumed;
        loop {
            let line = self.read_until("\r\n");
            let size = line.split(|&byte| byte == b';' || byte == b'\r').next().unwrap_or_default();
            let size = std::str::from_utf8(size).expect("a chunk's size");
            let size = usize::from_str_radix(size, 16)
                .unwrap_or_else(|error| panic!("{error}: {size:?}: {}", self.transcript()));
            if size == 0 {
                break;
            }
            message.body.extend(self.read(size));
            assert_eq!(self.read(2), b"\r\n", "a chunk's end");
        }
        let mut trailers = Vec::new();
        while !trailers.ends_with(b"\r\n\r\n") && trailers != b"\r\n" {
            trailers.extend(self.read_until("\r\n"));
        }
        message.trailers = parse_fields(std::str::from_utf8(&trailers).expect("trailers"));
        message.framed = self.received[start..self.consumed].to_vec();
    }

    /// Waits for the other side to end the connection; what still comes is kept, unread.
    pub fn read_end(&mut self) -> End {
        loop {
            if let Some(end) = self.end {
                return end;
            }
            self.receive_or_panic("the end of the connection");
        }
    }

    /// Whether the other side has ended the connection, as far as was read.
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// The next whole request, or `None` if the connection ends before it comes.
    pub fn next_request(&mut self) -> Option<Message> {
        while find(self.unread(), b"\r\n\r\n").is_none() {
            let known = self.received.len();
            self.receive(PATIENCE);
            if self.received.len() == known {
                return None;
            }
        }
        Some(self.read_request())
    }

    /// Waits for the other side to end the connection, if it does.
    pub fn wait_end(&mut self) -> Option<End> {
        let deadline = Instant::now() + PATIENCE;
        while self.end.is_none() && Instant::now() < deadline {
            self.receive(PATIENCE);
        }
        self.end
    }

    /// Asserts that nothing comes for a while, neither a byte nor the end.
    pub fn expect_silence(&mut self) {
        let (unread, before) = (self.unread().len(), self.end);
        self.receive(WATCH);
        assert_eq!((self.unread().len(), self.end), (unread, before), "{}", self.transcript());
    }

    /// What was received, for a panic's message.
    pub fn transcript(&self) -> String {
        let shown = &self.received[self.received.len().saturating_sub(4096)..];
        format!("received {:?}, end {:?}", String::from_utf8_lossy(shown), self.end)
    }

    fn consume(&mut self, count: usize) -> Vec<u8> {
        self.consumed += count;
        self.received[self.consumed - count..self.consumed].to_vec()
    }

    fn receive_or_panic(&mut self, awaited: &str) {
        let known = self.received.len();
        self.receive(PATIENCE);
        let arrived = self.received.len() > known || self.end.is_some();
        assert!(arrived, "{awaited} did not come: {}", self.transcript());
        if self.end.is_some() && awaited != "the end of the connection" {
            assert!(
                self.received.len() > known,
                "the end came instead of {awaited}: {}",
                self.transcript()
            );
        }
    }

    /// One read, if something comes within `patience`.
    pub fn receive(&mut self, patience: Duration) {
        if self.end.is_some() {
            return;
        }
        self.stream.set_read_timeout(Some(patience)).expect("a socket");
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.end = Some(End::Fin),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                self.arrivals.push((self.received.len(), Instant::now()));
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => self.end = Some(End::Reset),
                _ => panic!("{error}"),
            },
        }
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, text)
}
