//! The watched handler: a gateway inside another handler, which passes on what the loop tells it and
//! has it written down.
//!
//! The gateway and the loop are the production ones and know nothing of this. It changes nothing: a
//! worker that is watched makes the same calls in the same order.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::account::{Kind, Phase, span};
use super::scribe::{LISTENER, Scribe};
use super::words;
use crate::clock::Instant;
use crate::gateway::Gateway;
use crate::gateway::command::Command;
use crate::reactor::count::Counted;
use crate::reactor::net::Event;
use crate::reactor::run::Run;
use crate::reactor::timer::Entry;
use crate::reactor::token::Token;
use crate::reactor::turn::{Cx, Entrance, Handler};
use crate::sim::{Socket, World};

/// A gateway, and who writes down what it does.
pub struct RecordedGateway {
    gateway: Gateway<World>,
    world: World,
    scribe: Rc<RefCell<Scribe>>,
}

impl RecordedGateway {
    pub fn new(
        gateway: Gateway<World>,
        world: World,
        scribe: Rc<RefCell<Scribe>>,
    ) -> RecordedGateway {
        RecordedGateway { gateway, world, scribe }
    }

    /// Writes down what the last call has changed. `why`: the reason of those who were queued by it.
    fn look(&self, cx: &Cx<World>, why: impl Fn(&Scribe, Token) -> String) {
        let mut scribe = self.scribe.borrow_mut();
        scribe.look(self.gateway.outlines(), cx.now);
        for token in scribe.queued(cx.run.queued().collect(), &why) {
            let (lane, why) = (scribe.lane(token), why(&scribe, token));
            scribe.mark(Kind::Queued, lane, "queued", why);
        }
    }

    /// How long the next poll may sleep, or why it may not.
    fn patience(&self, cx: &Cx<World>) -> String {
        if !cx.run.is_idle() {
            return "somebody is queued".to_owned();
        }
        if cx.listen.may_accept() {
            return "somebody may be in the backlog".to_owned();
        }
        let named = [
            (cx.wheel.next().unwrap_or(Instant::NEVER), "the wheel"),
            (cx.listen.resume_at(), "the pause in accepting"),
            (self.gateway.wakes_at(cx), "the gateway"),
        ];
        match named.iter().min_by_key(|(at, _)| *at) {
            Some((at, who)) if *at != Instant::NEVER => {
                format!("at most {}: {who}", span(at.since(cx.now)))
            }
            _ => "no limit: there is no deadline".to_owned(),
        }
    }
}

impl Handler<World> for RecordedGateway {
    type Mail = Command<Socket>;

    fn on_event(&mut self, event: &Event, run: &mut Run) {
        self.gateway.on_event(event, run);
        let outlines = self.gateway.outlines();
        let found = outlines.iter().find(|outline| outline.token == event.token);
        let mut scribe = self.scribe.borrow_mut();
        let pushed =
            scribe.queued(run.queued().collect(), |scribe, owner| match owner == event.token {
                true => "it has news".to_owned(),
                false => format!("{} has news", scribe.name(event.token)),
            });
        scribe.told(event, found.map(|outline| outline.ready), &pushed);
    }

    fn collected(&mut self, cx: &mut Cx<World>) {
        self.scribe.borrow_mut().listens(cx.listen.is_ready(0));
        self.scribe.borrow_mut().enters(Phase::Run);
        self.gateway.collected(cx);
        self.look(cx, |_, _| "its server's connection was closed".to_owned());
    }

    fn drive(&mut self, who: Token, cx: &mut Cx<World>) {
        self.scribe.borrow_mut().drives(who);
        let alarm = |watched: &RecordedGateway| {
            let scribe = watched.scribe.borrow();
            scribe.known(who).map(|outline| (outline.alarm.deadline(), words::is_steady(outline)))
        };
        let before = alarm(self);
        self.gateway.drive(who, cx);
        self.look(cx, |scribe, queued| match queued == who {
            true => "there is more to do, and its budget is spent".to_owned(),
            false => format!("a place came free with {}", scribe.name(who)),
        });
        let untouched = before.is_some_and(|(_, steady)| steady) && alarm(self) == before;
        self.scribe.borrow_mut().driven(who, untouched);
    }

    fn admits(&self, listener: usize, cx: &Cx<World>) -> Entrance {
        self.gateway.admits(listener, cx)
    }

    fn on_accept(&mut self, stream: Socket, from: SocketAddr, listener: usize, cx: &mut Cx<World>) {
        self.scribe.borrow_mut().hear();
        self.gateway.on_accept(stream, from, listener, cx);
        self.look(cx, |_, _| "it is new".to_owned());
    }

    fn on_alarm(&mut self, entry: Entry, cx: &mut Cx<World>) {
        self.scribe.borrow_mut().enters(Phase::Alarms);
        {
            let mut scribe = self.scribe.borrow_mut();
            let known = scribe.known(entry.token).map(|outline| outline.alarm);
            let why = match known {
                None => "its socket is gone",
                Some(alarm) if alarm.armed() != entry.at => "overtaken by a nearer one: void",
                Some(alarm) if alarm.deadline() > cx.now => {
                    "its deadline has moved: it is put back"
                }
                Some(_) => "its deadline is over",
            };
            let lane = scribe.lane(entry.token);
            scribe.mark(Kind::Timer, lane, "an entry of the wheel fires", why);
        }
        self.gateway.on_alarm(entry, cx);
        self.look(cx, |_, _| "its deadline is over".to_owned());
    }

    fn on_time(&mut self, cx: &mut Cx<World>) {
        self.scribe.borrow_mut().enters(Phase::Alarms);
        self.gateway.on_time(cx);
        self.look(cx, |_, _| "the drain is over".to_owned());
    }

    fn on_mail(&mut self, mail: Command<Socket>, cx: &mut Cx<World>) {
        self.scribe.borrow_mut().enters(Phase::Mail);
        let listened = self.world.is_listening();
        self.scribe.borrow_mut().mark(Kind::Mail, LISTENER, words::mail(&mail), "");
        self.gateway.on_mail(mail, cx);
        if listened && !self.world.is_listening() {
            self.scribe.borrow_mut().closes_listener();
        }
        self.look(cx, |_, _| "it was told to look".to_owned());
    }

    fn on_standstill(&mut self, lost: Duration, cx: &mut Cx<World>) {
        self.gateway.on_standstill(lost, cx);
    }

    fn reap(&mut self, cx: &mut Cx<World>) {
        self.scribe.borrow_mut().enters(Phase::Reap);
        self.gateway.reap(cx);
        self.look(cx, |_, _| "buffers came free".to_owned());
    }

    fn wakes_at(&self, cx: &Cx<World>) -> Instant {
        self.gateway.wakes_at(cx)
    }

    fn turned(&mut self, events: usize, cx: &mut Cx<World>) {
        self.gateway.turned(events, cx);
        let patience = self.patience(cx);
        self.scribe.borrow_mut().turned(patience);
    }

    fn is_over(&self) -> bool {
        self.gateway.is_over()
    }

    fn count(&self, what: Counted) {
        self.gateway.count(what);
        let mut scribe = self.scribe.borrow_mut();
        match what {
            Counted::Poll | Counted::Pause => scribe.polls(),
            Counted::Events(_) => scribe.polled(self.world.time()),
            Counted::Accept => scribe.enters(Phase::Accept),
            Counted::Drained => scribe.drained(),
            Counted::Exhausted => scribe.hear(),
            Counted::EmptyPoll | Counted::Standstill => {}
        }
    }
}
