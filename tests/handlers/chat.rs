//! A line chat: what one client says, all the others hear, and a message from another thread too.
//!
//! Whoever does not read fast enough to keep [`BACKLOG_MAX`] bytes at bay is sent away.

use std::io::Result;
use std::net::SocketAddr;

use sluicegate::reactor::net::{Event, Net, Stream};
use sluicegate::reactor::readiness::Readiness;
use sluicegate::reactor::run::Run;
use sluicegate::reactor::slots::Slots;
use sluicegate::reactor::timer::Entry;
use sluicegate::reactor::token::{Kind, Token};
use sluicegate::reactor::turn::{Cx, Handler};

use crate::bytes::{receive, send};

pub const BACKLOG_MAX: usize = 64 << 10;

pub struct Chat<S> {
    guests: Slots<Guest<S>>,
    over: bool,
}

struct Guest<S> {
    stream: S,
    ready: Readiness,
    /// The beginning of a line.
    said: Vec<u8>,
    unheard: Vec<u8>,
}

/// What another thread sends: a line for all, or the end.
pub type Mail = Option<String>;

impl<S: Stream> Chat<S> {
    pub fn new() -> Chat<S> {
        Chat { guests: Slots::new(Kind::Downstream), over: false }
    }

    /// Gives a line to all but its speaker, who are driven in the next run.
    fn tell(&mut self, line: &[u8], speaker: Option<Token>, run: &mut Run) {
        for token in self.guests.tokens().into_iter().filter(|token| Some(*token) != speaker) {
            if let Some(guest) = self.guests.get_mut(token) {
                guest.unheard.extend(line);
                run.push(token);
            }
        }
    }
}

impl<N: Net> Handler<N> for Chat<N::Stream> {
    type Mail = Mail;

    fn on_accept(&mut self, stream: N::Stream, _: SocketAddr, _: usize, cx: &mut Cx<N>) {
        let (said, unheard) = (Vec::new(), Vec::new());
        let token = self.guests.insert(Guest { stream, ready: Readiness::born(), said, unheard });
        let guest = self.guests.get_mut(token).expect("it was put in just now");
        if cx.net.register(&mut guest.stream, token).is_err() {
            cx.run.reap(token);
        }
    }

    fn on_event(&mut self, event: &Event, run: &mut Run) {
        if let Some(guest) = self.guests.get_mut(event.token) {
            guest.ready.on_event(event);
            run.push(event.token);
        }
    }

    fn drive(&mut self, who: Token, cx: &mut Cx<N>) {
        let Some(guest) = self.guests.get_mut(who) else { return };
        let heard = guest.hear().is_ok() && guest.unheard.len() < BACKLOG_MAX;
        if !heard || !guest.listen().unwrap_or(false) {
            return cx.run.reap(who);
        }
        while let Some(guest) = self.guests.get_mut(who)
            && let Some(end) = guest.said.iter().position(|byte| *byte == b'\n')
        {
            let line: Vec<u8> = guest.said.drain(..=end).collect();
            self.tell(&line, Some(who), &mut cx.run);
        }
    }

    fn on_alarm(&mut self, _: Entry, _: &mut Cx<N>) {}

    fn on_mail(&mut self, mail: Mail, cx: &mut Cx<N>) {
        match mail {
            Some(line) => self.tell(line.as_bytes(), None, &mut cx.run),
            None => self.over = true,
        }
    }

    fn reap(&mut self, cx: &mut Cx<N>) {
        while let Some(token) = cx.run.next_reaped() {
            drop(self.guests.remove(token));
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

impl<S: Stream> Guest<S> {
    /// Reads what the guest says. Whether the guest stays.
    fn listen(&mut self) -> Result<bool> {
        while self.ready.readable() {
            if !receive(&mut self.stream, &mut self.ready, &mut self.said)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes what others have said.
    fn hear(&mut self) -> Result<()> {
        send(&mut self.stream, &mut self.ready, &mut self.unheard)
    }
}
