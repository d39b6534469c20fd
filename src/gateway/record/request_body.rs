//! What a request asks for, read where it is kept.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::flow::relay::Mode;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::translation::Translation;
use crate::http::body::{Body, Framing};
use crate::http::rewrite;
use crate::proxy::route;
use crate::service::Dialect;
use crate::service::request::RequestScan;
use crate::wire::outbox::Outbox;

/// How far a body is read for what it asks.
pub(crate) const LOOK_MAX: usize = 1 << 20;
/// How far, where nearly all requests have said it by then and a longer look is not worth its time.
pub(crate) const NEAR_MAX: usize = 64 << 10;

const EVENTS: &[u8] = b"text/event-stream";

impl Exchange {
    /// Whether its request, as far as it was kept, asks for a stream and takes nothing else. Of its
    /// body so many bytes are read at most.
    pub(crate) fn asks_for_stream_in(&self, kept: &Outbox, most: usize) -> bool {
        if let Some((_, request)) = self.translation().and_then(Translation::asked) {
            // Where it is read already there is nothing to be looked for in the server's words.
            return request.stream;
        }
        let draft = kept.draft();
        let events_only = accepts_events_only(rewrite::values_of(&draft, b"accept"));
        let look = look(&self.payload_in(kept, most), 0);
        // What can be read in two ways is the server's to decide.
        if look.is_ambiguous() {
            return false;
        }
        let streams =
            self.dialect.streams(&self.path_in(&draft), rewrite::query_of(&draft), look.stream());
        streams || events_only && look.stream() != Some(false)
    }

    /// The path that the servers of its route are asked for, by the draft of its request.
    pub(crate) fn path_in<'d>(&self, draft: &'d [u8]) -> Cow<'d, str> {
        let path = rewrite::path_of(draft);
        match self.route().and_then(|route| route::rewritten(route, path)) {
            Some((prefix, remainder)) => Cow::Owned([&*prefix, remainder].concat()),
            None => Cow::Borrowed(path),
        }
    }

    /// The body as far as it was kept, without its framing, of which `most` bytes are read.
    pub(crate) fn payload_in(&self, kept: &Outbox, most: usize) -> Vec<u8> {
        let framed = kept.copy(most);
        if self.is_unframed() {
            return framed;
        }
        let mut body = Vec::with_capacity(framed.len());
        let mut chunks = &framed[..];
        let first = self.request.watch.first_chunk();
        if first > 0 {
            // It has its line in the opening.
            body.extend_from_slice(&framed[..first.min(framed.len())]);
            chunks = framed.get(first + b"\r\n".len()..).unwrap_or_default();
        }
        // What was kept was cleared: it has no fault to find.
        let _ =
            Body::of_response(Framing::Chunked).scan(chunks, |data| body.extend_from_slice(data));
        body
    }

    /// Whether what is kept of its body is its payload.
    fn is_unframed(&self) -> bool {
        self.request.body.framing() != Framing::Chunked || self.request.mode == Mode::Payload
    }

    /// Whether the request as it was `sent` names web pages among what it takes.
    pub(crate) fn asks_for_page(&self, sent: &Outbox) -> bool {
        if !sent.keeps() {
            return false;
        }
        let draft = sent.draft();
        rewrite::values_of(&draft, b"accept").any(|accept| accepts(accept, b"text/html"))
    }

    /// Whether the request as it was `sent` asks for a stream, on an inference path. One in which the
    /// word is nowhere asks for none, but for Ollama.
    pub(crate) fn asks_for_stream(&self, sent: &Outbox) -> bool {
        if self.dialect == Dialect::Generic || !sent.keeps() {
            return false;
        }
        let may = self.dialect.may_stream_unasked()
            || self.is_translated()
            || self.request.body.framing() == Framing::Chunked
            || contains(&STREAM, sent.pieces());
        may && self.asks_for_stream_in(sent, LOOK_MAX)
    }

    /// How many choices the answer is to have, by the request as it was `sent`. `None`: nobody
    /// knows, since it was too long to be kept, or is not all here.
    pub(crate) fn choices(&self, sent: &Outbox) -> Option<u32> {
        if !self.dialect.has_choices() || self.is_translated() {
            return Some(1);
        }
        if !sent.keeps() || !self.request.body.is_complete() {
            return None;
        }
        let framing = self.request.body.framing();
        // Chunks may cut a name anywhere.
        let may_be_several = framing == Framing::Chunked
            || contains(&CHOICES, sent.pieces())
            // A list of prompts.
            || self.dialect.takes_several_prompts()
                && sent.pieces().any(|piece| memchr::memchr(b'[', piece).is_some());
        match may_be_several {
            true => look(&self.payload_in(sent, LOOK_MAX), 0).choices(),
            false => Some(1),
        }
    }
}

/// Whether this `Accept` has event streams in it.
pub(crate) fn accepts_events(accept: &[u8]) -> bool {
    accepts(accept, EVENTS)
}

fn accepts(accept: &[u8], media: &[u8]) -> bool {
    accept.windows(media.len()).any(|window| window.eq_ignore_ascii_case(media))
}

/// Whether these fields `Accept` have event streams in them and nothing else.
pub(crate) fn accepts_events_only<'a>(mut accept: impl Iterator<Item = &'a [u8]>) -> bool {
    let is_events = |range: &[u8]| {
        let media = range.split(|byte| *byte == b';').next().unwrap_or_default();
        media.trim_ascii().eq_ignore_ascii_case(EVENTS)
    };
    let mut any = false;
    let only = accept.all(|field| {
        let ranges =
            field.split(|byte| *byte == b',').filter(|range| !range.trim_ascii().is_empty());
        ranges.inspect(|_| any = true).all(is_events)
    });
    any && only
}

static CHOICES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"n\""));
static STREAM: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"stream"));

/// Whether a word of at most eight bytes stands somewhere in a text that comes in pieces.
fn contains<'p>(word: &Finder<'_>, pieces: impl Iterator<Item = &'p [u8]>) -> bool {
    const EDGE: usize = 7;
    debug_assert!(word.needle().len() <= EDGE + 1);
    // The last bytes before a piece: with its first ones they hold what the cut goes through.
    let mut before = [0; EDGE];
    for piece in pieces {
        let join = before.iter().chain(piece.iter().take(EDGE)).copied();
        let mut seam = [0; 2 * EDGE];
        seam.iter_mut().zip(join).for_each(|(to, from)| *to = from);
        if word.find(&seam).is_some() || word.find(piece).is_some() {
            return true;
        }
        let last = before.iter().chain(piece).rev().take(EDGE);
        let mut end = [0; EDGE];
        end.iter_mut().rev().zip(last).for_each(|(to, from)| *to = *from);
        before = end;
    }
    false
}

/// What the body of a request asks for.
pub(crate) fn look(body: &[u8], prefix: usize) -> RequestScan {
    let mut look = RequestScan::new(LOOK_MAX, prefix);
    look.feed(body);
    look.end();
    look
}

/// The body of an answer that was kept, without its framing.
pub(crate) fn payload(framed: &[u8], framing: Framing) -> Cow<'_, [u8]> {
    if framing != Framing::Chunked {
        return Cow::Borrowed(framed);
    }
    let mut body = Vec::with_capacity(framed.len());
    // What was kept was cleared: it has no fault to find.
    let _ = Body::of_response(framing).scan(framed, |data| body.extend_from_slice(data));
    Cow::Owned(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_accepts_anything_but_events_may_be_sent_a_document() {
        for (fields, expected) in [
            (&["text/event-stream"][..], true),
            (&[" Text/Event-Stream ; q=0.9 ,"], true),
            (&["text/event-stream", "text/event-stream;charset=utf-8"], true),
            (&["application/json, text/event-stream"], false),
            (&["text/event-stream, */*;q=0.1"], false),
            (&["text/event-stream", "application/json"], false),
            (&["*/*"], false),
            (&[""], false),
            (&[], false),
        ] {
            let fields = fields.iter().map(|field| field.as_bytes());
            assert_eq!(accepts_events_only(fields.clone()), expected, "{:?}", fields.count());
        }
    }

    #[test]
    fn a_name_is_found_wherever_it_is_cut() {
        for (text, expected) in
            [("{\"n\":2}", true), ("{\"m\":2,\"nn\":\"\"}", false), ("\"n", false)]
        {
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let (start, rest) = text.split_at(first);
                    let (middle, end) = rest.split_at(second - first);
                    let pieces = [start, middle, end].map(str::as_bytes);
                    assert_eq!(contains(&CHOICES, pieces.into_iter()), expected, "{pieces:?}");
                }
            }
        }
    }
}
