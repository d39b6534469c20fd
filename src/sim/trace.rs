//! What happened in a world, in order: a digest always, the words when asked for.
//!
//! The digest is the proof of determinism: the same seed gives the same digest, so a failure that
//! is replayed is the same failure. The words are for the person who replays it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;

use super::link::Bits;
use super::random::mix;
use crate::clock::Instant;
use crate::reactor::token::Token;

/// Which way bytes go, seen from the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    In,
    Out,
}

/// Something that happened. `link` is the number of the connection it happened to.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Note {
    // What the worker did.
    Told { link: usize, token: Token, bits: Bits },
    ToldStale { token: Token },
    Read { link: usize, length: usize, room: usize },
    ReadEnd { link: usize },
    Wrote { link: usize, length: usize, offered: usize },
    WouldBlock { link: usize, call: &'static str },
    Failed { link: usize, call: &'static str, kind: ErrorKind },
    Peeked { link: usize, length: usize },
    Accepted { link: usize },
    Connecting { link: usize },
    Registered { link: usize, token: Token },
    ShutDown { link: usize },
    Dropped { link: usize, reset: bool },
    // What the network did.
    Arrived { link: usize, direction: Direction, length: usize, fin: bool },
    ResetArrived { link: usize, direction: Direction },
    Stands { link: usize },
    Refused { link: usize },
    Fault { what: &'static str },
    // What the peers did.
    PeerConnected { link: usize, peer: usize },
    PeerSent { link: usize, length: usize, fin: bool },
    PeerReset { link: usize },
    PeerClosed { link: usize },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Note::Told { link, token, bits } => write!(f, "#{link} event {token:?} {bits}"),
            Note::ToldStale { token } => write!(f, "   event {token:?} of a dropped socket"),
            Note::Read { link, length, room } => write!(f, "#{link} read {length} of {room}"),
            Note::ReadEnd { link } => write!(f, "#{link} read 0: end"),
            Note::Wrote { link, length, offered } => {
                write!(f, "#{link} wrote {length} of {offered}")
            }
            Note::WouldBlock { link, call } => write!(f, "#{link} {call} would block"),
            Note::Failed { link, call, kind } => write!(f, "#{link} {call} failed: {kind:?}"),
            Note::Peeked { link, length } => write!(f, "#{link} peeked {length}"),
            Note::Accepted { link } => write!(f, "#{link} accepted"),
            Note::Connecting { link } => write!(f, "#{link} connecting"),
            Note::Registered { link, token } => write!(f, "#{link} registered as {token:?}"),
            Note::ShutDown { link } => write!(f, "#{link} shut down for writing"),
            Note::Dropped { link, reset: false } => write!(f, "#{link} dropped"),
            Note::Dropped { link, reset: true } => write!(f, "#{link} dropped with a RST"),
            Note::Arrived { link, direction, length, fin } => {
                let arrow = if direction == Direction::In { "-> worker" } else { "-> peer" };
                write!(f, "#{link} {arrow} {length} bytes{}", if fin { " + FIN" } else { "" })
            }
            Note::ResetArrived { link, direction: Direction::In } => {
                write!(f, "#{link} -> worker RST")
            }
            Note::ResetArrived { link, direction: Direction::Out } => {
                write!(f, "#{link} -> peer RST")
            }
            Note::Stands { link } => write!(f, "#{link} connection stands"),
            Note::Refused { link } => write!(f, "#{link} connection refused"),
            Note::Fault { what } => write!(f, "   fault: {what}"),
            Note::PeerConnected { link, peer } => write!(f, "#{link} peer {peer} connects"),
            Note::PeerSent { link, length, fin } => {
                write!(f, "#{link} peer sends {length}{}", if fin { " + FIN" } else { "" })
            }
            Note::PeerReset { link } => write!(f, "#{link} peer resets"),
            Note::PeerClosed { link } => write!(f, "#{link} peer closes"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Trace {
    digest: Digest,
    lines: Option<Vec<(Instant, Note)>>,
}

impl Trace {
    /// Keeps the words from here on.
    pub fn record(&mut self) {
        self.lines.get_or_insert_default();
    }

    pub fn note(&mut self, now: Instant, note: Note) {
        (now, note).hash(&mut self.digest);
        if let Some(lines) = &mut self.lines {
            lines.push((now, note));
        }
    }

    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// What was recorded, without the first `seen` notes.
    pub fn since(&self, seen: usize) -> &[(Instant, Note)] {
        self.lines.as_deref().and_then(|lines| lines.get(seen..)).unwrap_or_default()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (now, note) in self.lines.iter().flatten() {
            let nanos = now.as_nanos();
            writeln!(f, "{:>6}.{:09} {note}", nanos / 1_000_000_000, nanos % 1_000_000_000)?;
        }
        Ok(())
    }
}

/// A hasher without a key: the same notes give the same number in every process.
#[derive(Clone, Debug, Default)]
struct Digest(u64);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0.rotate_left(5) ^ word);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
