//! Error replies of our own.

use std::sync::Arc;

use crate::gateway::Gateway;
use crate::gateway::record::downstream::{After, State};
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::exchange::questions::EndpointNames;
use crate::gateway::record::peer::Peer;
use crate::gateway::record::verdict::Step;
use crate::http::cors;
use crate::http::field_rules::FieldRules;
use crate::http::head::{HeadError, Version};
use crate::http::reply::{self, ErrorForm, ErrorReply};
use crate::http::request_id::RequestId;
use crate::measure::ends::end_reason;
use crate::proxy::fault::{DownstreamFault, Fault};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::service::Dialect;
use crate::service::translate::kind_of;

/// What an error reply needs to know of the request it answers.
pub(crate) struct ErrorContext {
    /// In whose words it is told.
    pub(crate) dialect: Dialect,
    pub(crate) id: Option<RequestId>,
    pub(crate) client: Version,
    pub(crate) head_request: bool,
    pub(crate) keep: bool,
    pub(crate) way: Way,
    /// What it says of CORS.
    pub(crate) for_page: Option<Vec<u8>>,
    /// What the authoriser says has to be shown, where it has refused the request.
    pub(crate) challenge: Option<Arc<str>>,
    /// What it says of the rates of its key.
    pub(crate) rate_fields: Option<FieldRules>,
}

/// How far a request came that is answered with an error of ours.
#[derive(Default)]
pub(crate) struct Way {
    /// The upstream that was asked last.
    upstream: Option<String>,
    /// `None`: its route leads to no upstream.
    attempts: Option<u8>,
}

impl Way {
    pub(crate) fn of(exchange: &Exchange, fault: &Fault, names: EndpointNames<'_>) -> Way {
        let Some(chain) = exchange.chain() else { return Way::default() };
        // An attempt that found no place has asked nobody.
        let asked =
            matches!(exchange.peer, Peer::Upstream(_)) || matches!(fault, Fault::Upstream(_));
        let attempts = exchange.tries.in_all - u8::from(!asked);
        let mut upstreams =
            chain.links.iter().map(|link| &exchange.snapshot.upstreams[link.upstream]);
        let upstream = match asked {
            true => exchange.upstream(),
            // The upstream of the attempt before, if there was one.
            false => upstreams.find(|upstream| {
                let last = exchange.tries.endpoint.filter(|_| attempts > 0);
                last.is_some_and(|endpoint| names(upstream.id, endpoint).is_some())
            }),
        };
        Way { upstream: upstream.map(|upstream| upstream.name.clone()), attempts: Some(attempts) }
    }
}

impl<N: Net> Gateway<N> {
    /// Refuses bytes that are no request.
    pub(crate) fn refuse_head(&mut self, token: Token, error: HeadError, cx: &mut Cx<N>) -> Step {
        self.refuse(token, &Fault::Downstream(DownstreamFault::Head(error)), cx);
        Step::Again
    }

    /// Refuses a connection on which no exchange could be opened.
    pub(crate) fn refuse(&mut self, token: Token, fault: &Fault, cx: &mut Cx<N>) {
        self.desk.tally.ends.add(end_reason(Some(fault)));
        match fault {
            Fault::Local(_) => self.desk.tally.local_faults.add(1),
            _ => self.desk.tally.client_faults.add(1),
        }
        if let Some(downstream) = self.downstreams.get(token) {
            log::info!("{}: {}: {fault}", downstream.address, fault.code());
        }
        let way = Way::default();
        let asked = ErrorContext {
            dialect: Dialect::Generic,
            id: None,
            client: Version::Http11,
            head_request: false,
            keep: false,
            way,
            for_page: None,
            challenge: None,
            rate_fields: None,
        };
        self.reply(token, fault, &asked, cx);
    }

    /// Answers with an error; then the connection is kept, or parts.
    pub(crate) fn reply(
        &mut self,
        token: Token,
        fault: &Fault,
        asked: &ErrorContext,
        cx: &mut Cx<N>,
    ) {
        let Some(answer) = fault.answer() else { return };
        let message = fault.to_string();
        let (bytes, date) = self.scratch.begin();
        let form = asked.dialect.error_form();
        reply::error(
            &ErrorReply {
                form,
                status: answer.status,
                kind: match form {
                    // Anthropic's kinds follow the status.
                    ErrorForm::Anthropic => kind_of(answer.status),
                    _ => answer.kind,
                },
                code: answer.code,
                message: &message,
                allow: fault.allow(),
                retry_after: fault.retry_after(),
                challenge: asked.challenge.as_deref().or(fault.challenge()),
                date: date.line(cx.now, &cx.net),
                close: !asked.keep,
                request_id: asked.id.as_ref().map(RequestId::as_bytes),
                upstream: asked.way.upstream.as_deref(),
                attempts: asked.way.attempts,
                head_request: asked.head_request,
                client: asked.client,
            },
            bytes,
        );
        if let Some(lines) = &asked.for_page {
            cors::put_cors_fields(bytes, 0, lines);
        }
        if let Some(rules) = &asked.rate_fields {
            let written = std::mem::take(bytes);
            rules.apply(&written, bytes);
        }
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        downstream.socket.outbox.push(bytes, &mut self.desk.buffers);
        let then = if asked.keep { After::Reuse } else { After::Linger };
        self.set_state(token, State::Replying { since: cx.now, then });
    }
}
