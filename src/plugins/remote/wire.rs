//! The connection to a plugin behind a socket, and its two threads.
//!
//! The writer owns the connection: it writes what is asked, opens a new one where the old has broken, and answers
//! what nobody has answered in time. A reader lives as long as its connection.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Stream;
use super::frame::{self, Hello};
use crate::plugins::settings::PluginSettings;
use crate::plugins::{AnswerSlot, Edits, HookFailed, Wake};

/// The codes of calls that fail on this side of the socket.
pub(super) const LATE: HookFailed = HookFailed(-1003);
pub(super) const BROKEN: HookFailed = HookFailed(-1004);
/// A longer line or body ends the connection.
const LINE_BYTES_MAX: u64 = 1 << 20;
const BODY_BYTES_MAX: usize = 64 << 20;
/// How often the writer looks for questions that are late.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Between two tries to connect.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// What a worker leaves for the plugin.
pub(super) struct Question {
    pub frame: Vec<u8>,
    /// Its id, where the answer goes, and who is to be told; `None`: nothing is answered.
    pub asked: Option<(u64, Arc<AnswerSlot>, Wake)>,
}

pub(super) fn next_id() -> u64 {
    static ID: AtomicU64 = AtomicU64::new(1);
    ID.fetch_add(1, Ordering::Relaxed)
}

/// A question that has no answer yet.
struct Asked {
    slot: Arc<AnswerSlot>,
    wake: Wake,
    until: Instant,
}

type Open = Arc<Mutex<HashMap<u64, Asked>>>;

/// Where a plugin is, and what was asked of it.
pub(super) struct Line {
    name: String,
    path: String,
    config: String,
    timeout: Duration,
    open: Open,
}

fn locked(open: &Open) -> std::sync::MutexGuard<'_, HashMap<u64, Asked>> {
    // Nothing is left half done by a panic.
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn give(asked: Asked, result: crate::plugins::HookResult, edits: Edits) {
    asked.slot.put(result, edits);
    (asked.wake)();
}

impl Line {
    pub fn new(settings: &PluginSettings) -> Line {
        Line {
            name: settings.name.clone(),
            path: settings.source.path.clone(),
            config: settings.source.config.clone(),
            timeout: settings.timeout,
            open: Open::default(),
        }
    }

    /// Connects, and hears what the plugin says of itself. An error: the rest of a sentence about it.
    pub fn open(&self) -> Result<(Stream, Hello), String> {
        let failed = |error: std::io::Error| match error.kind() {
            // A blocking socket whose timeout ran out says `WouldBlock` on Linux.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("{} has not said who it is in time", self.path)
            }
            _ => format!("{} cannot be asked: {error}", self.path),
        };
        let mut stream = Stream::connect(&self.path).map_err(failed)?;
        stream.set_write_timeout(Some(self.timeout)).map_err(failed)?;
        stream.write_all(&frame::open(&self.config)).map_err(failed)?;
        // Byte by byte: what follows the line is for the reader.
        let mut line = Vec::new();
        let mut byte = [0];
        let deadline = Instant::now() + self.timeout;
        while line.last() != Some(&b'\n') && (line.len() as u64) < LINE_BYTES_MAX {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(failed(ErrorKind::TimedOut.into()));
            }
            stream.set_read_timeout(Some(left)).map_err(failed)?;
            stream.read_exact(&mut byte).map_err(failed)?;
            line.push(byte[0]);
        }
        let line: Value = serde_json::from_slice(&line)
            .map_err(|error| format!("{} has said what is no JSON: {error}", self.path))?;
        let hello = frame::hello(&line)?;
        stream.set_read_timeout(None).map_err(failed)?;
        Ok((stream, hello))
    }

    /// Writes what is asked, until nobody asks any more.
    pub fn run(self, stream: Stream, questions: &Receiver<Question>) {
        let mut connection = self.read_from(stream);
        let mut tried = Instant::now();
        loop {
            match questions.recv_timeout(LOOK_EVERY) {
                Ok(question) => {
                    let broken = connection.as_ref().is_none_or(Connection::is_broken);
                    if broken && tried.elapsed() >= RETRY_AFTER {
                        tried = Instant::now();
                        connection = self.again();
                    }
                    self.write(&mut connection, question);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.answer_late();
        }
        if let Some(connection) = connection {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
        log::info!("plugin {} is let go", self.name);
    }

    fn again(&self) -> Option<Connection> {
        match self.open() {
            Ok((stream, _)) => {
                log::info!("plugin {} is connected again", self.name);
                self.read_from(stream)
            }
            Err(why) => {
                log::warn!("plugin {} {why}", self.name);
                None
            }
        }
    }

    fn write(&self, connection: &mut Option<Connection>, question: Question) {
        let Question { frame, asked } = question;
        let id = asked.map(|(id, slot, wake)| {
            let until = Instant::now() + self.timeout;
            locked(&self.open).insert(id, Asked { slot, wake, until });
            id
        });
        let written = match connection.as_mut().filter(|connection| !connection.is_broken()) {
            Some(connection) => connection.stream.write_all(&frame).is_ok(),
            None => false,
        };
        if written {
            return;
        }
        *connection = None;
        let asked = id.and_then(|id| locked(&self.open).remove(&id));
        if let Some(asked) = asked {
            give(asked, Err(BROKEN), Edits::default());
        }
    }

    /// Answers what the plugin has not answered in time.
    fn answer_late(&self) {
        let now = Instant::now();
        let late: Vec<Asked> = {
            let mut open = locked(&self.open);
            let ids: Vec<u64> =
                open.iter().filter(|(_, it)| it.until <= now).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| open.remove(id)).collect()
        };
        late.into_iter().for_each(|asked| give(asked, Err(LATE), Edits::default()));
    }

    /// Starts a reader for a connection.
    fn read_from(&self, stream: Stream) -> Option<Connection> {
        let broken = Arc::new(AtomicBool::new(false));
        let reader = stream.try_clone().ok()?;
        let (open, gone) = (Arc::clone(&self.open), Arc::clone(&broken));
        let started =
            thread::Builder::new().name(format!("plugin-{}", self.name)).spawn(move || {
                read_answers(reader, &open);
                gone.store(true, Ordering::Relaxed);
                // Nobody answers what was asked on this connection.
                let asked: Vec<Asked> = locked(&open).drain().map(|(_, asked)| asked).collect();
                asked.into_iter().for_each(|asked| give(asked, Err(BROKEN), Edits::default()));
            });
        started.ok().map(|_| Connection { stream, broken })
    }
}

/// A connection, and whether its reader has met its end.
struct Connection {
    stream: Stream,
    broken: Arc<AtomicBool>,
}

impl Connection {
    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// Reads answers until the connection ends, or says what is none.
fn read_answers(stream: Stream, open: &Open) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        match (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let Ok(line) = serde_json::from_slice::<Value>(&line) else { return };
        let length = line.as_object().map_or(0, frame::body_length);
        if length > BODY_BYTES_MAX {
            return;
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let Some((id, result, edits)) = frame::answer(&line, body) else { return };
        let asked = locked(open).remove(&id);
        if let Some(asked) = asked {
            give(asked, result, edits);
        }
    }
}
