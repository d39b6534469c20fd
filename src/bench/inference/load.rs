//! The load: the handler that sends requests when they are due, and keeps what became of them.
//!
//! ```text
//!   closed   so many at once: an answer, and the next is sent
//!   open     timetable ─▶ backlog ─▶ a connection, as soon as one may be had
//! ```
//!
//! * A connection is used again after an answer, and opened where none is free.
//! * A request that is due is sent late rather than not at all, and its time counts from when it was due.
//! * When no more are sent, those under way are waited for, so that no slow answer is left out.
//! * A request that finds its kept connection closed is sent again on a new one: so does every client.
//!
//! Absent on purpose: the turn and its timers, which are the loop's, and every figure.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::arrivals::Timetable;
use super::connection::{Call, Connection, DriveEnd, Listener};
use super::endpoint::Endpoint;
use super::outcome::Failure;
use super::workload::Workload;
use crate::bench::record::keep;
use crate::clock::Instant;
use crate::measure::stats::{Counters, Tally};
use crate::reactor::mailbox::Mailbox;
use crate::reactor::net::{Event, Net, Stream};
use crate::reactor::run::Run;
use crate::reactor::slots::Slots;
use crate::reactor::timer::Entry;
use crate::reactor::token::{Kind, Token};
use crate::reactor::turn::{Cx, Handler, Loop, Pace};
use crate::wire::buffers::BufferPool;
use crate::wire::socket::{Desk, Socket};

pub use level::{Plan, Progress, Seen};

mod level;

/// What connections may hold in buffers: a bound that no load reaches before its memory is short.
const BUFFERS: usize = 4 << 30;
/// Until a request follows one that has failed, so that a dead server is not hammered.
const PAUSE: Duration = Duration::from_millis(100);
/// Closer than this to a request that is due, nobody sleeps: a poll sleeps whole milliseconds.
const AWAKE: Duration = Duration::from_millis(2);
/// How often somebody may want to look at the progress.
const GLANCE: Duration = Duration::from_millis(250);
/// A server that has failed so often and never answered is not asked any more.
const HOPELESS: u64 = 20;

/// Plays one level over `net`. Jobs are numbered from `first_job`. An error means that the poller itself
/// failed.
pub fn play<N: Net>(
    net: N,
    plan: &Plan,
    endpoint: &Endpoint,
    workload: &Workload,
    first_job: u64,
    watch: &mut dyn FnMut(Progress),
) -> io::Result<Seen> {
    let mut turns = Loop::with(net, Mailbox::unaddressed(), Pace::default(), |cx| {
        Load::new(plan, endpoint, workload, first_job, watch, cx.now)
    });
    turns.run()?;
    Ok(turns.into_handler().seen)
}

struct Load<'t, S> {
    plan: &'t Plan,
    endpoint: &'t Endpoint,
    workload: &'t Workload,
    watch: &'t mut dyn FnMut(Progress),
    desk: Desk,
    connections: Slots<Connection<S>>,
    /// Connections without a request.
    idle: Vec<Token>,
    /// Open loop: requests that are due and not sent.
    backlog: VecDeque<Instant>,
    timetable: Timetable,
    /// Closed loop: when requests are to follow those that have failed, and the first ones.
    follow: BinaryHeap<Reverse<Instant>>,
    first_job: u64,
    /// Requests made since the measurement began.
    counted: u64,
    in_flight: usize,
    answered: u64,
    failed: u64,
    seen: Seen,
    start: Instant,
    /// When no more requests become due.
    closes: Instant,
    /// They were closed at this instant.
    closed: Option<Instant>,
    works: bool,
    over: bool,
    glance: Instant,
}

/// What a connection reports to while it is driven.
struct Ear<'a, C: Fn() -> Instant> {
    clock: C,
    from: Instant,
    closes: Instant,
    gaps: &'a mut Histogram<u64>,
}

impl<C: Fn() -> Instant> Listener for Ear<'_, C> {
    fn now(&self) -> Instant {
        (self.clock)()
    }

    fn measures(&self, now: Instant) -> bool {
        now >= self.from && now < self.closes
    }

    fn on_gap(&mut self, gap: Duration) {
        keep(self.gaps, gap);
    }
}

impl<N: Net> Handler<N> for Load<'_, N::Stream> {
    type Mail = Infallible;

    fn on_event(&mut self, event: &Event, run: &mut Run) {
        if let Some(connection) = self.connections.get_mut(event.token) {
            connection.socket.ready.on_event(event);
            enqueue(run, connection, event.token);
        }
    }

    fn collected(&mut self, cx: &mut Cx<N>) {
        let made = self.seen.made;
        self.send_due(cx);
        self.works = self.seen.made > made || !cx.run.is_empty();
    }

    fn drive(&mut self, who: Token, cx: &mut Cx<N>) {
        let Some(connection) = self.connections.get_mut(who) else { return };
        connection.queued = false;
        if connection.over {
            return;
        }
        let mut ear = Ear {
            clock: || cx.net.now(),
            from: self.seen.from,
            closes: self.closes,
            gaps: &mut self.seen.gaps,
        };
        match connection.drive(self.endpoint.api, &mut self.desk, &mut ear) {
            DriveEnd::Waiting => {}
            DriveEnd::Again => enqueue(&mut cx.run, connection, who),
            DriveEnd::Answered { call, told, keep } => {
                match keep {
                    true => self.idle.push(who),
                    false => self.part(who, cx),
                }
                self.on_end(*call, told, cx);
            }
            DriveEnd::Retired => self.part(who, cx),
            DriveEnd::Failed { call, told } => {
                // Closed while nobody asked it anything, and nobody knew yet.
                let stale = connection.answers > 0 && call.as_ref().is_some_and(|call| !call.heard);
                self.part(who, cx);
                match call {
                    Some(call) if stale => self.open(Box::new(call.again()), cx),
                    Some(call) => self.on_end(*call, told, cx),
                    None => {}
                }
            }
        }
    }

    /// Never: there is no listener.
    fn on_accept(&mut self, _: N::Stream, _: SocketAddr, _: usize, _: &mut Cx<N>) {}

    fn on_alarm(&mut self, entry: Entry, cx: &mut Cx<N>) {
        let Some(connection) = self.connections.get_mut(entry.token) else { return };
        if connection.over {
            return;
        }
        let silent_since = if connection.is_idle() { cx.now } else { connection.active };
        // Kept lazily: a connection that was heard of is given the rest of its time here.
        connection.alarm.set(silent_since + self.plan.silence, entry.token, &mut cx.wheel);
        if connection.alarm.fired(entry, cx.now, &mut cx.wheel) {
            let call = connection.take_call();
            self.part(entry.token, cx);
            if let Some(mut call) = call {
                call.outcome.end = cx.now;
                call.outcome.result = Err(Failure::Silent);
                let told = format!("nothing was heard for {} s", self.plan.silence.as_secs_f64());
                self.on_end(*call, told, cx);
            }
        }
    }

    /// Never: nobody can send any.
    fn on_mail(&mut self, mail: Infallible, _: &mut Cx<N>) {
        match mail {}
    }

    /// While this process stood still, nobody was silent.
    fn on_standstill(&mut self, lost: Duration, _: &mut Cx<N>) {
        for token in self.connections.tokens() {
            if let Some(connection) = self.connections.get_mut(token) {
                connection.active += lost;
            }
        }
    }

    fn reap(&mut self, cx: &mut Cx<N>) {
        while let Some(token) = cx.run.next_reaped() {
            if let Some(mut connection) = self.connections.remove(token) {
                connection.socket.bid_farewell(&mut self.desk);
                connection.socket.give_buffers_home(&mut self.desk);
            }
        }
    }

    fn wakes_at(&self, cx: &Cx<N>) -> Instant {
        let end = match self.closed {
            Some(closed) => closed + self.plan.grace,
            None => self.closes,
        };
        let follow = self.follow.peek().map_or(Instant::NEVER, |Reverse(at)| *at);
        let wake = end.min(follow).min(self.glance);
        let due = self.timetable.next().filter(|_| self.closed.is_none());
        let Some(due) = due.map(|due| self.start + due) else { return wake };
        // A poll may sleep a millisecond longer than it was asked to.
        let nap = due.since(cx.now).saturating_sub(AWAKE);
        wake.min(cx.now + Duration::from_millis(nap.as_millis() as u64))
    }

    fn turned(&mut self, events: usize, cx: &mut Cx<N>) {
        if self.works || events > 0 {
            let woken = cx.now;
            cx.now = cx.net.now();
            if cx.now >= self.seen.from && self.closed.is_none() {
                self.seen.busy += cx.now - woken;
            }
        }
        if cx.now >= self.glance {
            self.glance = cx.now + GLANCE;
            let progress = self.progress(cx.now);
            (self.watch)(progress);
        }
        if self.closed.is_none() && self.sends_no_more(cx.now) {
            self.closed = Some(cx.now);
        }
        let Some(closed) = self.closed else { return };
        let done = self.in_flight == 0 && self.backlog.is_empty();
        if done || self.seen.hopeless || cx.now >= closed + self.plan.grace {
            self.finish(cx.now);
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

impl<'t, S: Stream> Load<'t, S> {
    fn new(
        plan: &'t Plan,
        endpoint: &'t Endpoint,
        workload: &'t Workload,
        first_job: u64,
        watch: &'t mut dyn FnMut(Progress),
        start: Instant,
    ) -> Load<'t, S> {
        let from = start + plan.warm_up;
        let mut buffers = BufferPool::new(BUFFERS);
        if endpoint.is_sealed() {
            buffers.serve_sessions();
        }
        let at_once = if plan.process.is_open() { 0 } else { plan.in_flight_max };
        Load {
            plan,
            endpoint,
            workload,
            watch,
            desk: Desk { buffers, tally: Tally::new(Arc::new(Counters::default())) },
            connections: Slots::new(Kind::Upstream),
            idle: Vec::new(),
            backlog: VecDeque::new(),
            timetable: Timetable::new(&plan.process, workload.seed),
            follow: (0..at_once).map(|_| Reverse(start)).collect(),
            first_job,
            counted: 0,
            in_flight: 0,
            answered: 0,
            failed: 0,
            seen: Seen::from(from),
            start,
            closes: from.after(plan.duration),
            closed: None,
            works: false,
            over: false,
            glance: start + GLANCE,
        }
    }

    fn progress(&self, now: Instant) -> Progress {
        Progress {
            elapsed: now - self.start,
            in_flight: self.in_flight,
            waiting: self.backlog.len(),
            answered: self.answered,
            failed: self.failed,
        }
    }

    fn sends_no_more(&self, now: Instant) -> bool {
        let enough = self.plan.requests.is_some_and(|most| self.counted >= most);
        let no_more = self.plan.process.is_open() && self.timetable.next().is_none();
        enough || no_more || now >= self.closes || self.seen.hopeless
    }

    /// Sends what is due, as far as it may be in flight.
    fn send_due<N: Net<Stream = S>>(&mut self, cx: &mut Cx<N>) {
        let elapsed = cx.now - self.start;
        while self.closed.is_none() && !self.sends_no_more(cx.now) {
            let Some(due) = self.timetable.take(elapsed) else { break };
            let due = self.start + due;
            if due >= self.closes {
                break;
            }
            self.counted += u64::from(due >= self.seen.from);
            self.backlog.push_back(due);
        }
        while self.in_flight < self.plan.in_flight_max {
            let Some(due) = self.backlog.pop_front() else { break };
            self.send(Some(due), cx);
        }
        while self.follow.peek().is_some_and(|Reverse(at)| *at <= cx.now) {
            self.follow.pop();
            if self.closed.is_none() && !self.sends_no_more(cx.now) {
                self.counted += u64::from(cx.now >= self.seen.from);
                self.send(None, cx);
            }
        }
    }

    /// Makes the next request and gives it to a connection.
    fn send<N: Net<Stream = S>>(&mut self, due: Option<Instant>, cx: &mut Cx<N>) {
        let index = self.first_job + self.seen.made;
        let job = self.workload.job(index, self.seen.made);
        let request = self.endpoint.request(&job);
        self.seen.made += 1;
        self.in_flight += 1;
        let sent = cx.net.now();
        let call = Box::new(Call::new(index, job, request, due.unwrap_or(sent), sent));
        while let Some(token) = self.idle.pop() {
            if let Some(connection) = self.connections.get_mut(token)
                && !connection.over
            {
                connection.ask(call, sent);
                enqueue(&mut cx.run, connection, token);
                return;
            }
        }
        self.open(call, cx);
    }

    fn open<N: Net<Stream = S>>(&mut self, mut call: Box<Call>, cx: &mut Cx<N>) {
        let stream = match cx.net.connect(self.endpoint.address) {
            Ok(stream) => stream,
            Err(error) => {
                call.outcome.result = Err(Failure::Connect);
                return self.on_end(*call, error.to_string(), cx);
            }
        };
        self.seen.connections += 1;
        let mut socket = Socket::new(stream);
        if let Some(session) = self.endpoint.session() {
            socket.begin_session(session, &mut self.desk);
        }
        let now = cx.net.now();
        let token = self.connections.insert(Connection::new(socket, now));
        let Some(connection) = self.connections.get_mut(token) else { return };
        if let Err(error) = cx.net.register(&mut connection.socket.stream, token) {
            connection.over = true;
            cx.run.reap(token);
            call.outcome.result = Err(Failure::Connect);
            return self.on_end(*call, error.to_string(), cx);
        }
        connection.ask(call, now);
        connection.alarm.set(now + self.plan.silence, token, &mut cx.wheel);
        enqueue(&mut cx.run, connection, token);
    }

    /// The connection is closed at the end of this turn.
    fn part<N: Net<Stream = S>>(&mut self, who: Token, cx: &mut Cx<N>) {
        if let Some(connection) = self.connections.get_mut(who)
            && !std::mem::replace(&mut connection.over, true)
        {
            cx.run.reap(who);
            self.idle.retain(|idle| *idle != who);
        }
    }

    /// A request is over. A closed loop sends the next.
    fn on_end<N: Net<Stream = S>>(&mut self, call: Call, told: String, cx: &mut Cx<N>) {
        self.in_flight -= 1;
        let failure = call.outcome.result.err();
        match failure {
            None => self.answered += 1,
            Some(failure) => {
                self.failed += 1;
                let shown = || self.endpoint.shown(&told);
                self.seen.told.entry(failure).or_insert_with(shown);
            }
        }
        self.seen.outcomes.push(call.outcome);
        let asked = HOPELESS + self.in_flight as u64;
        self.seen.hopeless |= self.answered == 0 && self.failed >= asked;
        if !self.plan.process.is_open() {
            let pause = if failure.is_some() { PAUSE } else { Duration::ZERO };
            self.follow.push(Reverse(cx.now + pause));
            self.send_due(cx);
        }
    }

    /// The end of the level: what is not answered yet is not forgotten.
    fn finish(&mut self, now: Instant) {
        self.over = true;
        let last = self.seen.outcomes.iter().map(|outcome| outcome.end).max();
        // What ends by its time is as long as that, whether or not something came at its end.
        let is_full = self.closed.is_some_and(|closed| closed >= self.closes);
        self.seen.until = match is_full && !self.seen.hopeless {
            true => self.closes,
            false => self.closes.min(last.unwrap_or(now).max(self.seen.from)),
        };
        let mut unfinished = self.backlog.len() as u64;
        for token in self.connections.tokens() {
            if let Some(connection) = self.connections.get_mut(token)
                && let Some(call) = connection.take_call()
            {
                unfinished += u64::from(call.outcome.due >= self.seen.from);
            }
        }
        self.seen.unfinished = unfinished;
    }
}

fn enqueue<S>(run: &mut Run, connection: &mut Connection<S>, token: Token) {
    if !std::mem::replace(&mut connection.queued, true) {
        run.push(token);
    }
}

#[cfg(test)]
mod tests;
