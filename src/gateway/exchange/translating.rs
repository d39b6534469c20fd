//! Translating: a request that an upstream of its route is asked for in another dialect.
//!
//! Its whole body is read ahead of its first attempt, up to `limits.translate_bytes`, and translated once
//! for each dialect and model of the route's upstreams. Which of these bodies is sent is decided at each
//! attempt, as with the model's name (`naming.rs`).
//!
//! * A request that cannot be translated for the first upstream is refused, with the member that is in
//!   the way. An upstream further on that cannot be sent it is passed over.
//! * Where nothing is translated of a request, it goes as it came: another path, no POST, no body.

use std::rc::Rc;

use crate::config::snapshot::Target;
use crate::flow::relay::Mode;
use crate::gateway::record::exchange::{Exchange, Gather};
use crate::gateway::record::request_body::{LOOK_MAX, look};
use crate::gateway::record::translation::Translation;
use crate::http::body::Framing;
use crate::http::head::RequestHead;
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault};
use crate::service::{Dialect, include_usage};
use crate::wire::buffers::BufferPool;

impl Exchange {
    /// Has the whole body read, where an upstream of the route may be asked in another dialect.
    pub(crate) fn begin_translating(
        &mut self,
        head: &RequestHead<'_>,
    ) -> Result<(), DownstreamFault> {
        let bodiless = matches!(head.framing, Framing::None);
        if bodiless || head.method != "POST" || !self.may_be_translated() {
            return Ok(());
        }
        if self.pair_here().is_some() && is_encoded(head) {
            return Err(DownstreamFault::EncodedForTranslation);
        }
        self.request.mode = Mode::Payload;
        self.gather = Gather::Translated { key: self.gather.key() };
        Ok(())
    }

    /// Has the whole body read, where the route has `include_usage` and the request may have to ask.
    #[cold]
    pub(crate) fn begin_asking_usage(&mut self, head: &RequestHead<'_>) {
        let longest = self.snapshot.limits.translate_bytes as u64;
        let fits = match head.framing {
            Framing::Length(length) => (1..=longest).contains(&length),
            // How long it is shows when it comes.
            Framing::Chunked => true,
            _ => false,
        };
        let streams = matches!(self.dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions);
        if head.method == "POST" && fits && streams && !is_encoded(head) {
            self.aside_mut().may_ask_usage = true;
            self.request.mode = Mode::Payload;
            self.gather = Gather::Translated { key: self.gather.key() };
        }
    }

    /// Whether its body is read to ask for usage.
    pub(crate) fn may_ask_usage(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.may_ask_usage)
    }

    /// Whether it was made to ask for usage, which its client is not to see.
    pub(crate) fn hides_usage(&self) -> bool {
        // An answer that is translated tells what its client has asked for.
        self.aside.as_ref().is_some_and(|aside| aside.usage_asked) && !self.is_translated()
    }

    /// Makes the body that is here ask for usage, if it is for a stream and says nothing of that. One that is
    /// longer than may be held goes on as it came.
    fn ask_usage(&mut self, buffers: &mut BufferPool) -> Result<(), Fault> {
        let longest = self.snapshot.limits.translate_bytes as u64;
        let (body, watch) = (&self.request.body, &self.request.watch);
        if !body.is_complete() || body.received() > longest {
            if watch.is_searched() && watch.is_needed() {
                return Err(Fault::Local(LocalFault::Buffers));
            }
            self.frame(buffers);
            return Ok(());
        }
        let body = self.outbox.copy(usize::MAX);
        if let Some((at, member)) = include_usage::question(&body) {
            self.put_question(at, member, buffers);
        }
        self.aside_mut().translation = Some(Box::new(Translation::of_own_words()));
        Ok(())
    }

    /// Puts the member that asks for usage into the client's own body, which lies in the outbox.
    fn put_question(&mut self, at: usize, member: &[u8], buffers: &mut BufferPool) {
        self.outbox.splice(at..at, member, buffers);
        let naming = self.request.watch.0.as_mut();
        if let Some(name) = naming.and_then(|naming| naming.name.as_mut())
            && name.at >= at
        {
            name.at += member.len();
        }
        self.aside_mut().usage_asked = true;
    }

    /// What makes this body ask for usage, where the route wants to know it.
    fn question_in(&self, body: &[u8]) -> Option<(usize, &'static [u8])> {
        let streams = matches!(self.dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions);
        let asks = streams && self.route().is_some_and(|route| route.include_usage);
        include_usage::question(body).filter(|_| asks)
    }

    /// Translates the body that is here, as far as it may be long, or makes it ask for usage.
    pub(crate) fn translate(&mut self, buffers: &mut BufferPool) -> Result<(), Fault> {
        if self.may_ask_usage() {
            return self.ask_usage(buffers);
        }
        let longest = self.snapshot.limits.translate_bytes as u64;
        if self.request.body.received() > longest {
            return Err(Fault::Downstream(DownstreamFault::TooLongToTranslate));
        }
        if !self.request.body.is_complete() {
            return Err(Fault::Local(LocalFault::Buffers));
        }
        let body = self.outbox.copy(usize::MAX);
        let in_path = self.model_in_path();
        let named = || look(&body[..body.len().min(LOOK_MAX)], 0).model().map(Box::from);
        let asked = in_path.map(Box::from).or_else(named);
        let snapshot = Rc::clone(&self.snapshot);
        let Some(chain) = self.chain() else { return Ok(()) };
        let question = self.question_in(&body);
        let asked_in = (self.dialect, in_path);
        let mut translation = Translation::of(asked_in, body, chain, &snapshot);
        if let (Some(pair), Some(here)) = (self.pair_here(), self.here())
            && let Some(refused) = translation.refusal(pair, here)
        {
            let refused = Box::new(refused.clone());
            return Err(Fault::Downstream(DownstreamFault::Untranslatable(refused)));
        }
        // Who answers in the client's own dialect tells its usage only where it is asked.
        if let Some((at, member)) = question
            && translation.put_in_own(at, member)
        {
            self.put_question(at, member, buffers);
        }
        let aside = self.aside_mut();
        aside.asked = aside.asked.take().or(asked);
        aside.translation = Some(Box::new(translation));
        Ok(())
    }

    /// Gives the request the body that the upstream it goes to is sent.
    pub(crate) fn put_body_for_here(&mut self, buffers: &mut BufferPool) {
        let Some(mut translation) = self.aside.as_mut().and_then(|it| it.translation.take()) else {
            return;
        };
        let pair = self.pair_here();
        let snapshot = Rc::clone(&self.snapshot);
        let route = self.route.and_then(|route| snapshot.routes.get(route as usize));
        let link = match route.map(|route| &route.target) {
            Some(Target::Chain(chain)) => chain.links.get(self.link),
            _ => None,
        };
        if let Some(link) = link
            && let Some(body) = translation.next_body(pair, link)
        {
            self.outbox.splice(0..self.outbox.held(), body, buffers);
            if let Some(naming) = &mut self.request.watch.0 {
                // The client's own body names its own model.
                naming.written = None;
            }
        }
        self.aside_mut().translation = Some(translation);
    }
}

/// Whether the body is compressed.
fn is_encoded(head: &RequestHead<'_>) -> bool {
    head.values("content-encoding")
        .any(|value| !value.trim_ascii().eq_ignore_ascii_case(b"identity"))
}
