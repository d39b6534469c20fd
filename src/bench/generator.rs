//! The generator: one thread, one poller, many connections; the reactor's turn from the client's
//! side.
//!
//! poll → collect → due (opens, arrivals, alarms) → run → reap.
//!
//! * It is generic over [`Net`] like the gateway's worker, and built from the same parts.
//! * The poller wakes up within a millisecond or so. An open loop cannot wait that long for an
//!   instant that is due: in its last two milliseconds the generator polls without sleeping. So it
//!   wants a core of its own, and its CPU time then says nothing; [`Busy`] counts the turns that
//!   had something to do.
//! * A server that fails is asked again after a pause, so that a dead one is not hammered.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::time::Duration;

use super::connection::{Connection, Desk, Verdict};
use super::plan::{Arrivals, Plan, Schedule, Shape};
use super::record::{Failure, Record};
use super::target::Target;
use crate::clock::Instant;
use crate::reactor::net::{Event, Net, Stream};
use crate::reactor::slots::Slots;
use crate::reactor::timer::{Entry, TimerWheel};
use crate::reactor::token::{Kind, Token};

const SCRATCH: usize = 64 * 1024;
/// Until a connection is opened in place of one that failed.
const PAUSE: Duration = Duration::from_millis(100);
/// Closer than this to a request that is due, the generator does not sleep.
const AWAKE: Duration = Duration::from_millis(2);
/// How often somebody may want to look at the progress.
const GLANCE: Duration = Duration::from_millis(250);

/// How far a round is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub elapsed: Duration,
    pub total: Duration,
    pub open: usize,
    pub tokens: u64,
    pub requests: u64,
}

/// Whoever watches a round: told when the measurement begins, and now and then how far it is.
pub trait Watch {
    fn on_window(&mut self);
    fn on_progress(&mut self, progress: Progress);
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

pub struct Generator<'t, N: Net> {
    net: N,
    plan: &'t Plan,
    desk: Desk<'t>,
    connections: Slots<Connection<N::Stream>>,
    /// The latest connections that were opened as a background.
    background: Vec<Token>,
    wheel: TimerWheel,
    /// When connections are to be opened.
    opens: BinaryHeap<Reverse<Instant>>,
    schedule: Option<Schedule>,
    /// Open loop: requests that are due and have no connection yet.
    backlog: VecDeque<Instant>,
    /// Open loop: connections without a request.
    idle: Vec<Token>,
    events: Vec<Event>,
    due: Vec<Entry>,
    queue: Vec<Token>,
    running: Vec<Token>,
    finished: Vec<Token>,
    from: Instant,
    until: Instant,
}

impl<'t, N: Net> Generator<'t, N> {
    pub fn new(net: N, plan: &'t Plan, target: &'t Target) -> Generator<'t, N> {
        let start = net.now();
        let (from, until) = plan.window(start);
        let open_loop = matches!(plan.arrivals, Arrivals::Open { .. });
        let record = Record::new(from, open_loop, plan.outlasting);
        let desk = Desk { target, shape: plan.shape, record, scratch: vec![0; SCRATCH] };
        Generator {
            desk,
            connections: Slots::new(Kind::Upstream),
            background: Vec::new(),
            wheel: TimerWheel::new(start),
            opens: (0..plan.connections + plan.shape.background())
                .map(|index| Reverse(start + plan.opens_after(index)))
                .collect(),
            schedule: match plan.arrivals {
                Arrivals::Closed => None,
                Arrivals::Open { rate } => Some(Schedule::new(start + plan.warm_up / 2, rate)),
            },
            backlog: VecDeque::new(),
            idle: Vec::new(),
            events: Vec::new(),
            due: Vec::new(),
            queue: Vec::new(),
            running: Vec::new(),
            finished: Vec::new(),
            from,
            until,
            net,
            plan,
        }
    }

    /// Plays one round.
    pub fn run(mut self, watch: &mut dyn Watch) -> io::Result<Round> {
        let start = self.net.now();
        let (mut began, mut glance) = (None, start + GLANCE);
        let mut busy = Duration::ZERO;
        let mut now = start;
        while now < self.until {
            if began.is_none() && now >= self.from {
                watch.on_window();
                now = self.net.now();
                began = Some(now);
            }
            let sleep = self.sleep(began.is_some(), now);
            self.net.poll(&mut self.events, sleep)?;
            let woken = self.net.now();
            let worked = self.turn(woken);
            now = self.net.now();
            if worked {
                self.desk.record.on_turn(now - woken, woken);
                busy += if began.is_some() { now - woken } else { Duration::ZERO };
            }
            if now >= glance {
                glance = now + GLANCE;
                watch.on_progress(self.progress(start, now));
            }
        }
        watch.on_end();
        self.close(now);
        let (open, measured) = (self.connections.len(), now - began.unwrap_or(now));
        Ok(Round { record: self.desk.record, measured, busy, open })
    }

    fn progress(&self, start: Instant, now: Instant) -> Progress {
        Progress {
            elapsed: now - start,
            total: self.until - start,
            open: self.connections.len(),
            tokens: self.desk.record.tokens,
            requests: self.desk.record.requests,
        }
    }

    /// How long the poll may take.
    fn sleep(&self, measuring: bool, now: Instant) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let next_phase = if measuring { self.until } else { self.from };
        let wake = [
            self.opens.peek().map(|Reverse(at)| *at),
            self.wheel.next(),
            Some(next_phase),
            Some(now + GLANCE),
        ];
        let wake = wake.into_iter().flatten().min().unwrap_or(next_phase);
        let Some(asks) = self.schedule.as_ref().map(Schedule::next) else {
            return Some(wake - now);
        };
        // A poll may sleep a millisecond longer than it was asked to.
        let nap = asks.since(now).saturating_sub(AWAKE);
        let nap = Duration::from_millis(nap.as_millis() as u64);
        Some(nap.min(wake - now))
    }

    /// Everything that can be done at `now`. Whether that was anything.
    fn turn(&mut self, now: Instant) -> bool {
        let mut worked = !self.events.is_empty() || !self.queue.is_empty();
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            if event.token.kind() == Kind::Upstream
                && let Some(connection) = self.connections.get_mut(event.token)
            {
                connection.ready.on_event(&event);
                enqueue(&mut self.queue, connection, event.token);
            }
        }
        self.events = events;
        worked |= self.open_due(now);
        worked |= self.ask_due(now);
        self.fire(now);
        std::mem::swap(&mut self.queue, &mut self.running);
        let mut running = std::mem::take(&mut self.running);
        for token in running.drain(..) {
            self.drive(token);
        }
        self.running = running;
        for token in self.finished.drain(..) {
            self.connections.remove(token);
        }
        worked
    }

    fn open_due(&mut self, now: Instant) -> bool {
        let mut opened = false;
        while self.opens.peek().is_some_and(|Reverse(at)| *at <= now) {
            self.opens.pop();
            opened = true;
            // A connection of its own for each request is opened when there is one.
            if self.plan.shape == Shape::Churn && self.schedule.is_some() {
                match self.backlog.pop_front() {
                    Some(due) => self.open(Some(due), now),
                    None => self.idle.push(Token::WAKER),
                }
            } else {
                self.open(None, now);
            }
        }
        opened
    }

    fn open(&mut self, due: Option<Instant>, now: Instant) {
        let Ok(stream) = self.net.connect(self.desk.target.address) else {
            return self.on_failure(Failure::Connect, now);
        };
        self.background.retain(|token| self.connections.get(*token).is_some());
        let background = self.background.len() < self.plan.shape.background();
        let token = self.connections.insert(Connection::new(stream, background, now));
        if background {
            self.background.push(token);
        }
        let Some(connection) = self.connections.get_mut(token) else { return };
        if self.net.register(&mut connection.stream, token).is_err() {
            self.connections.remove(token);
            return self.on_failure(Failure::Connect, now);
        }
        connection.alarm.set(now + self.plan.silence, token, &mut self.wheel);
        match (due, &self.schedule) {
            (None, Some(_)) => self.free(token, now),
            _ => {
                connection.ask(due, now);
                enqueue(&mut self.queue, connection, token);
            }
        }
    }

    fn on_failure(&mut self, failure: Failure, now: Instant) {
        self.desk.record.on_failure(failure, now);
        self.opens.push(Reverse(now + PAUSE));
    }

    /// Open loop: takes the requests that are due, and gives them to connections that have none.
    fn ask_due(&mut self, now: Instant) -> bool {
        let Some(schedule) = &mut self.schedule else { return false };
        let before = self.backlog.len();
        while let Some(due) = schedule.take(now) {
            self.backlog.push_back(due);
        }
        let arrived = self.backlog.len() > before;
        while let Some(due) = self.backlog.front().copied() {
            let Some(token) = self.idle.pop() else { break };
            if token == Token::WAKER {
                self.backlog.pop_front();
                self.open(Some(due), now);
            } else if let Some(connection) = self.connections.get_mut(token) {
                self.backlog.pop_front();
                connection.ask(Some(due), now);
                enqueue(&mut self.queue, connection, token);
            }
        }
        arrived
    }

    /// Open loop: a connection without a request takes the oldest one, or waits for one.
    fn free(&mut self, token: Token, now: Instant) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        match self.backlog.pop_front() {
            Some(due) => {
                connection.ask(Some(due), now);
                enqueue(&mut self.queue, connection, token);
            }
            None => self.idle.push(token),
        }
    }

    fn fire(&mut self, now: Instant) {
        self.wheel.advance(now, &mut self.due);
        let mut due = std::mem::take(&mut self.due);
        for entry in due.drain(..) {
            let Some(connection) = self.connections.get_mut(entry.token) else { continue };
            let silent_until = if connection.is_idle() { now } else { connection.active };
            // Kept lazily: a connection that was heard of is given the rest of its time here.
            connection.alarm.set(silent_until + self.plan.silence, entry.token, &mut self.wheel);
            if connection.alarm.fired(entry, now, &mut self.wheel) {
                // At once, so that nothing drives it in this turn and lets it end a second time.
                self.connections.remove(entry.token);
                self.on_failure(Failure::Silent, now);
            }
        }
        self.due = due;
    }

    fn drive(&mut self, token: Token) {
        let net = &self.net;
        let Some(connection) = self.connections.get_mut(token) else { return };
        connection.queued = false;
        let verdict = loop {
            let verdict = connection.drive(&mut self.desk, &|| net.now());
            // The next request goes out at once: waiting for its turn would be our delay.
            let next = match self.plan.arrivals {
                _ if verdict != Verdict::Answered => break verdict,
                Arrivals::Closed if self.plan.shape == Shape::Idle => break verdict,
                Arrivals::Closed => None,
                Arrivals::Open { .. } => match self.backlog.pop_front() {
                    Some(due) => Some(due),
                    None => break verdict,
                },
            };
            connection.ask(next, net.now());
        };
        match verdict {
            Verdict::Waiting => {}
            Verdict::Again => enqueue(&mut self.queue, connection, token),
            Verdict::Answered if self.schedule.is_some() => self.idle.push(token),
            Verdict::Answered => {}
            Verdict::AnsweredLast | Verdict::Retired => {
                let now = self.net.now();
                self.finished.push(token);
                self.idle.retain(|idle| *idle != token);
                self.opens.push(Reverse(now));
            }
            Verdict::Failed(failure) => {
                let now = self.net.now();
                self.finished.push(token);
                self.on_failure(failure, now);
            }
        }
    }

    /// The end of the round: what is not answered yet is not forgotten.
    fn close(&mut self, now: Instant) {
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

fn enqueue<S>(queue: &mut Vec<Token>, connection: &mut Connection<S>, token: Token) {
    if !std::mem::replace(&mut connection.queued, true) {
        queue.push(token);
    }
}
