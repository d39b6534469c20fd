//! Counters: what one worker has done, readable from any thread at any time.
//!
//! Each worker owns one [`Counters`] on cache lines of its own and is its only writer, so counting
//! is a plain add without a locked instruction; readers sum over workers. The only way to write is
//! a [`Tally`], and it cannot be cloned.
//!
//! System calls are counted by kind: the floor (one read and one write per token) is visible in
//! production, not only in a test.

use std::ops::Deref;
use std::sync::Arc;

use crate::measure::counter::Counter;
use crate::measure::ends::Ends;
use crate::measure::histogram::Histogram;

/// One worker's numbers. In memory as they are written here: those that every token moves come
/// first and share two lines.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Counters {
    // System calls.
    pub polls: Counter,
    pub reads: Counter,
    pub writes: Counter,
    // Bytes.
    pub bytes_read: Counter,
    pub bytes_written: Counter,
    // Events.
    pub events: Counter,
    /// Data events that were passed on.
    pub data_events: Counter,
    /// Nanoseconds that exchanges have waited, by [`crate::measure::stall::Owner`].
    pub waited: [Counter; 3],
    // Gauges, written once per turn.
    pub downstreams_open: Counter,
    pub upstreams_open: Counter,
    pub buffers_out: Counter,
    // More system calls.
    pub empty_polls: Counter,
    /// Polls that ended much later than they were meant to.
    pub standstills: Counter,
    /// Sleeps before a poll, to find many events at once.
    pub pauses: Counter,
    pub peeks: Counter,
    pub would_block: Counter,
    pub accepts: Counter,
    pub connects: Counter,
    pub registers: Counter,
    /// Events for a socket that is gone: counted, dropped.
    pub stale_events: Counter,
    /// Drives that used up their budget and were queued again.
    pub budget_spent: Counter,
    /// Drives that had to wait for a buffer.
    pub buffers_dry: Counter,
    /// Incomplete heads that were refused because others waited for their buffers.
    pub heads_shed: Counter,
    /// Connections that were closed because nothing was said on them and others waited outside.
    pub silent_shed: Counter,
    // Connections and exchanges.
    pub downstreams_accepted: Counter,
    /// Connections that were turned away because of their address.
    pub connections_refused: Counter,
    pub accepts_exhausted: Counter,
    pub exchanges: Counter,
    pub exchanges_ended: Counter,
    /// Why they ended, and requests that were refused before they became one.
    pub ends: Ends,
    /// Whole answers with a status of 400 to 499: a server would not have the request.
    pub answers_4xx: Counter,
    pub client_gone: Counter,
    pub client_faults: Counter,
    pub upstream_faults: Counter,
    pub local_faults: Counter,
    pub aborted: Counter,
    pub drain_aborted: Counter,
    // The pool.
    pub pool_hits: Counter,
    pub pool_misses: Counter,
    /// Idle connections found dead: closed, or with bytes on them that nobody asked for.
    pub pool_dead: Counter,
    pub pool_waits: Counter,
    /// Times that a request has waited for the model of its upstream.
    pub model_waits: Counter,
    /// Times that another worker was told of a permit that came home here.
    pub queue_calls: Counter,
    pub stale_replays: Counter,
    /// Attempts after the first, at the same upstream.
    pub retries: Counter,
    /// First attempts at the next upstream of a route.
    pub failovers: Counter,
    pub breaker_opened: Counter,
    pub breaker_closed: Counter,
    /// Streams that were told why they break off.
    pub error_events: Counter,
    /// Interim responses that ask a half-closed client whether it is there.
    pub half_close_probes: Counter,
    /// Comments given to silent streams.
    pub heartbeats: Counter,
    /// Times that a stream broke and somebody was asked for the rest of it, that somebody has gone
    /// on with one, and that a server refused to.
    pub continuations_asked: Counter,
    pub continuations_joined: Counter,
    pub continuations_refused: Counter,
    /// Predefined answers given in the upstreams' place.
    pub fallbacks: Counter,
    /// TLS handshakes with clients that were finished, and that failed.
    pub client_handshakes: Counter,
    pub client_handshakes_failed: Counter,
    /// Tokens whose signature was checked, and is good.
    pub tokens_proven: Counter,
    /// Tokens that were looked at and are not believed.
    pub tokens_refused: Counter,
    /// Questions that the authoriser was asked, one for all who wait for it.
    pub auth_questions: Counter,
    /// Requests that it has let in, has not, and has not decided about.
    pub auth_yes: Counter,
    pub auth_no: Counter,
    pub auth_failed: Counter,
    /// Requests that were judged by an answer from before.
    pub auth_remembered: Counter,
    /// The same with servers, where they were finished.
    pub upstream_handshakes: Counter,
    /// Why, in the order of [`crate::measure::hops::RETRY_CAUSES`].
    pub retry_causes: [Counter; 11],
    // Histograms.
    /// Events of a turn.
    pub turn_events: Histogram,
    /// How long a busy turn took, in microseconds.
    pub turn_time: Histogram,
    /// From the request written to the first data event of a stream, in microseconds.
    pub first_event: Histogram,
    /// Between data events of a stream, in microseconds.
    pub event_gap: Histogram,
    /// Whole exchanges, in microseconds.
    pub exchange_time: Histogram,
    /// How long requests have waited for the authoriser, in microseconds.
    pub auth_wait: Histogram,
    /// Turns, one in [`crate::gateway::worker::SAMPLED_TURNS`], in microseconds.
    pub relay_time: Histogram,
    /// In a queue, of those that got out of it, in microseconds.
    pub queue_wait: Histogram,
    /// The steps of exchanges, in the order of [`crate::measure::hops::HOPS`], in microseconds.
    pub hops: [Histogram; 7],
    /// Between two tokens of an answer on the average, in microseconds.
    pub output_token_time: Histogram,
    /// Tokens of prompts and answers, where servers have told.
    pub tokens_in: Histogram,
    pub tokens_out: Histogram,
    /// Data events of those answers whose tokens servers have told.
    pub events_told: Counter,
}

impl Counters {
    /// Exchanges in progress.
    pub fn exchanges_active(&self) -> u64 {
        // Read in this order, a reader on another thread never sees more ends than beginnings.
        let ended = self.exchanges_ended.get();
        self.exchanges.get().saturating_sub(ended)
    }
}

/// The writer's end of one worker's counters.
pub struct Tally(Arc<Counters>);

impl Tally {
    pub fn new(counters: Arc<Counters>) -> Tally {
        Tally(counters)
    }
}

impl Deref for Tally {
    type Target = Counters;
    fn deref(&self) -> &Counters {
        &self.0
    }
}
