//! Judge: whether an answer whose head is here is one that its client can be given, and when.

use crate::config::snapshot::Condition;
use crate::flow::relay::HELD_MAX;
use crate::gateway::Gateway;
use crate::gateway::attempt::transfer::upstream_fault;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::translation::Translation;
use crate::gateway::record::verdict::Failed;
use crate::http::body::Framing;
use crate::http::head::{Media, ResponseHead};
use crate::proxy::breaker::Outcome;
use crate::proxy::endpoints::Pick;
use crate::proxy::fault::UpstreamFault;
use crate::proxy::retry::Cause;
use crate::reactor::net::Net;
use crate::reactor::turn::Cx;
use crate::service::Dialect;
use crate::service::refusal::may_say_loading;
use crate::wire::outbox::Outbox;

/// How an answer whose head is here can still be rescued.
pub(crate) struct Rescue {
    /// Another attempt, or the predefined answer, can take its place.
    pub(crate) possible: bool,
    /// The head of a stream is kept from the client until an event says something.
    pub(crate) holds_back: bool,
    /// What a document says may have somebody else asked.
    pub(crate) by_reading: bool,
}

impl<N: Net> Gateway<N> {
    pub(crate) fn rescue(&self, exchange: &Exchange, cx: &Cx<N>) -> Rescue {
        let possible = self.can_be_rescued(exchange, cx);
        let holds_back = self.holds_back_as(exchange, || possible, cx);
        let by_reading = possible && exchange.may_be_rescued_by_reading(holds_back);
        Rescue { possible, holds_back, by_reading }
    }
}

impl Exchange {
    /// Whether an answer with this head is one that its client can be given, to the request as it
    /// was `sent`. `rescuable`: another attempt can take its place.
    pub(crate) fn judge(
        &self,
        head: &ResponseHead<'_>,
        rescuable: bool,
        sent: &Outbox,
    ) -> Result<(), Failed> {
        if self.may_be_loading(head, sent) {
            // Its body decides.
            return Ok(());
        }
        if let Some(unwanted) = self.unwanted(head.status) {
            if rescuable {
                return Err(unwanted);
            }
            if !sent.keeps() && !self.commit.is_final() {
                self.tell_not_kept();
            }
        }
        // A web page where an answer of the API was due: most likely the error page of a proxy.
        let page = head.status < 300 && head.media == Media::Html && !self.idempotent;
        let fault = match self.cannot_follow(head) {
            Some(fault) => fault,
            None if page && self.dialect.has_no_pages() && !self.asks_for_page(sent) => {
                UpstreamFault::BadAnswer
            }
            // Passed on, it would be whole.
            None if self.is_empty_stream(head) => UpstreamFault::EmptyStream,
            None => return Ok(()),
        };
        Err(Failed::Fault(upstream_fault(fault)))
    }

    /// Whether an answer with this head is kept from the client for now. `begun`: what has come of
    /// its body; `sent`: the request.
    pub(crate) fn is_to_be_held(
        &self,
        head: &ResponseHead<'_>,
        begun: &[u8],
        sent: &Outbox,
        rescue: &Rescue,
    ) -> bool {
        if self.may_be_loading(head, sent) {
            return true;
        }
        if rescue.holds_back && head.status < 300 && self.is_observed() {
            return true;
        }
        if !self.is_read() {
            return rescue.possible && self.may_be_too_long(head.status);
        }
        let may_stream = rescue.holds_back && !begins_as_document(begun, head.framing);
        rescue.by_reading || may_stream && self.asks_for_stream(sent)
    }

    /// Whether another attempt may bring a better answer than one with this head.
    fn unwanted(&self, status: u16) -> Option<Failed> {
        let condition = Condition::Status(status);
        let failure = || self.outcome_of_status(status) == Outcome::Fault;
        let unwanted =
            status >= 400 && (self.retries_on(condition) || self.is_in_doubt() && failure());
        unwanted.then_some(Failed::Unwanted(Cause::Failed(condition)))
    }

    /// Whether the body of an answer with this head may say that the model is being loaded, and the
    /// request can wait for that: then it is read before anything else is decided.
    fn may_be_loading(&self, head: &ResponseHead<'_>, sent: &Outbox) -> bool {
        may_say_loading(head.status)
            && head.media == Media::Json
            && !head.encoded
            && matches!(head.framing, Framing::Length(1..=HELD_MAX) | Framing::Chunked)
            && self.upstream().is_some_and(|upstream| upstream.while_loading.is_some())
            && sent.keeps()
            && !self.commit.is_final()
            && !self.is_continuing()
    }

    /// How an attempt fails whose answer was read for its status, and does not say that the model is being
    /// loaded: as it would have failed by its head. `None`: it is the answer.
    pub(crate) fn refused_by_status(&self, rescuable: bool) -> Option<Failed> {
        let status = self.attempt.status;
        match self.unwanted(status).filter(|_| rescuable) {
            None if self.is_prefaced() => {
                Some(Failed::Fault(upstream_fault(UpstreamFault::Status(status))))
            }
            unwanted => unwanted,
        }
    }

    /// Whether it was sent to an endpoint that is out, ahead of a predefined answer: then it gets that for
    /// whatever failure it finds there, named in `retry.on` or not. It would have had it otherwise.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let doubted = self.attempt.pick.as_ref().is_some_and(Pick::is_in_doubt);
        doubted && self.chain().is_some_and(|chain| chain.fallback.is_some())
    }

    /// What keeps an answer from following the head that the client has.
    pub fn cannot_follow(&self, head: &ResponseHead<'_>) -> Option<UpstreamFault> {
        let streams = match self.translation().and_then(Translation::asked) {
            Some((pair, _)) => {
                // A document is told as the stream that the client waits for.
                pair.streams_as(head.media) || pair.answers_whole() && head.media == Media::Json
            }
            None => head.media == Media::EventStream,
        };
        let follows = head.status == 200
            && streams
            && !head.encoded
            && !matches!(head.framing, Framing::None | Framing::Length(0));
        let is_final = head.status == 101 || head.status >= 200;
        let cannot = self.is_prefaced() && is_final && !follows;
        cannot.then_some(UpstreamFault::Status(head.status))
    }

    /// Whether this is the head of a stream of no bytes, which cannot hold the mark of its end.
    fn is_empty_stream(&self, head: &ResponseHead<'_>) -> bool {
        head.status < 300
            && head.media == Media::EventStream
            && head.framing == Framing::Length(0)
            && self.dialect != Dialect::Generic
    }

    /// Whether this status may mean that the prompt is too long, and the route has a `larger`.
    fn may_be_too_long(&self, status: u16) -> bool {
        matches!(status, 400 | 413 | 422) && self.has_larger()
    }

    /// Whether its route has an upstream for longer prompts further on.
    pub(crate) fn has_larger(&self) -> bool {
        let larger = self.chain().and_then(|chain| chain.larger);
        larger.is_some_and(|larger| larger > self.link && self.can_be_asked(larger))
    }

    /// Whether another server is asked, if a document says that the request has failed. `holds_back`:
    /// the route holds answers back.
    pub(crate) fn may_be_rescued_by_reading(&self, holds_back: bool) -> bool {
        let listed = self.retries_on(Condition::ErrorEvent) || self.is_in_doubt();
        self.has_larger() || holds_back && listed
    }
}

/// Whether the body that has come with its head begins as a document does.
fn begins_as_document(begun: &[u8], framing: Framing) -> bool {
    let body = match framing {
        Framing::Chunked => begun.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1),
        _ => 0,
    };
    matches!(begun[body..].trim_ascii_start().first(), Some(b'{' | b'['))
}
