//! Decoding: a request in a coding whose body has to be read.
//!
//! Its whole body is read first, up to `limits.translate_bytes`, and decoded at once. From then on the
//! request is one that had come like that: without `Content-Encoding`, with a `Content-Length`, and with
//! all of its body here. It finds its route anew, and nobody further on knows that it was encoded.
//!
//! * Only where the body is read: its model decides the route or is replaced, it is translated, its prompt
//!   or a field of it chooses the endpoint, or the route says so (`decode_requests`). Any other request
//!   passes as it came.
//! * What lies beside the buffers meanwhile is its body twice, as it came and decoded, for one step.

use std::rc::Rc;

use crate::flow::relay::{Flow, Mode};
use crate::flow::watchers::BodyWatcher;
use crate::gateway::Gateway;
use crate::gateway::record::exchange::{Exchange, Gather};
use crate::gateway::record::peer::{Line, Peer};
use crate::gateway::record::verdict::Step;
use crate::http::body::Framing;
use crate::http::coding::{Coding, Undecodable, decode_whole};
use crate::http::head::{FieldSlots, HeadLimits, RequestHead, parse_request};
use crate::http::rewrite::{self, Refit};
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault};
use crate::proxy::route::{Asker, Model};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::service::naming::Unclear;
use crate::wire::buffer::CAPACITY;
use crate::wire::outbox::Outbox;

/// Fields that tell of the body as it came.
const OF_THE_CODED_BODY: [&str; 5] =
    ["content-encoding", "content-digest", "content-md5", "digest", "expect"];

impl<N: Net> Gateway<N> {
    /// Decodes a request whose body is here, and has it find its route.
    pub(crate) fn decode(&mut self, token: Token, cx: &mut Cx<N>) -> Step {
        match self.take_decoded(token, cx) {
            Ok(()) => Step::Again,
            Err(fault) => Step::Over(Err(fault)),
        }
    }

    fn take_decoded(&mut self, token: Token, cx: &mut Cx<N>) -> Result<(), Fault> {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Ok(()) };
        let (client, https) = (downstream.address, downstream.socket.is_sealed());
        let certificate = downstream.socket.peer();
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return Ok(()) };
        let Some(coded) = exchange.aside_mut().encoded.take() else { return Ok(()) };
        let snapshot = Rc::clone(&exchange.snapshot);
        let limits = &snapshot.limits;
        let body = exchange.decode_body(&coded, limits.translate_bytes)?;
        let mut plain = Vec::with_capacity(coded.len() + 32);
        let length = body.len() as u64;
        let refit = Refit { length, withheld: &OF_THE_CODED_BODY, ..Refit::default() };
        rewrite::refit(&coded, &refit, &mut plain);
        let limits = HeadLimits { bytes: limits.head_bytes + 32, fields: limits.headers };
        let mut slots = FieldSlots::new();
        let head = parse_request(&plain, &mut slots, &limits).ok().flatten();
        let Some(head) = head else {
            debug_assert!(false, "a head stays one without some of its fields");
            return Err(Fault::Downstream(DownstreamFault::Undecodable));
        };
        exchange.outbox.clear(&mut self.desk.buffers);
        exchange.outbox =
            Outbox::keeping_within(snapshot.limits.replay_bytes, &mut self.desk.buffers);
        exchange.request = Flow::new(head.framing, Mode::Keep);
        exchange.gather = Gather::Nothing;
        exchange.aside_mut().decoded = true;
        let model = if body.is_empty() { Model::Unnamed } else { Model::Unread };
        let asker = Asker { id: exchange.id.as_bytes(), certificate };
        let routed = snapshot.route_of(&head, model, asker);
        let groups = &mut self.groups;
        let routed = exchange.told_in_words_of(&head, routed).map_err(Fault::Downstream)?;
        let routed = exchange.by_model_of_key(routed, &head);
        exchange
            .enter(routed, (&head, &body, certificate), &snapshot, groups, cx.now)
            .map_err(Fault::Downstream)?;
        let (draft, _) = self.scratch.begin();
        exchange.write_draft(&head, client, https, draft);
        exchange.outbox.stow(draft, &mut self.desk.buffers);
        // All of it is here: it passes the scanner of its new framing, and whoever looks for a model.
        let Exchange { request, outbox, .. } = exchange;
        let _ = request.body.scan(&body, |data| request.watch.feed(data));
        for piece in body.chunks(CAPACITY) {
            if outbox.length() > CAPACITY && !self.desk.buffers.may_keep() {
                return Err(Fault::Local(LocalFault::Buffers));
            }
            outbox.push(piece, &mut self.desk.buffers);
        }
        // One that can be read in two ways is refused, as where it comes without a coding.
        match request.watch.end(request.body.framing()) {
            Ok(()) => Ok(()),
            Err(_) => {
                let unclear = request.watch.unclear().unwrap_or(Unclear::Ambiguous);
                Err(Fault::Downstream(DownstreamFault::Model(unclear)))
            }
        }
    }
}

impl Exchange {
    /// Has the whole body read and decoded, if it is in a coding that is known here: whether it is. `must`:
    /// one that is not is refused, and not left to whoever cannot read it.
    pub(crate) fn awaits_decoding(
        &mut self,
        head: &RequestHead<'_>,
        must: bool,
    ) -> Result<bool, DownstreamFault> {
        if !head.encoded {
            return Ok(false);
        }
        let bodiless = matches!(head.framing, Framing::None | Framing::Length(0));
        match Coding::of(head.values("content-encoding")) {
            Ok(None) => return Ok(false),
            _ if bodiless => return Ok(false),
            Ok(Some(_)) => {}
            Err(_) if must => return Err(DownstreamFault::Model(Unclear::Encoded)),
            Err(_) => return Ok(false),
        }
        self.peer = Peer::Seeking { fresh: false, line: Line::New };
        self.request.mode = Mode::Payload;
        self.gather = Gather::Encoded;
        self.aside_mut().encoded = Some(head.raw.into());
        Ok(true)
    }

    /// The body that is here, decoded; `coded`: its head.
    fn decode_body(&self, coded: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
        if self.request.body.received() > most as u64 {
            return Err(Fault::Downstream(DownstreamFault::DecodedTooLarge));
        }
        if !self.request.body.is_complete() {
            return Err(Fault::Local(LocalFault::Buffers));
        }
        let coding = Coding::of(rewrite::values_of(coded, b"content-encoding"));
        let Ok(Some(coding)) = coding else {
            return Err(Fault::Downstream(DownstreamFault::Model(Unclear::Encoded)));
        };
        decode_whole(coding, &self.outbox.copy(usize::MAX), most).map_err(|error| {
            Fault::Downstream(match error {
                Undecodable::Malformed | Undecodable::Window => DownstreamFault::Undecodable,
                Undecodable::Bomb => DownstreamFault::DecodedTooLarge,
            })
        })
    }
}
