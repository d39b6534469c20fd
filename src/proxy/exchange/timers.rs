//! The timers of an exchange: a function of where it stands, so that arming one is a comparison and no
//! state of its own.

use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::ExchangeTimeouts;
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault, UpstreamFault};

/// What an exchange is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the request's body, which decides where it goes.
    Gathering,
    /// Waiting for a place at the upstream.
    Queued,
    /// Waiting for the upstream's model: its server loads it, or is being started.
    AwaitingModel,
    /// Waiting for the next attempt.
    Pausing,
    Connecting,
    /// The request is being written.
    WritingRequest,
    /// The request is written; no data event (no body byte) of the response yet.
    AwaitingFirst,
    Streaming,
    Tunnel,
}

/// When things last happened. All instants are those of the turn they were noticed in.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    pub started: Instant,
    /// Its last step towards a server began: the search for a place, and then the connect.
    pub step_began: Instant,
    /// How long it waits for a place, or for a model, while it waits.
    pub queued_until: Instant,
    /// A byte of the request arrived or was written on.
    pub request_moved: Instant,
    /// Since when the server has had the request and owes an answer: the last byte was written, or a pause
    /// that the client caused ended. When it was written stays in the attempt's hops.
    pub request_written: Instant,
    /// The last data event (body byte), or the end of a pause that the client caused.
    pub event: Instant,
    /// A byte passed, in either direction.
    pub moved: Instant,
    /// Since when the client takes nothing more, if it does not.
    pub client_blocked: Option<Instant>,
}

impl Timeline {
    pub fn new(now: Instant) -> Timeline {
        Timeline {
            started: now,
            step_began: now,
            queued_until: Instant::NEVER,
            request_moved: now,
            request_written: now,
            event: now,
            moved: now,
            client_blocked: None,
        }
    }

    /// An attempt begins: a place is sought. What held an earlier one up says nothing of this one.
    pub fn seek(&mut self, now: Instant) {
        self.step_began = now;
        self.client_blocked = None;
    }

    /// There is a place, and a connection is given or begun. What came before, the wait for the
    /// place above all, is not its time.
    pub fn connect(&mut self, now: Instant) {
        (self.step_began, self.request_moved) = (now, now);
    }

    /// Nobody was listened to for so long: it counts as nobody's silence. Only the exchange as a
    /// whole is as old as it is.
    pub fn excuse(&mut self, lost: Duration) {
        let Timeline {
            started: _,
            step_began,
            queued_until,
            request_moved,
            request_written,
            event,
            moved,
            client_blocked,
        } = self;
        for instant in [step_began, queued_until, request_moved, request_written, event, moved] {
            *instant += lost;
        }
        if let Some(since) = client_blocked {
            *since += lost;
        }
    }
}

/// When it is worth to come again for a model that has not been loaded in time.
const MODEL_HINT: Duration = Duration::from_secs(5);

/// The timers of an exchange. Each has its own status and code before the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    Queue,
    Model,
    Connect,
    Body,
    UpstreamWrite,
    Ttft,
    Response,
    InterEvent,
    FeedIdle,
    ClientWrite,
    Total,
    TunnelIdle,
}

impl Timer {
    pub fn fault(self) -> Fault {
        match self {
            Timer::Queue => {
                Fault::Local(LocalFault::QueueTimeout { retry_after: Duration::ZERO, lack: None })
            }
            Timer::Model => Fault::Local(LocalFault::ModelLoading { retry_after: MODEL_HINT }),
            Timer::Connect => Fault::Upstream(UpstreamFault::ConnectTimeout),
            Timer::Body => Fault::Downstream(DownstreamFault::BodyTimeout),
            Timer::UpstreamWrite => Fault::Upstream(UpstreamFault::WriteTimeout),
            Timer::Ttft => Fault::Upstream(UpstreamFault::TtftTimeout),
            Timer::Response => Fault::Upstream(UpstreamFault::ResponseTimeout),
            Timer::InterEvent => Fault::Upstream(UpstreamFault::InterEventTimeout),
            Timer::ClientWrite => Fault::Downstream(DownstreamFault::WriteTimeout),
            Timer::Total => Fault::Upstream(UpstreamFault::TotalTimeout),
            Timer::TunnelIdle | Timer::FeedIdle => Fault::Downstream(DownstreamFault::TunnelIdle),
        }
    }
}

/// What kind of answer is awaited: by the request, and by the head of the answer once it is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Nobody has looked at the request yet.
    Unknown,
    /// Events that come as they are made.
    Stream,
    /// A document, which is computed before its first byte.
    Document,
    /// Events as they happen, if any do: nobody has asked for one in particular.
    Feed,
}

/// What besides the phase decides which timers run.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub phase: Phase,
    pub awaited: Awaited,
    /// Any byte is progress, and [`Timeline::event`] the last one.
    pub by_bytes: bool,
    /// The request is not finished, and the next move is the client's.
    pub for_request: bool,
    /// Bytes of the request wait for the upstream to take them.
    pub for_upstream_write: bool,
}

/// The timer that ends first, and when.
///
/// | timer          | runs while                                             | since           |
/// |----------------|--------------------------------------------------------|-----------------|
/// | queue          | it waits for a place                                   | it began to     |
/// | model          | it waits for its upstream's model                      | it began to     |
/// | connect        | it has a place, and the connection does not stand yet  | it was begun    |
/// | body           | the request is unfinished and the client is silent     | it last moved   |
/// | upstream write | the upstream takes no more of the request (limit: ttft) | it last moved   |
/// | ttft           | the request is written, no event of a stream has come back | it was written |
/// | response       | the request is written, no byte of a document has come back | it was written |
/// | feed idle      | nothing has come on a feed (limit: tunnel idle)         | a byte came     |
/// | inter-event    | between data events, or bytes of a document, unless the client holds us up | the last one |
/// | client write   | the client takes nothing more                          | it stopped      |
/// | total          | always                                                 | the start       |
/// | tunnel idle    | in a tunnel, instead of all others but client write    | a byte passed   |
pub fn deadline(
    waiting: &Waiting,
    timeline: &Timeline,
    timeouts: &ExchangeTimeouts,
) -> (Instant, Timer) {
    let upstream = match (waiting.phase, timeline.client_blocked) {
        (_, Some(since)) => (since.after(timeouts.client_write), Timer::ClientWrite),
        (Phase::Queued, _) => (timeline.queued_until, Timer::Queue),
        (Phase::AwaitingModel, _) => (timeline.queued_until, Timer::Model),
        (Phase::Gathering | Phase::Pausing, _) => (Instant::NEVER, Timer::Total),
        (Phase::Connecting, _) => (timeline.step_began.after(timeouts.connect), Timer::Connect),
        (Phase::WritingRequest, _) if waiting.for_upstream_write => {
            (timeline.request_moved.after(timeouts.ttft), Timer::UpstreamWrite)
        }
        (Phase::WritingRequest, _) => (Instant::NEVER, Timer::Total),
        (Phase::AwaitingFirst | Phase::Streaming, _) if waiting.awaited == Awaited::Feed => {
            let last = timeline.event.max(timeline.request_written);
            (last.after(timeouts.tunnel_idle), Timer::FeedIdle)
        }
        (Phase::AwaitingFirst, _) => first_byte(waiting, timeline, timeouts),
        (Phase::Streaming, _) => (timeline.event.after(timeouts.inter_event), Timer::InterEvent),
        (Phase::Tunnel, _) => (timeline.moved.after(timeouts.tunnel_idle), Timer::TunnelIdle),
    };
    let mut first = upstream;
    let mut consider = |other: (Instant, Timer)| {
        if other.0 < first.0 {
            first = other;
        }
    };
    if waiting.phase != Phase::Tunnel {
        consider((timeline.started.after(timeouts.total), Timer::Total));
        if waiting.for_request {
            consider((timeline.request_moved.after(timeouts.body), Timer::Body));
        }
    }
    first
}

/// The timer of a request that is written and has no answer yet. Before anybody has looked at what
/// it asks for, the earlier of two: then somebody has to.
fn first_byte(
    waiting: &Waiting,
    timeline: &Timeline,
    timeouts: &ExchangeTimeouts,
) -> (Instant, Timer) {
    let written = timeline.request_written;
    let ttft = (written.after(timeouts.ttft), Timer::Ttft);
    let response = (written.after(timeouts.response), Timer::Response);
    match waiting.awaited {
        // It has begun, and is held back to be read.
        Awaited::Document if timeline.event > written => {
            (timeline.event.after(timeouts.inter_event), Timer::InterEvent)
        }
        Awaited::Document => response,
        Awaited::Unknown if response.0 < ttft.0 => response,
        // It has shown that it is alive.
        Awaited::Stream if waiting.by_bytes && timeline.event > written => {
            (timeline.event.after(timeouts.inter_event), Timer::InterEvent)
        }
        Awaited::Unknown | Awaited::Stream | Awaited::Feed => ttft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::ProgressBy;

    const fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    const TIMEOUTS: ExchangeTimeouts = ExchangeTimeouts {
        body: seconds(2),
        client_write: seconds(3),
        connect: seconds(5),
        ttft: seconds(7),
        response: seconds(70),
        progress: ProgressBy::Data,
        inter_event: seconds(11),
        total: seconds(1000),
        tunnel_idle: seconds(13),
    };

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn timeline() -> Timeline {
        Timeline {
            started: at(0),
            step_began: at(100),
            queued_until: at(150),
            request_moved: at(200),
            request_written: at(300),
            event: at(400),
            moved: at(500),
            client_blocked: None,
        }
    }

    fn waiting(phase: Phase) -> Waiting {
        Waiting {
            phase,
            awaited: Awaited::Stream,
            by_bytes: false,
            for_request: false,
            for_upstream_write: false,
        }
    }

    #[test]
    fn what_is_awaited_has_its_own_time_to_begin() {
        use Awaited::*;
        let written = Timeline { event: at(0), ..timeline() };
        // A sign of life, of a stream that was promised or of a feed.
        let alive = Timeline { event: at(310), ..timeline() };
        let late = ExchangeTimeouts { response: seconds(3), ..TIMEOUTS };
        for (awaited, by_bytes, timeline, timeouts, expected) in [
            (Stream, false, written, TIMEOUTS, (at(307), Timer::Ttft)),
            (Document, false, written, TIMEOUTS, (at(370), Timer::Response)),
            (Document, false, alive, TIMEOUTS, (at(321), Timer::InterEvent)),
            // Whichever comes first, somebody looks at the request then.
            (Unknown, false, written, TIMEOUTS, (at(307), Timer::Ttft)),
            (Unknown, false, written, late, (at(303), Timer::Response)),
            (Stream, false, alive, TIMEOUTS, (at(307), Timer::Ttft)),
            (Stream, true, written, TIMEOUTS, (at(307), Timer::Ttft)),
            (Stream, true, alive, TIMEOUTS, (at(321), Timer::InterEvent)),
            (Feed, true, written, TIMEOUTS, (at(313), Timer::FeedIdle)),
            (Feed, true, alive, TIMEOUTS, (at(323), Timer::FeedIdle)),
        ] {
            let waiting = Waiting { awaited, by_bytes, ..waiting(Phase::AwaitingFirst) };
            assert_eq!(deadline(&waiting, &timeline, &timeouts), expected, "{waiting:?}");
        }
        let feed = Waiting { awaited: Feed, by_bytes: true, ..waiting(Phase::Streaming) };
        assert_eq!(deadline(&feed, &alive, &TIMEOUTS), (at(323), Timer::FeedIdle));
    }

    #[test]
    fn each_phase_counts_from_its_own_beginning() {
        // An hour in the line, and an attempt that failed with the client in its way.
        let mut timeline = Timeline::new(at(0));
        timeline.client_blocked = Some(at(10));
        timeline.seek(at(3600));
        timeline.queued_until = at(7200);
        let queued = waiting(Phase::Queued);
        assert_eq!(deadline(&queued, &timeline, &TIMEOUTS).0, at(1000), "total, since the start");
        let patient = ExchangeTimeouts { total: None, ..TIMEOUTS };
        assert_eq!(deadline(&queued, &timeline, &patient), (at(7200), Timer::Queue));
        timeline.connect(at(7000));
        let connecting = waiting(Phase::Connecting);
        assert_eq!(deadline(&connecting, &timeline, &patient), (at(7005), Timer::Connect));
        let writing = Waiting { for_upstream_write: true, ..waiting(Phase::WritingRequest) };
        assert_eq!(deadline(&writing, &timeline, &patient), (at(7007), Timer::UpstreamWrite));
        let uploading = Waiting { for_request: true, ..waiting(Phase::WritingRequest) };
        assert_eq!(deadline(&uploading, &timeline, &patient), (at(7002), Timer::Body));
    }

    #[test]
    fn lost_time_is_nobodys_silence() {
        let lost = Duration::from_secs(50);
        let mut timeline = Timeline { client_blocked: None, ..timeline() };
        let before = timeline;
        timeline.excuse(lost);
        for phase in [
            Phase::Queued,
            Phase::Connecting,
            Phase::AwaitingFirst,
            Phase::Streaming,
            Phase::Tunnel,
        ] {
            let (then, timer) = deadline(&waiting(phase), &before, &TIMEOUTS);
            let now = deadline(&waiting(phase), &timeline, &TIMEOUTS);
            assert_eq!(now, (then + lost, timer), "{phase:?}");
        }
        assert_eq!(timeline.started, before.started, "the client has waited all the same");
    }

    #[test]
    fn each_phase_has_its_timer() {
        let idle = waiting;
        let writing = Waiting { for_upstream_write: true, ..idle(Phase::WritingRequest) };
        let uploading = Waiting { for_request: true, ..idle(Phase::WritingRequest) };
        let duplex = Waiting { for_request: true, ..idle(Phase::Streaming) };
        for (waiting, expected) in [
            (idle(Phase::Queued), (at(150), Timer::Queue)),
            (idle(Phase::AwaitingModel), (at(150), Timer::Model)),
            (idle(Phase::Connecting), (at(105), Timer::Connect)),
            (writing, (at(207), Timer::UpstreamWrite)),
            (uploading, (at(202), Timer::Body)),
            (idle(Phase::AwaitingFirst), (at(307), Timer::Ttft)),
            (idle(Phase::Streaming), (at(411), Timer::InterEvent)),
            (duplex, (at(202), Timer::Body)),
            (idle(Phase::Tunnel), (at(513), Timer::TunnelIdle)),
        ] {
            assert_eq!(deadline(&waiting, &timeline(), &TIMEOUTS), expected, "{waiting:?}");
        }
    }

    #[test]
    fn a_client_that_does_not_read_is_not_the_upstreams_fault() {
        let blocked = Timeline { client_blocked: Some(at(410)), ..timeline() };
        let waiting = waiting(Phase::Streaming);
        assert_eq!(deadline(&waiting, &blocked, &TIMEOUTS), (at(413), Timer::ClientWrite));
    }

    #[test]
    fn total_ends_any_phase_but_a_tunnel() {
        let timeouts = ExchangeTimeouts { total: seconds(1), ..TIMEOUTS };
        for phase in [Phase::Queued, Phase::Connecting, Phase::AwaitingFirst, Phase::Streaming] {
            let waiting = waiting(phase);
            assert_eq!(deadline(&waiting, &timeline(), &timeouts), (at(1), Timer::Total));
        }
        let tunnel = waiting(Phase::Tunnel);
        assert_eq!(deadline(&tunnel, &timeline(), &timeouts).1, Timer::TunnelIdle);
    }

    #[test]
    fn off_is_never() {
        let waiting = Waiting { for_request: true, ..waiting(Phase::Streaming) };
        assert_eq!(deadline(&waiting, &timeline(), &ExchangeTimeouts::OFF).0, Instant::NEVER);
    }
}
