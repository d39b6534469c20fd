//! An echo server: the smallest handler there is.
//!
//! It sends back what it reads, one read a drive, and hangs up on a client that says nothing for
//! [`SILENCE`]. Any message ends it.

use std::io::Result;
use std::net::SocketAddr;
use std::time::Duration;

use sluicegate::reactor::net::{Event, Net, Stream};
use sluicegate::reactor::readiness::Readiness;
use sluicegate::reactor::run::Run;
use sluicegate::reactor::slots::Slots;
use sluicegate::reactor::timer::{Alarm, Entry};
use sluicegate::reactor::token::{Kind, Token};
use sluicegate::reactor::turn::{Cx, Handler};

use crate::bytes::{receive, send};

pub const SILENCE: Duration = Duration::from_secs(2);

pub struct Echo<S> {
    clients: Slots<Client<S>>,
    over: bool,
}

struct Client<S> {
    stream: S,
    ready: Readiness,
    alarm: Alarm,
    /// Read, and not sent back yet.
    unsent: Vec<u8>,
}

impl<S> Echo<S> {
    pub fn new() -> Echo<S> {
        Echo { clients: Slots::new(Kind::Downstream), over: false }
    }
}

impl<N: Net> Handler<N> for Echo<N::Stream> {
    type Mail = ();

    fn on_accept(&mut self, stream: N::Stream, _: SocketAddr, _: usize, cx: &mut Cx<N>) {
        let (ready, alarm, unsent) = (Readiness::born(), Alarm::default(), Vec::new());
        let token = self.clients.insert(Client { stream, ready, alarm, unsent });
        let client = self.clients.get_mut(token).expect("it was put in just now");
        client.alarm.set(cx.now + SILENCE, token, &mut cx.wheel);
        if cx.net.register(&mut client.stream, token).is_err() {
            cx.run.reap(token);
        }
    }

    fn on_event(&mut self, event: &Event, run: &mut Run) {
        // A client that is gone has no slot, and another one in its place has another token.
        if let Some(client) = self.clients.get_mut(event.token) {
            client.ready.on_event(event);
            run.push(event.token);
        }
    }

    fn drive(&mut self, who: Token, cx: &mut Cx<N>) {
        let Some(client) = self.clients.get_mut(who) else { return };
        client.alarm.set(cx.now + SILENCE, who, &mut cx.wheel);
        match client.echo() {
            Ok(true) if client.unsent.is_empty() && client.ready.readable() => cx.run.push(who),
            Ok(true) => {}
            Ok(false) | Err(_) => cx.run.reap(who),
        }
    }

    fn on_alarm(&mut self, entry: Entry, cx: &mut Cx<N>) {
        let Some(client) = self.clients.get_mut(entry.token) else { return };
        if client.alarm.fired(entry, cx.now, &mut cx.wheel) {
            cx.run.reap(entry.token);
        }
    }

    fn on_mail(&mut self, (): (), _: &mut Cx<N>) {
        self.over = true;
    }

    fn reap(&mut self, cx: &mut Cx<N>) {
        while let Some(token) = cx.run.next_reaped() {
            // Dropping the stream closes it.
            drop(self.clients.remove(token));
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

impl<S: Stream> Client<S> {
    /// Sends what is left, and reads once if nothing is. Whether the connection goes on.
    fn echo(&mut self) -> Result<bool> {
        let Client { stream, ready, unsent, .. } = self;
        send(stream, ready, unsent)?;
        if !unsent.is_empty() || !ready.readable() {
            return Ok(true);
        }
        let open = receive(stream, ready, unsent)?;
        send(stream, ready, unsent)?;
        Ok(open)
    }
}
