//! Models: which model a request names, and which model has answered it.
//!
//! * A request is read where it is kept: while it is sent, or at its end if it was sent nowhere.
//! * Nothing is read where nobody wants to know: without an admin address and without a journal.

use std::borrow::Cow;

use crate::gateway::Gateway;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::peer::Peer;
use crate::gateway::record::request_body::{LOOK_MAX, NEAR_MAX, look};
use crate::http::body::Framing;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::wire::outbox::Outbox;

impl<N: Net> Gateway<N> {
    /// Notes at the end of an exchange which model was asked for and which has answered, as far as
    /// they were named.
    #[cold]
    pub(crate) fn learn_models(&self, token: Token, exchange: &mut Exchange) {
        exchange.learn_model();
        let client = self.downstreams.get(token);
        let rest = client.map_or(&[][..], |client| client.socket.unscanned());
        match exchange.peer {
            Peer::Upstream(connection) => {
                if let Some(upstream) = self.upstreams.get(connection) {
                    exchange.learn_model_asked(&upstream.socket.outbox, &[]);
                }
            }
            _ => {
                let outbox = std::mem::take(&mut exchange.outbox);
                exchange.learn_model_asked(&outbox, rest);
                exchange.outbox = outbox;
            }
        }
    }
}

impl Exchange {
    /// The model that the client has asked for, as far as its request lies in `outbox` and, behind
    /// that, in `rest`.
    fn model_asked_in(&self, outbox: &Outbox, rest: &[u8]) -> Option<Box<str>> {
        if let Some(own) = self.model_in_path().map(Cow::Borrowed).or_else(|| self.named_model()) {
            return Some(own.into());
        }
        if !outbox.keeps() {
            return None;
        }
        if let Some(model) = self.dialect.model_in(&self.path_in(&outbox.draft())) {
            return Some(model.into());
        }
        let framing = self.request.body.framing();
        [NEAR_MAX, LOOK_MAX].into_iter().find_map(|limit| {
            let mut body = self.payload_in(outbox, limit);
            if framing != Framing::Chunked && outbox.held() < limit {
                body.extend_from_slice(rest);
            }
            look(&body, 0).model().map(Into::into)
        })
    }

    /// Notes the model that the client has asked for while the request is sent: as long as it is short,
    /// and again once the `whole` of it has been sent, if it is kept.
    pub(crate) fn hear_model_asked(&mut self, outbox: &Outbox, whole: bool) {
        if whole || self.request.body.received() <= NEAR_MAX as u64 {
            self.learn_model_asked(outbox, &[]);
        }
    }

    /// Notes the model that the client has asked for, if that is not known yet.
    pub(crate) fn learn_model_asked(&mut self, outbox: &Outbox, rest: &[u8]) {
        let known = self.aside.as_ref().is_some_and(|aside| aside.asked.is_some());
        if !known && !self.idempotent && self.request.body.framing() != Framing::None {
            let asked = self.model_asked_in(outbox, rest);
            if asked.is_some() {
                self.aside_mut().asked = asked;
            }
        }
    }
}
