//! One client connection: a request out, an answer in, again.
//!
//! ```text
//!   Idle ──ask──▶ Asking ──all written──▶ Head ──final head──▶ Answer ──complete──▶ Idle, or closed
//! ```
//!
//! * Reads go into one scratch buffer that all connections share; only an unfinished head is kept.
//! * The clock is read after each read that brought bytes, so a token's arrival is the moment at
//!   which it is in this process, whatever else is done in the same turn.
//! * Nothing is trusted: heads and bodies are read by the same strict code that the gateway uses
//!   for its upstreams.
//!
//! Absent on purpose: when to ask, and what to do after a failure. See [`super::generator`].

use std::io::ErrorKind;

use super::meter::Meter;
use super::plan::Shape;
use super::record::{Failure, Record};
use super::target::Target;
use crate::clock::Instant;
use crate::http::body::Body;
use crate::http::head::{FieldSlots, HeadLimits, ResponseContext, ResponseHead, parse_response};
use crate::reactor::net::Stream;
use crate::reactor::readiness::Readiness;
use crate::reactor::timer::Alarm;

const HEAD_LIMITS: HeadLimits = HeadLimits { bytes: 64 << 10, fields: 256 };
const CONTEXT: ResponseContext = ResponseContext { head_request: false, upgrade_asked: false };
/// Reads of one connection in one turn.
const READS_MAX: usize = 16;
/// The same of a background: those that are timed must not wait here.
const BACKGROUND_READS_MAX: usize = 1;
/// Writes of one connection in one turn.
const WRITES_MAX: usize = 16;
/// What the filler of a request is made of.
static FILLER: [u8; 64 << 10] = [b'.'; 64 << 10];

/// What every connection needs of the generator.
pub struct Bench<'t> {
    pub target: &'t Target,
    pub shape: Shape,
    pub record: Record,
    pub scratch: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// Nothing is asked, nothing may come.
    Idle,
    Asking {
        written: u64,
    },
    /// What has come of the head so far.
    Head {
        partial: Vec<u8>,
    },
    Answer(Box<Answer>),
}

#[derive(Debug)]
struct Answer {
    body: Body,
    meter: Meter,
    success: bool,
    keep_alive: bool,
    /// When the latest token came.
    latest: Option<Instant>,
}

pub struct Connection<S> {
    pub stream: S,
    pub ready: Readiness,
    pub alarm: Alarm,
    /// Already in the queue of the next run.
    pub queued: bool,
    /// It has ended, and is closed at the end of this turn.
    pub over: bool,
    /// When something was last heard or said.
    pub active: Instant,
    /// Makes work for the server and is not measured.
    background: bool,
    stage: Stage,
    /// Nothing has been written yet, so the connection may still be refused.
    fresh: bool,
    began: Instant,
    /// From when the first token is timed.
    asked: Instant,
    timed_from_due: bool,
}

/// How a drive has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveEnd {
    /// Until the next event.
    Waiting,
    /// There is more to read at once.
    Again,
    /// The answer is complete and the connection may be asked again.
    Answered,
    /// The answer is complete and the connection is not to be used any more.
    AnsweredLast,
    /// The server has closed an idle connection, as it may.
    Retired,
    Failed(Failure),
}

/// Why writing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// The rest has to wait for the socket, or there is none.
    AsMuchAsItTakes,
    /// For one turn: there are others.
    Enough,
}

impl<S: Stream> Connection<S> {
    pub fn new(stream: S, background: bool, now: Instant) -> Connection<S> {
        Connection {
            stream,
            ready: Readiness::born(),
            alarm: Alarm::default(),
            queued: false,
            over: false,
            active: now,
            background,
            stage: Stage::Idle,
            fresh: true,
            began: now,
            asked: now,
            timed_from_due: false,
        }
    }

    /// Begins a request. `due` is when an open loop wanted it.
    pub fn ask(&mut self, due: Option<Instant>, now: Instant) {
        debug_assert!(matches!(self.stage, Stage::Idle));
        self.began = due.unwrap_or(now);
        self.asked = self.began;
        self.timed_from_due = due.is_some();
        self.active = now;
        self.stage = Stage::Asking { written: 0 };
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// When the request in flight began or was due.
    pub fn in_flight_since(&self) -> Option<Instant> {
        (!self.is_idle()).then_some(self.began)
    }

    /// Does what can be done without waiting.
    pub fn drive(&mut self, desk: &mut Bench<'_>, clock: &impl Fn() -> Instant) -> DriveEnd {
        match self.write(desk, clock) {
            Err(failure) => return DriveEnd::Failed(failure),
            Ok(Written::Enough) => return DriveEnd::Again,
            Ok(Written::AsMuchAsItTakes) => {}
        }
        if matches!(self.stage, Stage::Asking { .. }) {
            return DriveEnd::Waiting;
        }
        let mut scratch = std::mem::take(&mut desk.scratch);
        let verdict = self.read(&mut scratch, desk, clock);
        desk.scratch = scratch;
        verdict
    }

    fn write(
        &mut self,
        desk: &mut Bench<'_>,
        clock: &impl Fn() -> Instant,
    ) -> Result<Written, Failure> {
        let Stage::Asking { written } = &mut self.stage else {
            return Ok(Written::AsMuchAsItTakes);
        };
        let target = desk.target;
        let (request, filler) = match self.background {
            true => (&target.background, 0),
            false => (&target.request, target.filler),
        };
        let total = request.len() as u64 + filler;
        for _ in 0..WRITES_MAX {
            if !self.ready.writable() {
                return Ok(Written::AsMuchAsItTakes);
            }
            let offered = part(request, total, *written);
            let result = self.stream.write(offered);
            self.ready.after_write(offered.len(), &result);
            match result {
                Ok(count) => {
                    self.fresh = false;
                    *written += count as u64;
                    if filler > 0 {
                        self.active = clock();
                        desk.record.on_bytes(count, self.active);
                    }
                    if *written == total {
                        self.active = clock();
                        if !self.timed_from_due {
                            self.asked = self.active;
                        }
                        self.stage = Stage::Head { partial: Vec::new() };
                        return Ok(Written::AsMuchAsItTakes);
                    }
                }
                Err(error) => match error.kind() {
                    // A connection that does not stand yet says so in one of these two ways.
                    ErrorKind::WouldBlock | ErrorKind::NotConnected => {
                        return Ok(Written::AsMuchAsItTakes);
                    }
                    ErrorKind::Interrupted => {}
                    _ if self.fresh => return Err(Failure::Connect),
                    _ => return Err(Failure::Broken),
                },
            }
        }
        Ok(Written::Enough)
    }

    fn read(
        &mut self,
        scratch: &mut [u8],
        desk: &mut Bench<'_>,
        clock: &impl Fn() -> Instant,
    ) -> DriveEnd {
        let reads = if self.background { BACKGROUND_READS_MAX } else { READS_MAX };
        for _ in 0..reads {
            if !self.ready.readable() {
                return DriveEnd::Waiting;
            }
            let result = self.stream.read(scratch);
            self.ready.after_read(scratch.len(), &result);
            let count = match result {
                Ok(0) => return self.on_end(desk, clock()),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => continue,
                    _ => return self.on_error(),
                },
            };
            let now = clock();
            self.active = now;
            if self.background {
                desk.record.on_background(count, now);
            } else {
                desk.record.on_bytes(count, now);
            }
            let verdict = self.take(&scratch[..count], desk, now);
            if verdict != DriveEnd::Waiting {
                return verdict;
            }
        }
        DriveEnd::Again
    }

    /// The server will send no more.
    fn on_end(&mut self, desk: &mut Bench<'_>, now: Instant) -> DriveEnd {
        match &mut self.stage {
            Stage::Idle if self.fresh => DriveEnd::Failed(Failure::Connect),
            Stage::Idle => DriveEnd::Retired,
            Stage::Answer(answer) => match answer.body.on_eof() {
                Ok(()) => self.complete(desk, now, false),
                Err(_) => DriveEnd::Failed(Failure::Broken),
            },
            Stage::Asking { .. } | Stage::Head { .. } => DriveEnd::Failed(Failure::Broken),
        }
    }

    fn on_error(&self) -> DriveEnd {
        match self.stage {
            _ if self.fresh => DriveEnd::Failed(Failure::Connect),
            Stage::Idle => DriveEnd::Retired,
            _ => DriveEnd::Failed(Failure::Broken),
        }
    }

    /// Understands bytes that have just come.
    fn take(&mut self, bytes: &[u8], desk: &mut Bench<'_>, now: Instant) -> DriveEnd {
        match &mut self.stage {
            Stage::Idle | Stage::Asking { .. } => DriveEnd::Failed(Failure::Protocol),
            Stage::Answer(_) => self.take_body(bytes, desk, now),
            Stage::Head { partial } if partial.is_empty() => self.take_head(bytes, desk, now),
            Stage::Head { partial } => {
                partial.extend_from_slice(bytes);
                let whole = std::mem::take(partial);
                self.take_head(&whole, desk, now)
            }
        }
    }

    fn take_head(&mut self, bytes: &[u8], desk: &mut Bench<'_>, now: Instant) -> DriveEnd {
        let mut rest = bytes;
        loop {
            let mut slots = FieldSlots::new();
            match parse_response(rest, &mut slots, &HEAD_LIMITS, &CONTEXT) {
                Err(_) => return DriveEnd::Failed(Failure::Protocol),
                Ok(None) => {
                    self.stage = Stage::Head { partial: rest.to_vec() };
                    return DriveEnd::Waiting;
                }
                // An interim answer; the final one follows.
                Ok(Some(head)) if head.status < 200 => rest = &rest[head.length..],
                Ok(Some(head)) => {
                    self.stage = Stage::Answer(Box::new(Answer::new(&head, desk)));
                    rest = &rest[head.length..];
                    return self.take_body(rest, desk, now);
                }
            }
        }
    }

    fn take_body(&mut self, bytes: &[u8], desk: &mut Bench<'_>, now: Instant) -> DriveEnd {
        let Stage::Answer(answer) = &mut self.stage else {
            return DriveEnd::Failed(Failure::Protocol);
        };
        let Answer { body, meter, success, latest, .. } = &mut **answer;
        let (record, asked, background) = (&mut desk.record, self.asked, self.background);
        let stamped = matches!(meter, Meter::Stamped(_));
        let scanned = body.scan(bytes, |data| {
            if !*success || background {
                return;
            }
            meter.feed(data, |sent| {
                if latest.is_none() {
                    record.on_first_token(asked, now);
                }
                record.on_token(sent, *latest, now);
                if stamped && sent.is_none() {
                    record.on_illegible(now);
                }
                *latest = Some(now);
            });
        });
        match scanned {
            Ok(count) if answer.body.is_complete() => {
                self.complete(desk, now, count == bytes.len())
            }
            Ok(_) => DriveEnd::Waiting,
            Err(_) => DriveEnd::Failed(Failure::Protocol),
        }
    }

    /// The answer is whole. `clean`: and nothing came behind it.
    fn complete(&mut self, desk: &mut Bench<'_>, now: Instant, clean: bool) -> DriveEnd {
        let Stage::Answer(answer) = std::mem::replace(&mut self.stage, Stage::Idle) else {
            return DriveEnd::Failed(Failure::Protocol);
        };
        if !(self.background && answer.success) {
            desk.record.on_answer(self.began, answer.success, now);
        }
        if clean && answer.keep_alive { DriveEnd::Answered } else { DriveEnd::AnsweredLast }
    }
}

/// What comes next of a request of `total` bytes, the last of which are filler.
fn part(request: &[u8], total: u64, written: u64) -> &[u8] {
    match usize::try_from(written) {
        Ok(at) if at < request.len() => &request[at..],
        _ => &FILLER[..FILLER.len().min(usize::try_from(total - written).unwrap_or(usize::MAX))],
    }
}

impl Answer {
    fn new(head: &ResponseHead<'_>, desk: &Bench<'_>) -> Answer {
        Answer {
            body: Body::of_response(head.framing),
            meter: desk.target.dialect.meter(desk.shape, head.is_event_stream()),
            success: (200..300).contains(&head.status),
            keep_alive: head.keep_alive && desk.shape != Shape::Churn,
            latest: None,
        }
    }
}

#[cfg(test)]
mod tests;
