//! Naming: gives a request the model of the upstream it goes to, or its own again.
//!
//! Where an upstream of a route has a `model`, the request's own is looked for ahead of its first
//! attempt. What comes in front of it is held; once it is here the request goes on, and the rest of
//! its body passes as every body does.
//!
//! ```text
//!   held:  head ── chunk line? ── payload … "model":"name" …     then  Keep, Rechunk or Splice
//!            └ Content-Length      └ or this, by as many bytes as the names differ
//! ```
//!
//! * No upstream that has a `model` is sent the last byte of a request whose model is not its own:
//!   the body is read to its end, and one that names a second model is broken off.
//! * What has to be held is bounded by `limits.model_search_bytes`, and paid from the buffers.
//! * An upstream without a `model` gets the request as it came, whatever it says.

use std::ops::Range;

use crate::config::snapshot::{Chain, Upstream};
use crate::flow::named::Named;
use crate::flow::relay::Mode;
use crate::gateway::record::exchange::{Exchange, Gather};
use crate::http::body::Framing;
use crate::http::head::RequestHead;
use crate::http::{reply, rewrite};
use crate::proxy::fault::DownstreamFault;
use crate::service::naming::Finder;
use crate::wire::buffer::CAPACITY;
use crate::wire::outbox::Outbox;
use crate::wire::pool::BufferPool;

impl Exchange {
    /// Begins to look for the model of a request, where an upstream of its route replaces it.
    pub(crate) fn begin_naming(
        &mut self,
        head: &RequestHead<'_>,
        chain: &Chain,
        upstreams: &[Upstream],
    ) -> Result<(), DownstreamFault> {
        let replaces = chain.links.iter().map(|link| upstreams[link.upstream].model.is_some());
        let first = replaces.clone().next().unwrap_or_default();
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
        let prompt = match self.gather {
            Gather::Prompt(length) => length,
            Gather::Nothing | Gather::Model { .. } | Gather::Whole => 0,
        };
        self.gather = Gather::Model { prompt };
        Ok(())
    }

    /// Sends on what was held: frames it, and the rest of the body behind it.
    pub(crate) fn frame(&mut self, buffers: &mut BufferPool) {
        if let Some(naming) = &mut self.request.watch.0 {
            naming.gone_on = true;
        }
        let Exchange { request, outbox, .. } = self;
        if request.body.framing() != Framing::Chunked {
            request.mode = Mode::Keep;
            return;
        }
        let head = head_of(outbox).len();
        let length = outbox.held() - head;
        if length > 0 {
            let mut line = [0; reply::CHUNK_LINE_MAX];
            outbox.splice(head..head, reply::chunk_line(length, &mut line), buffers);
            outbox.push(b"\r\n", buffers);
        }
        if request.body.is_complete() {
            outbox.push(reply::LAST_CHUNK, buffers);
        }
        request.mode = Mode::Rechunk;
    }

    /// Gives the request the model of the upstream it goes to, or its own again.
    pub(crate) fn remodel(&mut self, buffers: &mut BufferPool) {
        if self.request.watch.0.is_none() {
            return;
        }
        let model = self.upstream().and_then(|upstream| upstream.model.clone());
        let chunked = self.request.body.framing() == Framing::Chunked;
        let Exchange { request, outbox, .. } = self;
        let Some(naming) = &mut request.watch.0 else { return };
        naming.replaces = model.is_some();
        let Some(name) = &naming.name else { return };
        let wanted = match &model {
            // Then it is asked no more: `can_be_asked`.
            Some(_) if naming.unclear.is_some() => return,
            Some(model) => naming.notation.write(model),
            None => name.written.clone(),
        };
        if naming.written == wanted {
            return;
        }
        let head = head_of(outbox);
        let Some(number) = number(&head, chunked, outbox) else { return };
        let payload = if chunked { number.place.end + 2 } else { head.len() };
        let place = payload + name.at;
        outbox.splice(place..place + naming.written.len(), &wanted, buffers);
        let length = number.length + wanted.len() as u64 - naming.written.len() as u64;
        let mut line = [0; reply::CHUNK_LINE_MAX];
        let digits = match chunked {
            true => reply::chunk_line(length as usize, &mut line).trim_ascii_end().to_vec(),
            false => length.to_string().into_bytes(),
        };
        outbox.splice(number.place, &digits, buffers);
        naming.written = wanted;
    }

    /// Finds the model again in a request that asks for the rest of an answer: it stands elsewhere.
    pub(crate) fn rename(&mut self, request: &[u8]) {
        let framing = self.request.body.framing();
        let Some(naming) = &mut self.request.watch.0 else { return };
        let (_, body) = rewrite::path_and_body(request);
        if let Ok(mut finder) = Finder::new(std::iter::empty(), std::iter::empty()) {
            finder.feed(&crate::gateway::record::asked::payload(body, framing));
            if let (Some(name), Some(found)) = (&mut naming.name, finder.name()) {
                name.at = found.at;
                naming.written.clone_from(&found.written);
            }
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
        let link = self.chain().and_then(|chain| chain.links.get(link));
        let replaces =
            link.is_some_and(|link| self.snapshot.upstreams[link.upstream].model.is_some());
        !replaces || self.request.watch.unclear().is_none()
    }

    /// The model that the client has named, where it is replaced.
    pub(crate) fn own_model(&self) -> Option<String> {
        let naming = self.request.watch.0.as_ref()?;
        naming.notation.read(&naming.name.as_ref()?.written)
    }
}

/// A number that tells how long a body is.
struct Number {
    /// Its digits.
    place: Range<usize>,
    length: u64,
}

/// The number that covers the place of a name: the length of the body, or of its first chunk.
fn number(head: &[u8], chunked: bool, outbox: &Outbox) -> Option<Number> {
    if !chunked {
        let place = rewrite::length_of(head)?;
        let length = std::str::from_utf8(&head[place.clone()]).ok()?.parse().ok()?;
        return Some(Number { place, length });
    }
    let start = head.len();
    let line = outbox.copy(start + reply::CHUNK_LINE_MAX).split_off(start);
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let text = std::str::from_utf8(&line[..digits]).ok()?;
    let length = u64::from_str_radix(text, 16).ok()?;
    Some(Number { place: start..start + digits, length })
}

/// The head of a request that is held.
fn head_of(outbox: &Outbox) -> Vec<u8> {
    let mut limit = CAPACITY;
    loop {
        let mut copy = outbox.copy(limit);
        if let Some(end) = memchr::memmem::find(&copy, b"\r\n\r\n") {
            copy.truncate(end + 4);
            return copy;
        }
        // What is held has a head.
        debug_assert!(copy.len() == limit, "a request without the end of its head");
        if copy.len() < limit {
            return copy;
        }
        limit *= 4;
    }
}
