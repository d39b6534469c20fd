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

    /// Translates the body that is here, as far as it may be long.
    pub(crate) fn translate(&mut self) -> Result<(), Fault> {
        let longest = self.snapshot.limits.translate_bytes as u64;
        if self.request.body.received() > longest {
            return Err(Fault::Downstream(DownstreamFault::TooLongToTranslate));
        }
        if !self.request.body.is_complete() {
            return Err(Fault::Local(LocalFault::Buffers));
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
