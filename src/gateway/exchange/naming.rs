//! Naming: gives a request the model of the upstream it goes to, or its own again.
//!
//! Where an upstream of a route has a `model`, the request's own is looked for ahead of its first
//! attempt. What comes in front of it is held; once it is here the request goes on, and the rest of
//! its body passes as every body does.
//!
//! ```text
//!   held:  payload … "model":"name" …     then  Keep, Rechunk or Splice
//! ```
//!
//! * The name is all that changes in the body. How long the body is then, or its first chunk, is
//!   written into the opening (`attempt/opening.rs`).
//! * No upstream that has a `model` is sent the last byte of a request whose model is not its own:
//!   the body is read to its end, and one that names a second model is broken off.
//! * What has to be held is bounded by `limits.model_search_bytes`, and paid from the buffers.
//! * An upstream without a `model` gets the request as it came, whatever it says.

use std::borrow::Cow;

use crate::config::snapshot::{Chain, Link};
use crate::flow::named::Named;
use crate::flow::relay::Mode;
use crate::gateway::record::exchange::{Exchange, Gather};
use crate::gateway::record::translation::pair_of;
use crate::http::body::Framing;
use crate::http::head::RequestHead;
use crate::http::reply;
use crate::proxy::fault::DownstreamFault;
use crate::service::naming::Finder;
use crate::wire::buffers::BufferPool;

impl Exchange {
    /// Begins to look for the model of a request, where an upstream of its route replaces it.
    pub(crate) fn begin_naming(
        &mut self,
        head: &RequestHead<'_>,
        chain: &Chain,
    ) -> Result<(), DownstreamFault> {
        let own = |link: &Link| {
            !chain.translates || pair_of(self.dialect, link, &self.snapshot).is_none()
        };
        let in_path = self.model_in_path().is_some();
        let replaces =
            chain.links.iter().map(|link| (in_path || link.model.is_some()) && own(link));
        let first = replaces.clone().next().unwrap_or_default();
        if let Some(naming) = &mut self.request.watch.0 {
            // It was looked for already, to find the route.
            naming.replaces = first;
            if self.request.body.received() == 0 && !replaces.clone().any(|it| it) {
                // It was found in what lies here, and nobody writes another: the body goes as any other.
                naming.gone_on = true;
                self.request.mode = Mode::Keep;
                return Ok(());
            }
            naming.unsought = naming.members.is_some() && !replaces.clone().any(|it| it);
            self.gather_model();
            return Ok(());
        }
        if matches!(head.framing, Framing::None | Framing::Length(0))
            || !replaces.clone().any(|it| it)
        {
            return Ok(());
        }
        self.request.watch = Named::of(head, first);
        match self.request.watch.unclear() {
            Some(unclear) if first => return Err(DownstreamFault::Model(unclear)),
            Some(_) => return Ok(()),
            None => {}
        }
        self.request.mode = Mode::Payload;
        self.gather_model();
        Ok(())
    }

    /// Has the body read up to its model, and up to the key that was wanted before.
    fn gather_model(&mut self) {
        self.gather = Gather::Model { key: self.gather.key() };
    }

    /// Sends on what was held, and the rest of the body behind it.
    pub(crate) fn frame(&mut self, buffers: &mut BufferPool) {
        let other = self.has_other_body();
        let Exchange { request, outbox, .. } = self;
        let chunked = request.body.framing() == Framing::Chunked && !other;
        if let Some(naming) = &mut request.watch.0 {
            naming.gone_on = true;
            naming.first_chunk = if chunked { outbox.held() } else { 0 };
        }
        if !chunked {
            if !other {
                request.mode = Mode::Keep;
            }
            return;
        }
        if outbox.held() > 0 {
            outbox.push(b"\r\n", buffers);
        }
        if request.body.is_complete() {
            outbox.push(reply::LAST_CHUNK, buffers);
        }
        request.mode = Mode::Rechunk;
    }

    /// Gives the body the model of the upstream it goes to, or its own again.
    pub(crate) fn remodel(&mut self, buffers: &mut BufferPool) {
        if self.request.watch.0.is_none() {
            return;
        }
        if self.is_translated() {
            // Its translation names the model.
            return;
        }
        let model = self.here().and_then(|link| link.model.clone());
        let model = model.or_else(|| self.model_in_path().map(str::to_owned));
        let Exchange { request, outbox, .. } = self;
        let Some(naming) = &mut request.watch.0 else { return };
        naming.replaces = model.is_some();
        let Some(name) = &naming.name else { return };
        let other = match &model {
            // Then it is asked no more: `can_be_asked`.
            Some(_) if naming.unclear.is_some() => return,
            Some(model) => Some(naming.notation.write(model)),
            None => None,
        };
        let (before, wanted) = (naming.now(), other.as_deref().unwrap_or(&name.written));
        if before != wanted {
            outbox.splice(name.at..name.at + before.len(), wanted, buffers);
            if naming.first_chunk > 0 {
                naming.first_chunk = naming.first_chunk - before.len() + wanted.len();
            }
        }
        naming.written = other;
    }

    /// Puts the body of a request for the rest of an answer in the place of its own, which has been
    /// given to nobody. The model stands elsewhere in it.
    pub(crate) fn replace_body(&mut self, body: &[u8], buffers: &mut BufferPool) {
        let Exchange { request, outbox, .. } = self;
        let chunked = request.body.framing() == Framing::Chunked;
        if let Some(naming) = &mut request.watch.0
            && let Ok(mut finder) = Finder::new(std::iter::empty(), std::iter::empty())
        {
            finder.feed(body);
            if let (Some(name), Some(found)) = (&mut naming.name, finder.name()) {
                name.at = found.at;
                naming.written = Some(found.written.clone());
            }
        }
        match (&mut request.watch.0, chunked) {
            (Some(naming), true) => naming.first_chunk = body.len(),
            (None, true) if !body.is_empty() => {
                let mut line = [0; reply::CHUNK_LINE_MAX];
                outbox.push(reply::chunk_line(body.len(), &mut line), buffers);
            }
            _ => {}
        }
        outbox.push(body, buffers);
        if chunked && !body.is_empty() {
            outbox.push(b"\r\n", buffers);
        }
        if chunked {
            outbox.push(reply::LAST_CHUNK, buffers);
        }
    }

    /// Finds the model anew in a body that is another than the client's.
    pub(crate) fn find_model_again(&mut self, body: &[u8]) {
        let Some(naming) = &mut self.request.watch.0 else { return };
        naming.written = None;
        naming.name = None;
        if let Ok(mut finder) = Finder::new(std::iter::empty(), std::iter::empty()) {
            finder.feed(body);
            naming.name = finder.name().cloned();
        }
    }

    /// Stops replacing the model: no upstream is asked any more.
    pub(crate) fn end_naming(&mut self) {
        if let Some(naming) = &mut self.request.watch.0 {
            naming.replaces = false;
        }
    }

    /// Whether the upstream at a position of the route's chain can be sent this request.
    pub(crate) fn can_be_asked(&self, link: usize) -> bool {
        let Some(link) = self.chain().and_then(|chain| chain.links.get(link)) else { return true };
        if let Some(maker) = self.maker() {
            let upstream = self.snapshot.upstreams[link.upstream].id;
            if !self.snapshot.stored.as_ref().is_some_and(|stored| stored.is_at(upstream, maker)) {
                return false;
            }
        }
        if let Some(pair) = pair_of(self.dialect, link, &self.snapshot) {
            let refused =
                self.translation().and_then(|translation| translation.refusal(pair, link));
            return refused.is_none();
        }
        let replaces = link.model.is_some() || self.model_in_path().is_some();
        !replaces || self.request.watch.unclear().is_none()
    }

    /// The model that the path of the request names, where its route says so.
    pub(crate) fn model_in_path(&self) -> Option<&str> {
        self.aside.as_ref()?.model_in_path.as_deref()
    }

    /// The model that the client has named, where somebody has to know it.
    pub(crate) fn named_model(&self) -> Option<Cow<'_, str>> {
        self.request.watch.0.as_ref()?.named_model()
    }
}
