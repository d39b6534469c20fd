//! Gather: reads a request's body ahead of its first attempt, where it decides something.
//!
//! Two things can depend on it: which endpoint knows the prompt or the user (`balance` by prompt or
//! field), and which model is asked for (`model` of an upstream, which replaces the request's own:
//! `naming.rs`). The body is kept as every body is, up to `replay_bytes`; what does not fit is sent
//! as it came. In front of a model that is replaced, more of it is held.
//!
//! A third thing is read when a stream begins: how many choices it is to have, which tells its end.
//! Nearly every request asks for one, and to see that takes one search for `"n"`.

use crate::clock::Instant;
use crate::config::snapshot::{Balance, HashKey};
use crate::flow::relay::{self, Broken, Budget, Flow, Rest};
use crate::gateway::Gateway;
use crate::gateway::client::request::takes_interim;
use crate::gateway::record::exchange::{Exchange, Gather, KeyIn};
use crate::gateway::record::peer::{Line, Peer};
use crate::gateway::record::request_body::{LOOK_MAX, look};
use crate::gateway::record::verdict::Step;
use crate::proxy::balance::key;
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::wire::buffer::CAPACITY;
use crate::wire::buffers::BufferPool;
use crate::wire::outbox::Outbox;

/// How far into a body a prompt may begin whose key is wanted.
const PROMPT_START_MAX: usize = 16 << 10;

impl<N: Net> Gateway<N> {
    /// Reads as much of the body as is wanted before an endpoint is chosen. `None`: that is here.
    pub(crate) fn gather(
        &mut self,
        token: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Option<Step> {
        let now = cx.now;
        let downstream = self.downstreams.get_mut(token)?;
        let exchange = downstream.exchange.as_deref_mut()?;
        if matches!(exchange.peer, Peer::Seeking { line: Line::Called, .. }) {
            // What was read in line, as far as it has come: a place waits for no body.
            exchange.gather = Gather::Nothing;
        }
        let (gather, body_max) = (exchange.gather, exchange.body_max());
        let by_plugins = exchange.body_wanted_by_plugins();
        if gather == Gather::Nothing && by_plugins.is_none() {
            return None;
        }
        let wanted = exchange.wanted_bytes().max(by_plugins.unwrap_or(0));
        if exchange.give_leave() && takes_interim(exchange.client) {
            let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
            downstream.socket.outbox.push(go_on, &mut self.desk.buffers);
            let _ = downstream.socket.flush(None, &mut self.desk);
        }
        let limits = &exchange.snapshot.limits;
        let (searched, translated) =
            (limits.model_search_bytes as u64, limits.translate_bytes as u64);
        let Exchange { outbox, request, timeline, aside, snapshot, .. } = exchange;
        let undecided = aside.as_ref().and_then(|aside| aside.undecided.as_ref());
        // To find the model, or what decides about the route, more of the body is read.
        let enough = |flow: &Flow, outbox: &Outbox, buffers: &BufferPool| {
            let received = flow.body.received();
            let waits = match undecided {
                None => flow.watch.is_searched(),
                Some(undecided) => undecided.waits(&flow.watch, &snapshot.routes),
            };
            let searches = waits && received < searched.min(body_max);
            let gives_up = match gather {
                Gather::Model { .. } => is_scarce(outbox, buffers),
                Gather::Translated { .. } | Gather::Encoded => {
                    received > translated || is_scarce(outbox, buffers)
                }
                Gather::Nothing | Gather::Key(_) | Gather::Whole => false,
            };
            gives_up || received >= wanted && !searches
        };
        let before = request.body.received();
        let rest =
            relay::keep(&mut downstream.socket, outbox, request, enough, budget, &mut self.desk);
        if request.body.received() > before {
            (timeline.request_moved, timeline.moved) = (now, now);
        }
        let fault = match rest {
            Ok(Rest::Ended) if request.body.received() > body_max => DownstreamFault::BodyTooLarge,
            Ok(Rest::Ended) if gather == Gather::Encoded => return Some(self.decode(token, cx)),
            Ok(Rest::Ended) if exchange.is_undecided() => return Some(self.decide(token, cx)),
            Ok(Rest::Ended) => return self.read_gathered(token, now),
            Ok(Rest::Budget) => return Some(Step::Yield),
            Ok(Rest::Dry { needs }) => return Some(Step::Thirsty(needs)),
            Ok(Rest::SourceEmpty | Rest::SinkFull) => return Some(Step::Wait),
            Err(Broken::Framing(error)) => DownstreamFault::Chunk(error),
            Err(Broken::Unfinished) => match exchange.request.watch.unclear() {
                Some(unclear) => DownstreamFault::Model(unclear),
                None => DownstreamFault::Gone,
            },
            Err(_) => DownstreamFault::Gone,
        };
        Some(Step::Over(Err(Fault::Downstream(fault))))
    }

    /// Asks the plugins about what is here, and reads it. `None`: an endpoint can be chosen.
    fn read_gathered(&mut self, token: Token, now: Instant) -> Option<Step> {
        let exchange = self.downstreams.get_mut(token)?.exchange.as_deref_mut()?;
        let (nudge, buffers) = (&self.nudge, &mut self.desk.buffers);
        let read = match exchange.consult(&|| nudge.wake(token), buffers) {
            Ok(false) => return Some(Step::Wait),
            Ok(true) if matches!(exchange.peer, Peer::Responder { .. }) => {
                return Some(Step::Again);
            }
            Ok(true) => exchange.read_request(buffers, now),
            Err(fault) => Err(fault),
        };
        read.err().map(|fault| Step::Over(Err(fault)))
    }

    /// Has the model, which is here, decide which route the request takes.
    fn decide(&mut self, token: Token, cx: &mut Cx<N>) -> Step {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        let scarce = exchange.is_some_and(|exchange| {
            exchange.request.watch.is_searched() && is_scarce(&exchange.outbox, &self.desk.buffers)
        });
        let chosen = match scarce {
            true => Err(Fault::Local(LocalFault::Buffers)),
            false => self.choose_by_model(token, cx).map_err(Fault::Downstream),
        };
        // What its route wants to be read may be more.
        chosen.map_or_else(|fault| Step::Over(Err(fault)), |()| Step::Again)
    }
}

impl Exchange {
    /// How much of the body is wanted whatever is searched in it.
    fn wanted_bytes(&self) -> u64 {
        match self.gather {
            _ if self.seeks_stored() => u64::MAX,
            // Wherever the prompt begins, so much of it has come then: alike prompts have alike keys,
            // however their bytes arrive.
            Gather::Key(key) | Gather::Model { key: Some(key) } => key
                .prompt_bytes()
                .map_or(u64::MAX, |length| u64::from(length) + PROMPT_START_MAX as u64),
            Gather::Nothing | Gather::Model { key: None } => 0,
            Gather::Translated { .. } | Gather::Encoded | Gather::Whole => u64::MAX,
        }
    }

    /// Reads what is wanted from the body that has been kept.
    fn read_request(&mut self, buffers: &mut BufferPool, now: Instant) -> Result<(), Fault> {
        let gather = std::mem::replace(&mut self.gather, Gather::Nothing);
        let key = gather.key();
        if let Gather::Model { .. } = gather {
            let wanted = self.request.watch.is_searched() && self.request.watch.is_needed();
            if wanted && is_scarce(&self.outbox, buffers) {
                return Err(Fault::Local(LocalFault::Buffers));
            }
            self.frame(buffers);
        }
        if self.seeks_stored() {
            self.read_stored(now);
        }
        if let Some(key) = key {
            self.aside_mut().key = self.key_in(key);
        }
        if let Gather::Translated { .. } = gather {
            self.translate(buffers)?;
        }
        Ok(())
    }

    /// The key in what has been kept of the body.
    fn key_in(&self, place: KeyIn) -> Option<u64> {
        let body = self.payload_in(&self.outbox, LOOK_MAX);
        let Some(length) = place.prompt_bytes() else {
            let Balance::Hash(HashKey::Field(path)) = &self.upstream()?.balance else {
                return None;
            };
            return key::of_member(&body, path);
        };
        let look = look(&body, length as usize);
        let near = look.prompt_at().is_some_and(|at| at <= PROMPT_START_MAX);
        look.prompt_hash().filter(|_| near)
    }
}

/// Whether no more may be held, because buffers are scarce.
fn is_scarce(outbox: &Outbox, buffers: &BufferPool) -> bool {
    outbox.length() > CAPACITY && !buffers.may_keep()
}
