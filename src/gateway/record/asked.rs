//! What a request asks for, read where it is kept.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::gateway::record::exchange::Exchange;
use crate::http::body::{Body, Framing};
use crate::http::rewrite;
use crate::service::Dialect;
use crate::service::request::Look;
use crate::wire::outbox::Outbox;

/// How far a body is read for what it asks.
pub(crate) const LOOK_MAX: usize = 1 << 20;

impl Exchange {
    /// How many choices the answer is to have, by the request as it was `sent`. `None`: nobody
    /// knows, since it was too long to be kept, or is not all here.
    pub(crate) fn choices(&self, sent: &Outbox) -> Option<u32> {
        if !matches!(self.dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions) {
            return Some(1);
        }
        if !sent.keeps() || !self.request.body.is_complete() {
            return None;
        }
        let framing = self.request.body.framing();
        // Chunks may cut a name anywhere.
        let may_be_several = framing == Framing::Chunked
            || contains_n(sent.pieces())
            // A list of prompts.
            || self.dialect == Dialect::OpenAiCompletions
                && sent.pieces().any(|piece| memchr::memchr(b'[', piece).is_some());
        match may_be_several {
            true => look(&sent.copy(LOOK_MAX), framing, 0).choices(),
            false => Some(1),
        }
    }
}

/// Whether this `Accept` has event streams in it.
pub(crate) fn accepts_events(accept: &[u8]) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    accept.windows(EVENTS.len()).any(|window| window.eq_ignore_ascii_case(EVENTS))
}

/// Whether `"n"` stands somewhere in a text that comes in pieces.
fn contains_n<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"n\""));
    // The last two bytes before a piece: with its first two they hold what the cut goes through.
    let mut before = [0; 2];
    for piece in pieces {
        let start = piece.iter().take(2);
        let join = before.iter().chain(start).copied();
        let mut seam = [0; 4];
        seam.iter_mut().zip(join).for_each(|(to, from)| *to = from);
        if NAME.find(&seam).is_some() || NAME.find(piece).is_some() {
            return true;
        }
        let last = before.iter().chain(piece).rev().take(2);
        let mut end = [0; 2];
        end.iter_mut().rev().zip(last).for_each(|(to, from)| *to = *from);
        before = end;
    }
    false
}

/// What a request that was kept asks for.
pub(crate) fn look(request: &[u8], framing: Framing, prefix: usize) -> Look {
    let (_, body) = rewrite::path_and_body(request);
    let mut look = Look::new(LOOK_MAX, prefix);
    look.feed(&payload(body, framing));
    look.end();
    look
}

/// The body of a request that was kept, without its framing. A length is not what it was if the body
/// has been rewritten since: it ends where the request does.
pub(crate) fn payload(framed: &[u8], framing: Framing) -> Cow<'_, [u8]> {
    if framing != Framing::Chunked {
        return Cow::Borrowed(framed);
    }
    let mut body = Vec::with_capacity(framed.len());
    // What was kept was cleared: it has no fault to find.
    let _ = Body::new(framing).scan(framed, |data| body.extend_from_slice(data));
    Cow::Owned(body)
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    assert_eq!(contains_n(pieces.into_iter()), expected, "{pieces:?}");
                }
            }
        }
    }
}
