//! The floor under TLS: `relay.c` with a rustls session on the client's side, and no idea of HTTP.
//!
//! Usage: tls_relay LISTEN_PORT UPSTREAM_PORT CERTIFICATE KEY   (both ports on 127.0.0.1)
//!
//! A frame from the server costs one read, one record and one write, and its share of one poll.
//! Each client has a connection to the server of its own, opened with a blocking connect when its
//! handshake is over, and one side's end ends both. Sessions are rustls' own buffered ones, with
//! tickets and the cryptography that the gateway has: what rustls costs whoever does nothing else.
//!
//! In front of the mock it also is the server of the rows whose upstream is `https://`.

use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConnection};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);
const FRAME: usize = 16 * 1024;
/// Reads of one side in one turn.
const READS: usize = 16;
/// More than this is not read for a peer that does not take it.
const KEPT_MAX: usize = 64 * 1024;

/// A client, and its server once the handshake is over. Tokens are twice the index, plus one for the server.
struct Pair {
    client: TcpStream,
    session: ServerConnection,
    server: Option<TcpStream>,
    /// For the server, which has not taken it.
    kept: Vec<u8>,
    over: bool,
}

struct Relay {
    poll: Poll,
    pairs: Slab<Pair>,
    config: Arc<ServerConfig>,
    upstream: SocketAddr,
    frame: Vec<u8>,
    again: Vec<usize>,
}

fn blocks(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

impl Pair {
    /// Writes records while the kernel takes them.
    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.client) {
                Ok(_) => {}
                Err(error) if blocks(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn give(&mut self) -> io::Result<()> {
        let Some(server) = &mut self.server else { return Ok(()) };
        while !self.kept.is_empty() {
            match server.write(&self.kept) {
                Ok(count) => drop(self.kept.drain(..count)),
                Err(error) if blocks(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Relay {
    fn welcome(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut client = match listener.accept() {
                Ok((client, _)) => client,
                Err(error) if blocks(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            client.set_nodelay(true)?;
            let session =
                ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
            let entry = self.pairs.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut client, Token(2 * entry.key()), interest)?;
            entry.insert(Pair { client, session, server: None, kept: Vec::new(), over: false });
        }
    }

    /// From the client: records in, plaintext out. Whether there may be more.
    fn up(&mut self, index: usize) -> io::Result<bool> {
        let pair = &mut self.pairs[index];
        for _ in 0..READS {
            pair.give()?;
            if pair.kept.len() > KEPT_MAX {
                return Ok(false);
            }
            match pair.session.read_tls(&mut pair.client) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if blocks(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
            let state = pair.session.process_new_packets();
            pair.flush()?;
            let state = state.map_err(io::Error::other)?;
            if state.plaintext_bytes_to_read() > 0 {
                let start = pair.kept.len();
                pair.kept.resize(start + state.plaintext_bytes_to_read(), 0);
                pair.session.reader().read_exact(&mut pair.kept[start..])?;
            }
            if pair.server.is_none() && !pair.session.is_handshaking() {
                let server = std::net::TcpStream::connect(self.upstream)?;
                server.set_nonblocking(true)?;
                server.set_nodelay(true)?;
                let mut server = TcpStream::from_std(server);
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut server, Token(2 * index + 1), interest)?;
                pair.server = Some(server);
            }
            pair.give()?;
            if state.peer_has_closed() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(true)
    }

    /// From the server: plaintext in, records out. Whether there may be more.
    fn down(&mut self, index: usize) -> io::Result<bool> {
        let pair = &mut self.pairs[index];
        let Some(server) = &mut pair.server else { return Ok(false) };
        for _ in 0..READS {
            if pair.session.wants_write() {
                // The client has not taken what there was; its next edge goes on here.
                return Ok(false);
            }
            let count = match server.read(&mut self.frame) {
                Ok(0) => {
                    pair.session.send_close_notify();
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                Ok(count) => count,
                Err(error) if blocks(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            pair.session.writer().write_all(&self.frame[..count])?;
            while pair.session.wants_write() {
                match pair.session.write_tls(&mut pair.client) {
                    Ok(_) => {}
                    Err(error) if blocks(&error) => break,
                    Err(error) => return Err(error),
                }
            }
            if count < FRAME {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Both directions, as far as they go in one turn.
    fn drive(&mut self, index: usize, of_server: bool, of_client: bool) {
        if self.pairs.get(index).is_none_or(|pair| pair.over) {
            return;
        }
        let result = (|| {
            let mut more = false;
            if of_client {
                self.pairs[index].flush()?;
                more |= self.up(index)?;
            }
            if of_server || of_client {
                self.pairs[index].give()?;
                more |= self.down(index)?;
            }
            Ok::<bool, io::Error>(more)
        })();
        match result {
            Ok(true) => self.again.push(index),
            Ok(false) => {}
            Err(_) => {
                let pair = &mut self.pairs[index];
                let _ = pair.flush();
                pair.over = true;
                self.again.push(index);
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, certificate, key] = &arguments[..] else {
        return Err("usage: tls_relay LISTEN_PORT UPSTREAM_PORT CERTIFICATE KEY".into());
    };
    let here =
        |port: &str| Ok::<_, Box<dyn Error>>(SocketAddr::from(([127, 0, 0, 1], port.parse()?)));
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(&fs::read(key)?)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    let poll = Poll::new()?;
    let mut listener = TcpListener::bind(here(listen)?)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut relay = Relay {
        poll,
        pairs: Slab::new(),
        config: Arc::new(config),
        upstream: here(upstream)?,
        frame: vec![0; FRAME],
        again: Vec::new(),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        let rest = std::mem::take(&mut relay.again);
        let wait = (!rest.is_empty()).then_some(std::time::Duration::ZERO);
        match relay.poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let Token(number) = event.token();
            match event.token() {
                LISTENER => relay.welcome(&listener)?,
                _ => relay.drive(number / 2, number % 2 == 1, number % 2 == 0),
            }
        }
        for index in rest {
            // Closed a turn later: until then no event can mean another pair of that number.
            if relay.pairs.get(index).is_some_and(|pair| pair.over) {
                relay.pairs.remove(index);
            } else {
                relay.drive(index, true, true);
            }
        }
    }
}
