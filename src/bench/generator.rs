//! The generator: many connections of clients, as a handler of the reactor's loop.
//!
//! ```text
//!   poll → collect → opens, arrivals → run → alarms → reap → the end of the turn: progress, window
//! ```
//!
//! * It stands on the loop that the gateway stands on, so it runs on any [`Net`] too. It has no
//!   listener, and nobody writes to it.
//! * The poller wakes up within a millisecond or so. An open loop cannot wait that long for an
//!   instant that is due: in its last two milliseconds the generator polls without sleeping. So it
//!   wants a core of its own, and its CPU time then says nothing; [`Round::busy`] is the length of
//!   the turns that had something to do.
//! * A server that fails is asked again after a pause, so that a dead one is not hammered.
//!
//! Absent on purpose: the turn, its queues and its timers. They are the loop's.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::connection::{Bench, Connection, DriveEnd};
use super::plan::{Arrivals, Plan, Schedule, Shape};
use super::record::{Failure, Record};
use super::target::Target;
use crate::clock::Instant;
use crate::reactor::mailbox::Mailbox;
use crate::reactor::net::{Event, Net, Stream};
use crate::reactor::run::Run;
use crate::reactor::slots::Slots;
use crate::reactor::timer::Entry;
use crate::reactor::token::{Kind, Token};
use crate::reactor::turn::{Cx, Handler, Loop, Pace};

const SCRATCH: usize = 64 * 1024;
/// Until a connection is opened in place of one that failed.
const PAUSE: Duration = Duration::from_millis(100);
/// Closer than this to a request that is due, the generator does not sleep.
const AWAKE: Duration = Duration::from_millis(2);
/// How often somebody may want to look at the progress.
const GLANCE: Duration = Duration::from_millis(250);

/// How far a round is.
#[derive(Clone, Copy, Debug)]
pub struct RoundProgress {
    pub elapsed: Duration,
    pub total: Duration,
    pub open: usize,
    pub tokens: u64,
    pub requests: u64,
}

/// Whoever watches a round: told when the measurement begins, and now and then how far it is.
pub trait RoundWatcher {
    fn on_window(&mut self);
    fn on_progress(&mut self, progress: RoundProgress);
    /// The measurement is over and the connections still stand.
    fn on_end(&mut self);
}

/// What a round was.
pub struct Round {
    pub record: Record,
    /// How long the measurement really took.
    pub measured: Duration,
    /// How much of it the generator had something to do.
    pub busy: Duration,
    /// Connections that stood in the end.
    pub open: usize,
}

/// Plays one round over `net`, and tells `watch` how it goes. An error means that the poller itself
/// failed.
pub fn play<N: Net>(
    net: N,
    plan: &Plan,
    target: &Target,
    watch: &mut dyn RoundWatcher,
) -> io::Result<Round> {
    let mut turns = Loop::with(net, Mailbox::unaddressed(), Pace::default(), |cx| {
        Generator::new(plan, target, watch, cx.now)
    });
    turns.run()?;
    Ok(turns.into_handler().round())
}

/// What one round has of connections, and of requests that have none yet.
struct Generator<'t, S> {
    plan: &'t Plan,
    watch: &'t mut dyn RoundWatcher,
    desk: Bench<'t>,
    connections: Slots<Connection<S>>,
    /// The latest connections that were opened as a background.
    background: Vec<Token>,
    /// When connections are to be opened.
    opens: BinaryHeap<Reverse<Instant>>,
    schedule: Option<Schedule>,
    /// Open loop: requests that are due and have no connection yet.
    backlog: VecDeque<Instant>,
    /// Open loop: connections without a request.
    idle: Vec<Token>,
    /// This turn has something to do.
    works: bool,
    busy: Duration,
    start: Instant,
    /// The measurement as it was planned.
    from: Instant,
    until: Instant,
    /// When it really began and ended.
    began: Option<Instant>,
    ended: Option<Instant>,
    /// When the progress is shown next.
    glance: Instant,
}

impl<N: Net> Handler<N> for Generator<'_, N::Stream> {
    type Mail = Infallible;

    fn on_event(&mut self, event: &Event, run: &mut Run) {
        if let Some(connection) = self.connections.get_mut(event.token) {
            connection.ready.on_event(event);
            enqueue(run, connection, event.token);
        }
    }

    /// Connections and requests that are due are driven in this very turn.
    fn collected(&mut self, cx: &mut Cx<N>) {
        let opened = self.open_due(cx);
        let arrived = self.ask_due(cx);
        self.works = opened || arrived || !cx.run.is_empty();
    }

    fn drive(&mut self, who: Token, cx: &mut Cx<N>) {
        let Some(connection) = self.connections.get_mut(who) else { return };
        connection.queued = false;
        let clock = || cx.net.now();
        let verdict = loop {
            let verdict = connection.drive(&mut self.desk, &clock);
            // The next request goes out at once: waiting for its turn would be our delay.
            let next = match self.plan.arrivals {
                _ if verdict != DriveEnd::Answered => break verdict,
                Arrivals::Closed if self.plan.shape == Shape::Idle => break verdict,
                Arrivals::Closed => None,
                Arrivals::Open { .. } => match self.backlog.pop_front() {
                    Some(due) => Some(due),
                    None => break verdict,
                },
            };
            connection.ask(next, clock());
        };
        match verdict {
            DriveEnd::Waiting => {}
            DriveEnd::Again => enqueue(&mut cx.run, connection, who),
            DriveEnd::Answered if self.schedule.is_some() => self.idle.push(who),
            DriveEnd::Answered => {}
            DriveEnd::AnsweredLast | DriveEnd::Retired => {
                connection.over = true;
                cx.run.reap(who);
                self.idle.retain(|idle| *idle != who);
                self.opens.push(Reverse(cx.net.now()));
            }
            DriveEnd::Failed(failure) => {
                connection.over = true;
                cx.run.reap(who);
                self.on_failure(failure, cx.net.now());
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
            connection.over = true;
            cx.run.reap(entry.token);
            self.on_failure(Failure::Silent, cx.now);
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
            drop(self.connections.remove(token));
        }
    }

    fn wakes_at(&self, cx: &Cx<N>) -> Instant {
        let phase = if self.began.is_some() { self.until } else { self.from };
        let opens = self.opens.peek().map_or(Instant::NEVER, |Reverse(at)| *at);
        let wake = phase.min(opens).min(self.glance);
        let Some(schedule) = &self.schedule else { return wake };
        // A poll may sleep a millisecond longer than it was asked to.
        let nap = schedule.next().since(cx.now).saturating_sub(AWAKE);
        wake.min(cx.now + Duration::from_millis(nap.as_millis() as u64))
    }

    /// Measures a turn that had something to do. The loop goes on with the clock that was read for
    /// that: after a long turn it must not sleep past a request that is due.
    fn turned(&mut self, events: usize, cx: &mut Cx<N>) {
        let woken = cx.now;
        if self.works || events > 0 {
            cx.now = cx.net.now();
            let length = cx.now - woken;
            self.desk.record.on_turn(length, woken);
            self.busy += if self.began.is_some() { length } else { Duration::ZERO };
        }
        if cx.now >= self.glance {
            self.glance = cx.now + GLANCE;
            self.watch.on_progress(self.progress(cx.now));
        }
        if self.began.is_none() && cx.now >= self.from {
            self.watch.on_window();
            cx.now = cx.net.now();
            self.began = Some(cx.now);
        }
        if cx.now >= self.until {
            self.watch.on_end();
            self.end(cx.now);
        }
    }

    fn is_over(&self) -> bool {
        self.ended.is_some()
    }
}

impl<'t, S: Stream> Generator<'t, S> {
    fn new(
        plan: &'t Plan,
        target: &'t Target,
        watch: &'t mut dyn RoundWatcher,
        start: Instant,
    ) -> Generator<'t, S> {
        let (from, until) = plan.window(start);
        let open_loop = matches!(plan.arrivals, Arrivals::Open { .. });
        let record = Record::new(from, open_loop, plan.outlasting);
        Generator {
            plan,
            watch,
            desk: Bench { target, shape: plan.shape, record, scratch: vec![0; SCRATCH] },
            connections: Slots::new(Kind::Upstream),
            background: Vec::new(),
            opens: (0..plan.connections + plan.shape.background())
                .map(|index| Reverse(start + plan.opens_after(index)))
                .collect(),
            schedule: match plan.arrivals {
                Arrivals::Closed => None,
                Arrivals::Open { rate } => Some(Schedule::new(start + plan.warm_up / 2, rate)),
            },
            backlog: VecDeque::new(),
            idle: Vec::new(),
            works: false,
            busy: Duration::ZERO,
            start,
            from,
            until,
            began: None,
            ended: None,
            glance: start + GLANCE,
        }
    }

    fn round(self) -> Round {
        let measured = self.began.zip(self.ended).map(|(began, ended)| ended - began);
        Round {
            open: self.connections.len(),
            record: self.desk.record,
            measured: measured.unwrap_or_default(),
            busy: self.busy,
        }
    }

    fn progress(&self, now: Instant) -> RoundProgress {
        RoundProgress {
            elapsed: now - self.start,
            total: self.until - self.start,
            open: self.connections.len(),
            tokens: self.desk.record.tokens,
            requests: self.desk.record.requests,
        }
    }

    /// Opens the connections that are due. Whether there were any.
    fn open_due<N: Net<Stream = S>>(&mut self, cx: &mut Cx<N>) -> bool {
        let mut opened = false;
        while self.opens.peek().is_some_and(|Reverse(at)| *at <= cx.now) {
            self.opens.pop();
            opened = true;
            // A connection of its own for each request is opened when there is one.
            if self.plan.shape == Shape::Churn && self.schedule.is_some() {
                match self.backlog.pop_front() {
                    Some(due) => self.open(Some(due), cx),
                    None => self.idle.push(Token::WAKER),
                }
            } else {
                self.open(None, cx);
            }
        }
        opened
    }

    fn open<N: Net<Stream = S>>(&mut self, due: Option<Instant>, cx: &mut Cx<N>) {
        let Ok(stream) = cx.net.connect(self.desk.target.address) else {
            return self.on_failure(Failure::Connect, cx.now);
        };
        self.background.retain(|token| self.connections.get(*token).is_some());
        let background = self.background.len() < self.plan.shape.background();
        let token = self.connections.insert(Connection::new(stream, background, cx.now));
        if background {
            self.background.push(token);
        }
        let Some(connection) = self.connections.get_mut(token) else { return };
        if cx.net.register(&mut connection.stream, token).is_err() {
            connection.over = true;
            cx.run.reap(token);
            return self.on_failure(Failure::Connect, cx.now);
        }
        connection.alarm.set(cx.now + self.plan.silence, token, &mut cx.wheel);
        match (due, &self.schedule) {
            (None, Some(_)) => self.free(token, cx),
            _ => {
                connection.ask(due, cx.now);
                enqueue(&mut cx.run, connection, token);
            }
        }
    }

    fn on_failure(&mut self, failure: Failure, now: Instant) {
        self.desk.record.on_failure(failure, now);
        self.opens.push(Reverse(now + PAUSE));
    }

    /// Open loop: takes the requests that are due, and gives them to connections that have none.
    /// Whether there were any.
    fn ask_due<N: Net<Stream = S>>(&mut self, cx: &mut Cx<N>) -> bool {
        let Some(schedule) = &mut self.schedule else { return false };
        let before = self.backlog.len();
        while let Some(due) = schedule.take(cx.now) {
            self.backlog.push_back(due);
        }
        let arrived = self.backlog.len() > before;
        while let Some(due) = self.backlog.front().copied() {
            let Some(token) = self.idle.pop() else { break };
            if token == Token::WAKER {
                self.backlog.pop_front();
                self.open(Some(due), cx);
            } else if let Some(connection) = self.connections.get_mut(token) {
                self.backlog.pop_front();
                connection.ask(Some(due), cx.now);
                enqueue(&mut cx.run, connection, token);
            }
        }
        arrived
    }

    /// Open loop: a connection without a request takes the oldest one, or waits for one.
    fn free<N: Net<Stream = S>>(&mut self, token: Token, cx: &mut Cx<N>) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        match self.backlog.pop_front() {
            Some(due) => {
                connection.ask(Some(due), cx.now);
                enqueue(&mut cx.run, connection, token);
            }
            None => self.idle.push(token),
        }
    }

    /// The end of the round: what is not answered yet is not forgotten.
    fn end(&mut self, now: Instant) {
        self.ended = Some(now);
        if self.schedule.is_some() {
            let asked = self.connections.iter().filter_map(|(_, open)| open.in_flight_since());
            let unanswered: Vec<Instant> = asked.chain(self.backlog.iter().copied()).collect();
            for due in unanswered {
                self.desk.record.on_unfinished(due, now);
            }
        }
        for token in self.connections.tokens() {
            if let Some(connection) = self.connections.get_mut(token) {
                // Thousands of ports in TIME_WAIT would be missing in the next round.
                connection.stream.reset_on_drop();
            }
        }
    }
}

fn enqueue<S>(run: &mut Run, connection: &mut Connection<S>, token: Token) {
    if !std::mem::replace(&mut connection.queued, true) {
        run.push(token);
    }
}

#[cfg(test)]
mod tests;
