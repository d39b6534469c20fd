//! Whether another server can continue the stream of an exchange, and with which request.

use crate::config::snapshot::Continue;
use crate::flow::tap::Tap;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::kept_stream::{Before, Continuation, Remainder};
use crate::http::head::ResponseHead;
use crate::http::{reply, rewrite};
use crate::measure::stats::Tally;
use crate::service::continuation::{Kept, Purse, Transcript, continued, is_fit, mark};
use crate::wire::outbox::Outbox;

impl Exchange {
    /// Whether the client has a part of an answer, and a server is asked for the rest.
    pub fn is_continuing(&self) -> bool {
        self.commit.is_continuing()
    }

    /// The route's setting `continue`, if it has one.
    pub(crate) fn continues(&self) -> Option<Continue> {
        self.route()?.continues
    }

    /// Notes that another server continues the stream. Returns the comment at the seam, framed.
    #[cold]
    pub(crate) fn join(&mut self, tally: &Tally) -> Vec<u8> {
        let mut comment = Vec::new();
        mark(self.upstream().map_or("", |upstream| &upstream.name), &mut comment);
        let mut framed = Vec::new();
        match self.until_close {
            true => framed = comment,
            false => reply::chunk(&comment, &mut framed),
        }
        if let Some(continuation) = self.continuation_mut() {
            continuation.fault = None;
        }
        tally.continuations_joined.add(1);
        framed
    }

    pub(crate) fn continuation(&self) -> Option<&Continuation> {
        self.aside.as_ref()?.continuation.as_deref()
    }

    pub(crate) fn continuation_mut(&mut self) -> Option<&mut Continuation> {
        self.aside.as_mut()?.continuation.as_deref_mut()
    }

    /// How many servers were asked to continue the stream.
    pub fn continued(&self) -> u32 {
        self.continuation().map_or(0, |continuation| continuation.made)
    }

    /// What the client has of the streams before the present one.
    pub fn before(&self) -> Before {
        self.continuation().map_or_else(Before::default, |continuation| continuation.before)
    }

    /// The transcript of a response that may have to be continued; `None`: it cannot be.
    pub(crate) fn transcript(
        &self,
        head: &ResponseHead<'_>,
        purse: &Purse,
    ) -> Option<Box<Transcript>> {
        let settings = self.continues()?;
        let needed = self.dialect.continued_by()?;
        if self.has_events_changed() {
            // What the client has is not what the server has said.
            return None;
        }
        let mut links = self.chain()?.links.iter();
        links.find(|link| self.snapshot.upstreams[link.upstream].prefill >= needed)?;
        let continued = self.continuation();
        let room = continued.map_or(settings.text_bytes, |continuation| continuation.room);
        let reads = self.is_observed() && head.status == 200 && !head.encoded;
        reads.then(|| Box::new(Transcript::new(self.dialect, room, purse)))
    }

    /// The tap of the stream before, with its listeners.
    pub(crate) fn onlookers(&mut self) -> Option<Box<Tap>> {
        self.continuation_mut()?.tap.take()
    }

    /// Keeps the tap with its listeners for the stream that may follow.
    pub(crate) fn keep_onlookers(&mut self) {
        let response = self.attempt.response.take();
        if let (Some(continuation), Some(response)) = (self.continuation_mut(), response) {
            continuation.tap = response.watch.tap;
            if let Some(tap) = &mut continuation.tap {
                tap.transcript = None;
            }
        }
    }

    pub(crate) fn has_transcript(&self) -> bool {
        let tap = self.attempt.response.as_ref().and_then(|response| response.watch.tap.as_ref());
        tap.is_some_and(|tap| tap.transcript.is_some())
    }

    pub(crate) fn drop_transcript(&mut self) {
        if let Some(response) = &mut self.attempt.response
            && let Some(tap) = &mut response.watch.tap
        {
            tap.transcript = None;
            if tap.is_idle() {
                response.watch.tap = None;
            }
        }
    }

    /// The request as it was sent, if its answer can be given in two parts.
    pub(crate) fn kept(&self, outbox: &Outbox, purse: &Purse) -> Option<Kept> {
        // Where a server answers before it has taken the whole request, the rest of that is not kept.
        if !self.request.body.is_complete() || !outbox.keeps() {
            return None;
        }
        let body = self.payload_in(outbox, usize::MAX);
        is_fit(self.dialect, &body).ok()?;
        let mut kept = Kept::new(purse);
        kept.push(&outbox.draft())?;
        kept.push(&body)?;
        Some(kept)
    }

    pub(crate) fn text_is_known(&self) -> bool {
        let watch = self.attempt.response.as_ref().map(|response| &response.watch);
        let said_error = watch
            .and_then(|watch| watch.observer.as_ref())
            .is_none_or(|observer| observer.saw_error() || observer.dialect() != self.dialect);
        let transcript =
            watch.and_then(|watch| watch.tap.as_ref()).and_then(|tap| tap.transcript.as_ref());
        !said_error && transcript.is_some_and(|transcript| transcript.text().is_ok())
    }

    /// The request for what comes behind the text so far; `None`: it cannot be made.
    pub(crate) fn rest(&self) -> Option<Remainder> {
        let watch = &self.attempt.response.as_ref()?.watch;
        let transcript = watch.tap.as_ref()?.transcript.as_ref()?;
        let text = transcript.text().ok()?;
        let told = watch.observer.as_ref()?.usage().and_then(|usage| usage.completion);
        let tokens = transcript.tokens().max(told.map_or(0, u64::from));
        let (draft, body) = rewrite::split_draft(self.continuation()?.request.bytes());
        let body = continued(self.dialect, body, text, tokens).ok()?;
        Some(Remainder { draft: draft.to_vec(), body, text: text.len(), tokens })
    }

    /// Adds the stream that has broken to what came before.
    pub(crate) fn note_part(&mut self, rest: &Remainder) {
        let aside = self.aside.as_deref_mut();
        let continuation = aside.and_then(|aside| aside.continuation.as_mut());
        let (Some(continuation), Some(response)) = (continuation, &self.attempt.response) else {
            return;
        };
        continuation.made += 1;
        continuation.room = continuation.room.saturating_sub(rest.text);
        let before = &mut continuation.before;
        before.events += response.progress();
        before.bytes += response.body.received();
        before.tokens += rest.tokens;
    }
}
