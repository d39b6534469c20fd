//! One connection to the server, and the request that it carries.
//!
//! ```text
//!   (handshake) ─▶ idle ──ask──▶ sending ──all written──▶ head ──▶ body ──whole──▶ idle, or closed
//! ```
//!
//! * The bytes of a connection are those of a [`Socket`], so a sealed one is measured by the same code.
//! * The clock is read after each read that brought bytes, and each chunk in it gets that instant.
//! * Heads and bodies are read by the gateway's own strict code; nothing is trusted.
//!
//! Absent on purpose: when to ask, and what follows a failure. See [`super::load`].

use std::io::ErrorKind;
use std::time::Duration;

use super::api::Api;
use super::outcome::{Failure, Outcome};
use super::reading::{Reading, Usage};
use super::workload::Job;
use crate::clock::Instant;
use crate::http::body::Body;
use crate::http::head::{FieldSlots, HeadLimits, Media, ResponseContext, parse_response};
use crate::reactor::net::Stream;
use crate::reactor::timer::Alarm;
use crate::wire::sealed::Handshake;
use crate::wire::socket::{Desk, Fill, Socket};
use crate::wire::transport::{Alert, AlertCause};

/// A head has to fit into the buffer that it is read into.
const HEAD_LIMITS: HeadLimits = HeadLimits { bytes: 16 << 10, fields: 256 };
const CONTEXT: ResponseContext = ResponseContext { head_request: false, upgrade_asked: false };
/// Steps of one connection in one turn.
const STEPS_MAX: usize = 16;
/// So much of a request waits for the wire at once.
const PIECE: usize = 16 << 10;

/// What a connection tells while it is driven.
pub trait Listener {
    /// The clock.
    fn now(&self) -> Instant;
    /// Whether what comes at this instant is measured.
    fn measures(&self, now: Instant) -> bool;
    /// So long after the chunk before it, a chunk has come.
    fn on_gap(&mut self, gap: Duration);
}

enum Stage {
    /// So many bytes of the request are given to the socket.
    Sending {
        given: usize,
    },
    Head,
    Body {
        body: Body,
        reading: Box<Reading>,
        status: u16,
        keep: bool,
    },
}

/// A request under way.
pub struct Call {
    pub outcome: Outcome,
    pub job: Job,
    request: Vec<u8>,
    stage: Stage,
    /// Something of an answer has come.
    pub heard: bool,
}

impl Call {
    /// `due` is when it was to be sent, `sent` when a connection is asked for or the first byte written.
    pub fn new(index: u64, job: Job, request: Vec<u8>, due: Instant, sent: Instant) -> Call {
        let outcome = Outcome {
            job: index,
            due,
            sent,
            first: None,
            last: None,
            end: sent,
            chunks: 0,
            chunks_measured: 0,
            longest_gap: None,
            usage: Usage::default(),
            asked_input: job.input,
            asked_output: job.output,
            streamed: false,
            result: Ok(()),
        };
        Call { outcome, job, request, stage: Stage::Sending { given: 0 }, heard: false }
    }

    /// The same from its beginning, for another connection.
    pub fn again(self) -> Call {
        Call { stage: Stage::Sending { given: 0 }, ..self }
    }
}

/// How a drive has ended.
pub enum DriveEnd {
    /// Until the next event.
    Waiting,
    /// There is more to do at once.
    Again,
    /// The answer is whole. `keep`: the connection may be asked again.
    Answered { call: Box<Call>, told: String, keep: bool },
    /// The server has closed an idle connection, as it may.
    Retired,
    /// It is over, with the request that it had, which knows why.
    Failed { call: Option<Box<Call>>, told: String },
}

pub struct Connection<S> {
    pub socket: Socket<S>,
    pub alarm: Alarm,
    /// Already in the queue of the next run.
    pub queued: bool,
    /// It has ended, and is closed at the end of this turn.
    pub over: bool,
    /// When something was last heard or said.
    pub active: Instant,
    /// Answers that it has carried.
    pub answers: u64,
    call: Option<Box<Call>>,
    /// Nothing has been written or read yet, so it may still be refused.
    fresh: bool,
}

/// Why a step went no further.
enum Stop {
    Wait,
    Again,
    End,
    Failed(Failure, String),
}

impl<S: Stream> Connection<S> {
    pub fn new(socket: Socket<S>, now: Instant) -> Connection<S> {
        Connection {
            socket,
            alarm: Alarm::default(),
            queued: false,
            over: false,
            active: now,
            answers: 0,
            call: None,
            fresh: true,
        }
    }

    pub fn ask(&mut self, call: Box<Call>, now: Instant) {
        debug_assert!(self.call.is_none());
        self.active = now;
        self.call = Some(call);
    }

    pub fn is_idle(&self) -> bool {
        self.call.is_none()
    }

    /// Takes the request off it, whatever has become of it.
    pub fn take_call(&mut self) -> Option<Box<Call>> {
        self.call.take()
    }

    /// Does what can be done without waiting.
    pub fn drive(&mut self, api: Api, desk: &mut Desk, listener: &mut impl Listener) -> DriveEnd {
        for _ in 0..STEPS_MAX {
            let stop = match self.step(api, desk, listener) {
                Ok(()) => continue,
                Err(stop) => stop,
            };
            match stop {
                Stop::Wait => return DriveEnd::Waiting,
                Stop::Again => return DriveEnd::Again,
                Stop::End => return self.complete(listener),
                Stop::Failed(..) if self.call.is_none() && !self.fresh => return DriveEnd::Retired,
                Stop::Failed(failure, told) => {
                    let mut call = self.call.take();
                    if let Some(call) = &mut call {
                        call.outcome.end = listener.now();
                        call.outcome.result = Err(failure);
                    }
                    return DriveEnd::Failed { call, told };
                }
            }
        }
        DriveEnd::Again
    }

    fn step(
        &mut self,
        api: Api,
        desk: &mut Desk,
        listener: &mut impl Listener,
    ) -> Result<(), Stop> {
        self.shake_hands(desk, listener)?;
        match self.write(desk) {
            // A server may refuse a request that it has not read to its end.
            Err(Stop::Wait) if !self.fresh && self.socket.readable() => {}
            written => written?,
        }
        self.read(api, desk, listener)
    }

    fn shake_hands(&mut self, desk: &mut Desk, listener: &impl Listener) -> Result<(), Stop> {
        if !self.socket.is_shaking_hands() {
            return Ok(());
        }
        let step = self.socket.shake_hands(desk);
        self.active = listener.now();
        match step {
            Ok(Handshake::Done) => {
                self.fresh = false;
                Ok(())
            }
            Ok(Handshake::Waits) => Err(Stop::Wait),
            Ok(Handshake::More | Handshake::Dry) => Err(Stop::Again),
            Err(error) if error.kind() == ErrorKind::NotConnected => Err(Stop::Wait),
            Err(error) => Err(match self.socket.alert() {
                Some(alert) => Stop::Failed(Failure::Tls, said(alert)),
                None if error.kind() == ErrorKind::UnexpectedEof => {
                    Stop::Failed(Failure::Tls, "it was closed inside the handshake".to_owned())
                }
                None => Stop::Failed(Failure::Connect, error.to_string()),
            }),
        }
    }

    fn write(&mut self, desk: &mut Desk) -> Result<(), Stop> {
        let Some(call) = &mut self.call else { return Ok(()) };
        while let Stage::Sending { given } = &mut call.stage {
            if !self.socket.has_unsent() {
                let rest = call.request.get(*given..).unwrap_or_default();
                if rest.is_empty() {
                    self.fresh = false;
                    call.stage = Stage::Head;
                    return Ok(());
                }
                let piece = &rest[..rest.len().min(PIECE)];
                self.socket.outbox.push(piece, &mut desk.buffers);
                *given += piece.len();
            }
            match self.socket.flush(None, desk) {
                Ok(_) if self.socket.has_unsent() => return Err(Stop::Wait),
                Ok(_) => self.fresh = false,
                Err(error) if error.kind() == ErrorKind::NotConnected => return Err(Stop::Wait),
                Err(error) if self.fresh => {
                    return Err(Stop::Failed(Failure::Connect, error.to_string()));
                }
                // It may have answered already, and then closed: that is read first.
                Err(_) => {
                    self.socket.outbox.clear(&mut desk.buffers);
                    call.stage = Stage::Head;
                }
            }
        }
        Ok(())
    }

    fn read(
        &mut self,
        api: Api,
        desk: &mut Desk,
        listener: &mut impl Listener,
    ) -> Result<(), Stop> {
        if !self.socket.readable() {
            return Err(Stop::Wait);
        }
        let broken = |told: &str| Stop::Failed(Failure::Broken, told.to_owned());
        match self.socket.fill(desk) {
            Ok(Fill::Bytes(_)) => {}
            Ok(Fill::Sealed(_)) => return Ok(()),
            Ok(Fill::WouldBlock) => return Err(Stop::Wait),
            Ok(Fill::Dry) => return Err(Stop::Again),
            Ok(Fill::Full) => return Err(protocol("a head of more than 16 KiB")),
            Ok(Fill::Closed) => return Err(self.on_end()),
            Err(_) if self.call.is_none() => return Err(broken("")),
            Err(error) if self.fresh => {
                return Err(Stop::Failed(Failure::Connect, error.to_string()));
            }
            Err(error) => return Err(broken(&error.to_string())),
        }
        self.active = listener.now();
        let Some(call) = &mut self.call else {
            return Err(protocol("bytes that nobody has asked for"));
        };
        call.heard = true;
        let bytes = self.socket.unscanned();
        let (count, verdict) = call.take(bytes, api, self.active, listener);
        self.socket.discard(count, desk);
        verdict
    }

    /// The server will send no more.
    fn on_end(&mut self) -> Stop {
        let broken = |told: &str| Stop::Failed(Failure::Broken, told.to_owned());
        match self.call.as_mut().map(|call| &mut call.stage) {
            Some(Stage::Body { body, keep, .. }) => {
                *keep = false;
                match body.on_eof() {
                    Ok(()) => Stop::End,
                    Err(_) => broken("the connection was closed inside the answer"),
                }
            }
            _ => broken("the connection was closed before an answer"),
        }
    }

    /// The answer is whole as HTTP. Whether it is one as an answer is asked here.
    fn complete(&mut self, listener: &mut impl Listener) -> DriveEnd {
        let now = self.active;
        self.answers += 1;
        let Some(mut call) = self.call.take() else { return DriveEnd::Retired };
        let stage = std::mem::replace(&mut call.stage, Stage::Head);
        let Stage::Body { mut reading, status, keep, .. } = stage else {
            call.outcome.result = Err(Failure::Protocol);
            return DriveEnd::Failed { call: Some(call), told: String::new() };
        };
        let success = (200..300).contains(&status);
        let chunks = if success { reading.end() } else { 0 };
        call.outcome.on_chunks(chunks, now, listener);
        call.outcome.usage = reading.usage();
        call.outcome.end = now;
        let (result, told) = match () {
            () if !success => (Err(Failure::Status(status)), reading.told()),
            () if reading.error().is_some() => {
                (Err(Failure::Inside), reading.error().unwrap_or_default().to_owned())
            }
            () if reading.has_ended() => (Ok(()), String::new()),
            () if reading.chunks() > 0 || reading.is_stream() => {
                (Err(Failure::Incomplete), "the stream just ended".to_owned())
            }
            () => (Err(Failure::Incomplete), "nothing of an answer was in it".to_owned()),
        };
        call.outcome.result = result;
        DriveEnd::Answered { call, told, keep }
    }
}

/// Why there is no session, and what may help.
#[cold]
fn said(alert: Alert) -> String {
    match alert.cause {
        AlertCause::UnknownIssuer => format!("{}: `--ca FILE` names who is", alert.why),
        _ => alert.why.to_owned(),
    }
}

fn protocol(told: &str) -> Stop {
    Stop::Failed(Failure::Protocol, told.to_owned())
}

impl Outcome {
    fn on_chunks(&mut self, count: u64, now: Instant, listener: &mut impl Listener) {
        let measured = listener.measures(now);
        for _ in 0..count {
            self.chunks += 1;
            self.chunks_measured += u64::from(measured);
            if let Some(last) = self.last.replace(now) {
                let gap = now - last;
                self.longest_gap = Some(self.longest_gap.map_or(gap, |longest| longest.max(gap)));
                if measured {
                    listener.on_gap(gap);
                }
            } else {
                self.first = Some(now);
            }
        }
    }
}

impl Call {
    /// Understands bytes that have just come. Returns how many of them are done with.
    fn take(
        &mut self,
        bytes: &[u8],
        api: Api,
        now: Instant,
        listener: &mut impl Listener,
    ) -> (usize, Result<(), Stop>) {
        let mut done = 0;
        while !matches!(self.stage, Stage::Body { .. }) {
            let mut slots = FieldSlots::new();
            let head = match parse_response(&bytes[done..], &mut slots, &HEAD_LIMITS, &CONTEXT) {
                Err(_) => return (done, Err(protocol("what came is no HTTP"))),
                Ok(None) => return (done, Ok(())),
                Ok(Some(head)) => head,
            };
            done += head.length;
            // An interim answer; the final one follows.
            if head.status < 200 {
                continue;
            }
            if head.encoded {
                return (
                    done,
                    Err(protocol("the answer is compressed, and nobody asked for that")),
                );
            }
            let success = (200..300).contains(&head.status);
            let (events, lines) = (head.is_event_stream(), head.media == Media::JsonLines);
            let reading = Box::new(Reading::new(api, success, events, lines));
            // An answer to half a request: the rest of that would be read as the next one.
            let keep = head.keep_alive && matches!(self.stage, Stage::Head);
            let (body, status) = (Body::of_response(head.framing), head.status);
            self.outcome.streamed = reading.is_stream();
            self.stage = Stage::Body { body, reading, status, keep };
        }
        let Stage::Body { body, reading, keep, .. } = &mut self.stage else {
            return (done, Ok(()));
        };
        let mut chunks = 0;
        let scanned = body.scan(&bytes[done..], |data| chunks += reading.feed(data));
        let complete = body.is_complete();
        self.outcome.on_chunks(chunks, now, listener);
        match scanned {
            Err(_) => (done, Err(protocol("the framing of the answer is wrong"))),
            Ok(count) if complete => {
                *keep &= done + count == bytes.len();
                (bytes.len(), Err(Stop::End))
            }
            Ok(count) => (done + count, Ok(())),
        }
    }
}
