//! The scribe: writes down what happens to each socket.
//!
//! It hears from two sides. The world tells of every call and of what the network did
//! ([`World::notes_since`]); the worker tells how its connections stand
//! ([`Gateway::outlines`](crate::gateway::Gateway::outlines)). A call changes readiness by the rules
//! of [`Readiness`], which the scribe applies in its own copy, so that each call has its bits; at the
//! end of each step the copy is compared with the worker's, and what differs is a mark of its own.

mod notes;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::account::{Account, Kind, Lane, LaneKind, Mark, Moved, Phase, Turn, span};
use super::words;
use crate::clock::Instant;
use crate::gateway::report::outline::{Outline, Side};
use crate::reactor::net::Event;
use crate::reactor::readiness::Readiness;
use crate::reactor::token::Token;
use crate::sim::World;

/// The lane of the listener.
pub const LISTENER: usize = 0;

/// Turns what it hears into a [`Account`].
pub struct Scribe {
    world: World,
    /// Notes of the world that were heard.
    seen: usize,
    pub account: Account,
    /// The servers, in the order of their letters.
    servers: Vec<SocketAddr>,
    by_connection: BTreeMap<usize, usize>,
    /// By the bits of a token. One that is freed stays: an event may still name it.
    by_token: BTreeMap<u64, usize>,
    /// How the connections stood when they were last looked at.
    known: Vec<Outline>,
    /// The ready queue as it was then.
    queue: Vec<Token>,
    reasons: BTreeMap<u64, Vec<String>>,
    phase: Phase,
    /// Whether a turn is under way.
    open: bool,
    /// What the next poll may wait for.
    pub patience: String,
    /// The clock of the last turn.
    last: Instant,
}

impl Scribe {
    /// Begins with an empty account of `world`, whose trace it will read.
    pub fn new(world: World, servers: Vec<SocketAddr>) -> Scribe {
        world.record();
        let begin = world.time();
        let listener = Lane {
            name: "listener".to_owned(),
            kind: LaneKind::Listener,
            about: "the worker's own, with a backlog".to_owned(),
            ready: Readiness::listening(),
        };
        Scribe {
            world,
            seen: 0,
            account: Account { begin, lanes: vec![listener], turns: Vec::new(), stopped: false },
            servers,
            by_connection: BTreeMap::new(),
            by_token: BTreeMap::new(),
            known: Vec::new(),
            queue: Vec::new(),
            reasons: BTreeMap::new(),
            phase: Phase::Poll,
            open: false,
            patience: "the backlog comes first".to_owned(),
            last: begin,
        }
    }

    /// The name of the socket with this token.
    pub fn name(&self, token: Token) -> &str {
        let lane = self.by_token.get(&token.to_bits());
        lane.map_or("nobody", |lane| &self.account.lanes[*lane].name)
    }

    pub fn lane(&self, token: Token) -> usize {
        self.by_token.get(&token.to_bits()).copied().unwrap_or(LISTENER)
    }

    // Turns and phases.

    /// The loop is about to poll.
    pub fn polls(&mut self) {
        if !std::mem::replace(&mut self.open, true) {
            let number = self.account.turns.len() + 1;
            let patience = std::mem::take(&mut self.patience);
            let (at, slept) = (self.last, std::time::Duration::ZERO);
            self.account.turns.push(Turn { number, at, slept, patience, marks: Vec::new() });
        }
        self.phase = Phase::Poll;
    }

    /// A phase begins. What has happened until now belongs to the one before.
    pub fn enters(&mut self, phase: Phase) {
        self.hear();
        self.phase = phase;
    }

    /// The poll has ended, and the clock was read.
    pub fn polled(&mut self, now: Instant) {
        if let Some(turn) = self.account.turns.last_mut() {
            turn.slept = now.since(self.last);
            turn.at = now;
        }
        self.last = now;
        self.enters(Phase::Collect);
    }

    /// The turn is over.
    pub fn turned(&mut self, patience: String) {
        self.hear();
        self.open = false;
        self.patience = patience;
    }

    // Marks.

    pub fn mark(
        &mut self,
        kind: Kind,
        lane: usize,
        what: impl Into<String>,
        why: impl Into<String>,
    ) {
        let at = self.world.time();
        let (phase, what, why) = (self.phase, what.into(), why.into());
        self.push(Mark { phase, kind, lane, at, what, bits: None, moved: None, why });
    }

    fn push(&mut self, mark: Mark) {
        if let Some(turn) = self.account.turns.last_mut() {
            turn.marks.push(mark);
        }
    }

    /// A mark of something that may have changed readiness by `change`.
    fn evidence(
        &mut self,
        lane: usize,
        what: String,
        why: &str,
        moved: Option<Moved>,
        change: impl FnOnce(&mut Readiness),
    ) {
        let ready = &mut self.account.lanes[lane].ready;
        let before = *ready;
        change(ready);
        let bits = Some((before, *ready));
        let (phase, at, why) = (self.phase, self.world.time(), why.to_owned());
        self.push(Mark { phase, kind: Kind::Call, lane, at, what, bits, moved, why });
    }

    /// The poll told something of a connection. `pushed`: who was queued for it.
    pub fn told(&mut self, event: &Event, found: Option<Readiness>, pushed: &[Token]) {
        let facts = [
            (event.readable, "readable"),
            (event.writable, "writable"),
            (event.read_closed, "FIN"),
            (event.errored, "error"),
        ];
        let facts: Vec<&str> = facts.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        let lane = self.lane(event.token);
        let before = self.account.lanes[lane].ready;
        let why = match (found, pushed) {
            (None, _) => "an old token: nothing is found".into(),
            (_, [owner, ..]) => format!("queues {}", self.name(*owner)),
            (Some(_), []) => self.why_nobody(event.token),
        };
        let bits = found.map(|after| (before, after));
        if let Some(after) = found {
            self.account.lanes[lane].ready = after;
        }
        let (phase, at) = (self.phase, self.world.time());
        let what = format!("event: {}", facts.join(", "));
        self.push(Mark { phase, kind: Kind::Event, lane, at, what, bits, moved: None, why });
    }

    /// Why an event queued nobody.
    fn why_nobody(&self, token: Token) -> String {
        let known = self.known.iter().find(|outline| outline.token == token);
        match known.map(|outline| outline.side) {
            Some(Side::Server { owner: None, closed: false, .. }) => {
                "it is idle and speaks: it is dead".to_owned()
            }
            Some(Side::Server { owner: Some(owner), .. }) => {
                format!("{} is queued already", self.name(owner))
            }
            _ => "queued already".to_owned(),
        }
    }

    /// The readiness of the listener, as the loop has it.
    pub fn listens(&mut self, ready: bool) {
        let before = self.account.lanes[LISTENER].ready;
        if ready && !before.readable() {
            let after = Readiness::listening();
            self.account.lanes[LISTENER].ready = after;
            let (phase, at) = (self.phase, self.world.time());
            let (what, why) =
                ("event: readable".to_owned(), "somebody is in the backlog".to_owned());
            let bits = Some((before, after));
            let kind = Kind::Event;
            self.push(Mark { phase, kind, lane: LISTENER, at, what, bits, moved: None, why });
        }
    }

    /// An accept found the backlog empty.
    pub fn drained(&mut self) {
        let why = "the backlog is empty: this clears the bit";
        self.evidence(LISTENER, "accept() = EAGAIN".into(), why, None, Readiness::nothing_to_read);
    }

    /// The listener is closed.
    pub fn closes_listener(&mut self) {
        self.account.lanes[LISTENER].ready.nothing_to_read();
        self.mark(Kind::Freed, LISTENER, "close()", "no connection is taken any more");
    }

    // The queue.

    /// The loop has taken `who` out of the queue, to be driven.
    pub fn drives(&mut self, who: Token) {
        if let Some(position) = self.queue.iter().position(|queued| *queued == who) {
            self.queue.remove(position);
        }
        let reasons = self.reasons.remove(&who.to_bits()).unwrap_or_default();
        self.mark(Kind::Driven, self.lane(who), "driven", reasons.join("; "));
    }

    /// Who has been queued since the last look, and why. Returns them.
    pub fn queued(
        &mut self,
        queue: Vec<Token>,
        why: impl Fn(&Scribe, Token) -> String,
    ) -> Vec<Token> {
        let pushed = queue.get(self.queue.len()..).unwrap_or_default().to_vec();
        for token in &pushed {
            let why = why(self, *token);
            self.reasons.entry(token.to_bits()).or_default().push(why);
        }
        self.queue = queue;
        pushed
    }

    /// The drive of `who` is over: what can be said of it as a whole.
    pub fn driven(&mut self, who: Token, alarm_untouched: bool) {
        let lane = self.lane(who);
        let marks = self.account.turns.last().map_or(&[][..], |turn| &turn.marks);
        let since = marks.iter().rev().take_while(|mark| mark.kind != Kind::Driven);
        let called = since.clone().any(|mark| mark.kind == Kind::Call);
        if since.count() == 0 {
            self.mark(Kind::Remark, lane, "nothing to do", "the next move is not ours");
        } else if called && alarm_untouched {
            let why = "the short way leaves the alarm alone";
            self.mark(Kind::Timer, lane, "timer: untouched", why);
        }
    }

    // How connections stand.

    /// Looks at every connection, and marks what is different.
    pub fn look(&mut self, outlines: Vec<Outline>, now: Instant) {
        self.hear();
        let known = std::mem::take(&mut self.known);
        for outline in &outlines {
            let before = known.iter().find(|known| known.token == outline.token);
            let lane = self.lane(outline.token);
            let shown = self.account.lanes[lane].ready;
            if shown != outline.ready {
                self.differs(lane, shown, outline.ready);
            }
            self.compare(lane, outline, before);
            self.holds(lane, outline, before, &outlines);
            let deadline = outline.alarm.deadline();
            let set = before.map(|before| before.alarm.deadline());
            if deadline != set.unwrap_or(Instant::NEVER) && deadline != Instant::NEVER {
                let what = format!("{} in {}", words::timer(outline), span(deadline.since(now)));
                let why = match words::has_new_entry(outline, before) {
                    true => "an entry in the wheel",
                    false => "a store; its entry in the wheel stays",
                };
                self.mark(Kind::Timer, lane, format!("timer: {what}"), why);
            }
        }
        self.known = outlines;
    }

    fn differs(&mut self, lane: usize, before: Readiness, after: Readiness) {
        self.account.lanes[lane].ready = after;
        let (phase, at) = (self.phase, self.world.time());
        let (what, why) = match after.errored() {
            true => ("bits are set", "a write failed: a read will tell how"),
            false => ("a bit is set", "the next call will tell the truth"),
        };
        let (what, why, bits) = (what.to_owned(), why.to_owned(), Some((before, after)));
        self.push(Mark { phase, kind: Kind::Bits, lane, at, what, bits, moved: None, why });
    }

    fn compare(&mut self, lane: usize, outline: &Outline, before: Option<&Outline>) {
        let stand = |scribe: &Scribe, outline: &Outline| {
            let owner = match outline.side {
                Side::Server { owner: Some(owner), .. } => Some(scribe.name(owner)),
                _ => None,
            };
            words::stand(outline, owner)
        };
        let commit = |outline: &Outline| match outline.side {
            Side::Client { exchange: Some(stage), .. } => Some(stage.commit),
            _ => None,
        };
        if let Some(now) = commit(outline) {
            for (what, why) in words::commits(now, before.and_then(commit)) {
                self.mark(Kind::Commit, lane, what, why);
            }
        }
        let now = stand(self, outline);
        if before.map(|before| stand(self, before)).as_ref() != Some(&now) {
            let why = words::consequence(&now);
            self.mark(Kind::Step, lane, now, why);
        }
    }

    /// What a server's connection holds that its client has not got.
    fn holds(&mut self, lane: usize, outline: &Outline, before: Option<&Outline>, all: &[Outline]) {
        let more = outline.held > 0 && before.is_none_or(|before| before.held != outline.held);
        if let (true, Side::Server { owner: Some(owner), .. }) = (more, outline.side) {
            let roomy = all.iter().any(|other| other.token == owner && other.ready.writable());
            let why = match roomy {
                true => "read, and not passed on yet",
                false => "they leave before more is read",
            };
            self.mark(Kind::Remark, lane, format!("{} bytes are held", outline.held), why);
        }
    }

    /// Whether the connection stood like this when it was last looked at.
    pub fn known(&self, token: Token) -> Option<&Outline> {
        self.known.iter().find(|outline| outline.token == token)
    }
}
