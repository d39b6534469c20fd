//! From a response head to a response: parse, decide how it is delivered, rewrite.
//!
//! The counterpart of `client/request.rs`. Interim responses are passed on as they come. With the
//! final head the answer is the client's, unless it is held back.

use std::io::ErrorKind;
use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::ProgressBy;
use crate::flow::relay::{Budget, Flow, Mode, Rest};
use crate::flow::tap::Tap;
use crate::gateway::attempt::delivery::{Delivery, set_media};
use crate::gateway::attempt::transfer::upstream_fault;
use crate::gateway::client::request::takes_interim;
use crate::gateway::record::exchange::{Exchange, Leave, Tunnel};
use crate::gateway::record::verdict::Failed;
use crate::gateway::{Gateway, both};
use crate::http::body::Framing;
use crate::http::coding::Coding;
use crate::http::date::DateLine;
use crate::http::head::{
    FieldSlots, HeadError, HeadLimits, Media, ResponseContext, ResponseHead, may_be_complete,
    parse_response,
};
use crate::http::retry_after::{retry_after, retry_after_ms};
use crate::http::rewrite::{self, ConnectionField, ResponseEdits, Served, ServerTiming};
use crate::measure::journal::Journal;
use crate::proxy::exchange::Awaited;
use crate::proxy::fault::{DownstreamFault, Fault, TlsFault, UpstreamFault};
use crate::reactor::net::{Net, Stream};
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::service::continuation::Purse;
use crate::service::{Dialect, Observer};
use crate::wire::buffer::CAPACITY;
use crate::wire::buffers::{BufferPool, Room};
use crate::wire::outbox::Outbox;
use crate::wire::socket::{Fill, Socket};
use crate::wire::transport::AlertCause;

/// What a look at the response head gave.
enum HeadStep {
    /// The head is not complete, and why no more was read.
    Incomplete(Rest),
    /// An interim response was passed on; there may be more behind it.
    Interim,
    Final,
}

impl HeadStep {
    /// The server has said no more so far.
    const WAITS: HeadStep = HeadStep::Incomplete(Rest::SourceEmpty);

    /// There is no buffer for a read.
    fn dry(pool: &BufferPool) -> HeadStep {
        HeadStep::Incomplete(Rest::dry(pool))
    }
}

impl<N: Net> Gateway<N> {
    /// Reads up to the final response head. `None`: it is here; else why it is not.
    pub(crate) fn await_response(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Result<Option<Rest>, Failed> {
        while self.exchange_mut(token).is_some_and(|exchange| exchange.attempt.response.is_none()) {
            match self.receive_response_head(token, connection, budget, cx)? {
                HeadStep::Final => break,
                HeadStep::Interim => {
                    if self.interim_held(token) >= CAPACITY {
                        self.flush_interim(token)?;
                        if self.interim_held(token) >= CAPACITY {
                            return Ok(Some(Rest::SinkFull));
                        }
                    }
                }
                HeadStep::Incomplete(rest) => {
                    self.flush_interim(token)?;
                    return Ok(Some(rest));
                }
            }
        }
        Ok(None)
    }

    /// Interim responses leave at once, though the final one is still awaited.
    fn flush_interim(&mut self, token: Token) -> Result<(), Failed> {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Ok(()) };
        let flushed = downstream.socket.flush(None, &mut self.desk);
        flushed.map(drop).map_err(|_| Failed::Fault(Fault::Downstream(DownstreamFault::Gone)))
    }

    /// Bytes of interim responses that the client has not taken yet.
    fn interim_held(&self, token: Token) -> usize {
        self.downstreams.get(token).map_or(0, |downstream| downstream.socket.outbox.held())
    }

    /// Reads and passes on one response head, interim or final.
    fn receive_response_head(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Result<HeadStep, Failed> {
        loop {
            let Some(exchange) = self.exchange_mut(token) else { return Ok(HeadStep::WAITS) };
            let limit = exchange.snapshot.limits.response_head_bytes;
            let examined = exchange.attempt.examined as usize;
            let Some(upstream) = self.upstreams.get(connection) else {
                return Ok(HeadStep::WAITS);
            };
            let unscanned = upstream.socket.unscanned();
            let known = unscanned.len();
            if known > examined
                && (examined == 0 || known >= limit || may_be_complete(unscanned, examined))
            {
                if let Some(step) = self.open_response(token, connection, cx)? {
                    return Ok(step);
                }
                // What follows the head is left where it is.
                if self.exchange_mut(token).is_some_and(|exchange| exchange.awaits_plugin()) {
                    return Ok(HeadStep::WAITS);
                }
            }
            let both = both(&mut self.downstreams, &mut self.upstreams, token, connection);
            let Some((_, exchange, upstream)) = both else {
                return Ok(HeadStep::WAITS);
            };
            if !upstream.socket.readable() {
                return Ok(HeadStep::WAITS);
            }
            if budget.is_spent() {
                return Ok(HeadStep::Incomplete(Rest::Budget));
            }
            exchange.attempt.examined = known as u32;
            match upstream.socket.fill(&mut self.desk) {
                Ok(Fill::Bytes(count)) => {
                    budget.spend(count);
                    exchange.attempt.answered = true;
                    exchange.attempt.hops.first_byte = exchange.attempt.hops.first_byte.min(cx.now);
                }
                Ok(Fill::Sealed(count)) => budget.spend(count),
                Ok(Fill::WouldBlock) => return Ok(HeadStep::WAITS),
                Ok(Fill::Dry) => return Ok(HeadStep::dry(&self.desk.buffers)),
                Ok(Fill::Full) => {
                    let Some(buffer) = &mut upstream.socket.inbound else {
                        return Ok(HeadStep::WAITS);
                    };
                    match self.desk.buffers.make_room(buffer, limit) {
                        Room::Made => {}
                        Room::AtLimit => {
                            let fault = UpstreamFault::of_head(HeadError::HeadTooLarge);
                            return Err(Failed::Fault(upstream_fault(fault)));
                        }
                        Room::Dry { needs } => {
                            return Ok(HeadStep::Incomplete(Rest::Dry { needs }));
                        }
                    }
                }
                Ok(Fill::Closed) => return Err(Failed::Lost(UpstreamFault::Closed)),
                Err(error) => {
                    let lost = lost(&upstream.socket, upstream.connected, error.kind());
                    return Err(Failed::Lost(lost));
                }
            }
        }
    }

    /// Parses a response head where it lies and writes the head that the client gets.
    fn open_response(
        &mut self,
        token: Token,
        connection: Token,
        cx: &mut Cx<N>,
    ) -> Result<Option<HeadStep>, Failed> {
        let draining = self.life.is_draining();
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return Ok(None);
        };
        let rescue = self.rescue(exchange, cx);
        let reads = rescue.by_reading || self.tells_models() || exchange.principal().is_some();
        let both = both(&mut self.downstreams, &mut self.upstreams, token, connection);
        let Some((client, exchange, upstream)) = both else { return Ok(None) };
        let mut slots = FieldSlots::new();
        let parsed = exchange.parse(upstream.socket.unscanned(), &mut slots);
        let Some(head) = parsed? else { return Ok(None) };
        let interim = head.status < 200 && head.status != 101;
        if head.status >= 400 {
            exchange.attempt.retry_after = retry_after_of(&head);
        }
        exchange.judge(&head, rescue.possible, &upstream.socket.outbox)?;
        let nudge = &self.nudge;
        let wake = || nudge.wake(token);
        let Some(transform) = exchange.transform_for(&head, interim, &cx.net, &wake)? else {
            return Ok(None);
        };
        let delivery = exchange.delivery(&head, interim, transform.as_deref());
        let told_before = head.status == 100 && exchange.leave == Leave::Given;
        if head.status == 100 {
            exchange.give_leave();
        }
        if !interim {
            let sent = &upstream.socket.outbox;
            let decoders = &self.decoders;
            exchange.begin_response(&head, &delivery, draining, sent, reads, decoders);
            client.parting = !exchange.persistent && exchange.tunnel.is_none();
            exchange.watch(&head, self.reporter.journal(), &self.purse);
            let begun = &upstream.socket.unscanned()[head.length..];
            let collects = exchange.put_transform(transform, &head);
            let held = collects || exchange.is_to_be_held(&head, begun, sent, &rescue);
            if held {
                exchange.commit.hold();
            }
            upstream.announced = head.keep_alive_timeout;
        }
        // A tunnel, or the last answer on its connection.
        let returns = head.keep_alive && head.status != 101;
        let length = head.length;
        let (bytes, date) = self.scratch.begin();
        // Behind a head of ours there is no room for another, interim or not.
        if !exchange.is_prefaced() && !told_before && (!interim || takes_interim(exchange.client)) {
            let date = date.line(cx.now, &cx.net);
            exchange.write_response_head(&head, &delivery, date, cx.now, bytes);
        }
        exchange.attempt.examined = 0;
        let held = exchange.commit.is_held();
        let outbox = if held { &mut exchange.outbox } else { &mut client.outbox };
        outbox.push(bytes, &mut self.desk.buffers);
        upstream.socket.discard(length, &mut self.desk);
        if interim {
            return Ok(Some(HeadStep::Interim));
        }
        if !returns {
            self.uncount(connection, cx);
        }
        if !held {
            self.commit(token, connection);
        }
        Ok(Some(HeadStep::Final))
    }
}

/// After what time the server wants to be asked again: fields in milliseconds come first, as in the
/// SDKs.
fn retry_after_of(head: &ResponseHead<'_>) -> Option<Duration> {
    let fine = ["retry-after-ms", "x-ms-retry-after-ms"].iter();
    let fine = fine.filter_map(|name| head.field(name)).find_map(retry_after_ms);
    fine.or_else(|| retry_after(head.field("retry-after")?, head.field("date")))
}

impl Exchange {
    /// Parses the head of an answer to this request. `None`: it is not complete.
    fn parse<'b>(
        &self,
        bytes: &'b [u8],
        slots: &'b mut FieldSlots<'b>,
    ) -> Result<Option<ResponseHead<'b>>, Failed> {
        let limits = &self.snapshot.limits;
        let limits =
            HeadLimits { bytes: limits.response_head_bytes, fields: limits.response_headers };
        let context =
            ResponseContext { head_request: self.head_request, upgrade_asked: self.upgrade_asked };
        parse_response(bytes, slots, &limits, &context)
            .map_err(|error| Failed::Fault(upstream_fault(UpstreamFault::of_head(error))))
    }

    /// Writes the head that the client gets.
    fn write_response_head(
        &self,
        head: &ResponseHead<'_>,
        delivery: &Delivery,
        date: &DateLine,
        now: Instant,
        into: &mut Vec<u8>,
    ) {
        let interim = head.status < 200 && head.status != 101;
        let connection = match (head.status, interim || self.persistent) {
            (101, _) => ConnectionField::Upgrade,
            (_, true) => ConnectionField::KeepAlive,
            (_, false) => ConnectionField::Close,
        };
        let served = self
            .upstream()
            .map(|upstream| Served { upstream: &upstream.name, attempts: self.tries.in_all });
        let edits = ResponseEdits {
            client: self.client,
            connection,
            framing: delivery.framing,
            head_request: self.head_request,
            request_id: self.id.as_bytes(),
            date,
            served: served.filter(|_| !interim),
            timing: self.server_timing(now).filter(|_| !interim),
        };
        let start = into.len();
        rewrite::response(head, &edits, into);
        let transform = self.attempt.response.as_ref().and_then(|it| it.watch.transform.as_ref());
        if let Some(transform) = transform
            && !interim
        {
            set_media(into, start, transform.content_type());
        }
        let rules = self.route().and_then(|route| route.response_headers.rules.as_deref());
        if let Some(rules) = rules
            && !interim
        {
            let written = into.split_off(start);
            rules.apply(&written, into);
        }
        if let Some(plugged) = self.plugged()
            && !interim
        {
            for rules in &plugged.answer_rules {
                let written = into.split_off(start);
                rules.apply(&written, into);
            }
        }
        if !interim {
            self.put_rate_fields(into, start, now);
            self.put_cors_fields(into, start);
        }
    }

    /// The observer of an answer that is no stream by its head. `all`: it reads more than failures.
    fn reader(&self, head: &ResponseHead<'_>, all: bool) -> Option<Observer> {
        let answers = matches!(head.status, 200..=299) && head.framing != Framing::None;
        // What a server of plain text says in JSON is nothing that is known.
        let expected = match self.served() {
            dialect if dialect.speaks_in_text() => Dialect::Generic,
            dialect => dialect,
        };
        match expected {
            _ if !answers => None,
            // Of a generic path only the cost is read, and only of JSON that answers a POST.
            Dialect::Generic if self.idempotent || head.media != Media::Json => None,
            Dialect::Generic if !all => None,
            dialect => Some(Observer::of_answer(dialect, all)),
        }
    }

    /// Whether this is a stream of plain text, where such a one is expected: an answer to a POST that
    /// says neither that it is something else nor how long it is.
    fn is_plain_text(&self, head: &ResponseHead<'_>) -> bool {
        self.served().speaks_in_text()
            && !self.idempotent
            && matches!(head.status, 200..=299)
            && matches!(head.media, Media::Other | Media::Html)
            && matches!(head.framing, Framing::Chunked | Framing::UntilClose)
    }

    /// The observer of a compressed answer, through which `observer` reads it. What cannot be decoded is
    /// passed on unread.
    fn decoded(
        &self,
        head: &ResponseHead<'_>,
        observer: Observer,
        decoders: &Purse,
    ) -> Option<Observer> {
        match Coding::of(head.values("content-encoding")).ok().flatten() {
            Some(coding) => Some(observer.decoding(coding, decoders)),
            // Where no dialect is expected only the cost would be read.
            None if self.dialect == Dialect::Generic && head.media == Media::Json => None,
            None => Some(Observer::of_nothing()),
        }
    }

    /// Puts a tap on the response, where a reel, a transcript or the model's name is wanted.
    fn watch(&mut self, head: &ResponseHead<'_>, journal: Option<&dyn Journal>, purse: &Purse) {
        let (before, transcript) = (self.onlookers(), self.transcript(head, purse));
        let told =
            journal.is_some() || self.snapshot.admin.listen.is_some() || self.principal().is_some();
        let names_model = told && (self.dialect != Dialect::Generic || self.is_read());
        let recorded = self.is_observed() && !before.as_ref().is_some_and(|tap| tap.has_reel());
        let reel = journal.filter(|_| recorded).and_then(Journal::reel);
        let stored = if head.status < 300 { self.note_of_stored() } else { None };
        if let Some(response) = &mut self.attempt.response {
            response.watch.tap = Tap::new(before, reel, names_model, stored, transcript);
        }
    }

    /// The `Server-Timing` field, where the route has it on.
    fn server_timing(&self, now: Instant) -> Option<ServerTiming> {
        let told = self.route()?.server_timing;
        let hops = &self.attempt.hops;
        told.then(|| ServerTiming {
            queue: hops.attached - self.timeline.started,
            connect: hops.connected - hops.attached,
            upstream: hops.first_byte - hops.connected,
            total: now - self.timeline.started,
        })
    }

    /// Begins the response: its final head is here. `sent`: the request as it was sent.
    fn begin_response(
        &mut self,
        head: &ResponseHead<'_>,
        delivery: &Delivery,
        draining: bool,
        sent: &Outbox,
        reads: bool,
        decoders: &Purse,
    ) {
        self.attempt.status = head.status;
        self.until_close = delivery.framing == Framing::UntilClose;
        // Where the client has a head already, that has said whether the connection persists.
        if !self.is_prefaced() {
            self.persistent = self.may_persist() && !draining;
        }
        self.attempt.keep_alive = head.keep_alive;
        let mut response = Flow::of_response(head.framing, delivery.mode);
        let text = self.is_plain_text(head);
        let observer = match (head.media, self.served()) {
            _ if text => Some(Observer::of_stream(self.served())),
            (Media::EventStream, dialect) if !dialect.speaks_in_events() => {
                Some(Observer::of_stream(Dialect::Generic))
            }
            (Media::EventStream, dialect) => {
                Some(Observer::of_stream(dialect).expecting(self.choices(sent)))
            }
            (Media::JsonLines, dialect) if dialect.speaks_in_lines() => {
                Some(Observer::of_stream(dialect))
            }
            // Lines of nobody's: whether they are all nobody can tell.
            (Media::JsonLines, Dialect::Generic) => Some(Observer::of_nothing()),
            _ => self.reader(head, reads),
        };
        response.watch.observer = match head.encoded {
            true => observer.and_then(|observer| self.decoded(head, observer, decoders)),
            false => observer,
        };
        self.attempt.awaited = match head.media {
            Media::EventStream if self.listens => Awaited::Feed,
            Media::EventStream | Media::JsonLines => Awaited::Stream,
            _ if text => Awaited::Stream,
            _ => Awaited::Document,
        };
        let by_bytes = self.timeouts().progress == ProgressBy::Bytes;
        self.attempt.by_bytes = by_bytes || text || self.attempt.awaited == Awaited::Feed;
        if head.status == 101 {
            self.tunnel = Some(Tunnel::default());
            self.persistent = false;
            response = Flow::of_response(Framing::UntilClose, Mode::Splice);
            self.request = Flow::new(Framing::UntilClose, Mode::Splice);
        }
        self.attempt.response = Some(response);
    }
}

/// What it is that a connection broke before there was an answer.
fn lost<S: Stream>(socket: &Socket<S>, connected: bool, kind: ErrorKind) -> UpstreamFault {
    match socket.alert() {
        // In TLS 1.3 a server checks who we are when it has the request already.
        Some(alert) if alert.cause == AlertCause::RefusedUs => {
            UpstreamFault::Tls(TlsFault::Handshake, alert.why)
        }
        _ if connected => UpstreamFault::Reset(kind),
        _ => UpstreamFault::Connect(kind),
    }
}
