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
        let fits =
            matches!(head.framing, Framing::Length(length) if length > 0 && length <= longest);
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
        self.aside.as_ref().is_some_and(|aside| aside.usage_asked)
    }

    /// Makes the body that is here ask for usage, if it is for a stream and says nothing of that.
    fn ask_usage(&mut self, buffers: &mut BufferPool) {
        let body = self.outbox.copy(usize::MAX);
        if let Some((at, member)) = include_usage::question(&body) {
            self.outbox.splice(at..at, member, buffers);
            let naming = self.request.watch.0.as_mut();
            if let Some(name) = naming.and_then(|naming| naming.name.as_mut())
                && name.at >= at
            {
                name.at += member.len();
            }
            self.aside_mut().usage_asked = true;
        }
        self.aside_mut().translation = Some(Box::new(Translation::of_own_words()));
    }

    /// Translates the body that is here, as far as it may be long, or makes it ask for usage.
    pub(crate) fn translate(&mut self, buffers: &mut BufferPool) -> Result<(), Fault> {
        let longest = self.snapshot.limits.translate_bytes as u64;
        if self.request.body.received() > longest {
            return Err(Fault::Downstream(DownstreamFault::TooLongToTranslate));
        }
        if !self.request.body.is_complete() {
            return Err(Fault::Local(LocalFault::Buffers));
        }
        if self.may_ask_usage() {
            self.ask_usage(buffers);
            return Ok(());
        }
        let body = self.outbox.copy(usize::MAX);
        let asked = look(&body[..body.len().min(LOOK_MAX)], 0).model().map(Box::from);
        let snapshot = Rc::clone(&self.snapshot);
        let Some(chain) = self.chain() else { return Ok(()) };
        let translation = Translation::of(self.dialect, body, chain, &snapshot);
        if let (Some(pair), Some(here)) = (self.pair_here(), self.here())
            && let Some(refused) = translation.refusal(pair, here)
        {
            let refused = Box::new(refused.clone());
            return Err(Fault::Downstream(DownstreamFault::Untranslatable(refused)));
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
