//! Outbox: bytes of our own making that wait to be written to one socket.
//!
//! A rewritten head, a reply, a body that is framed anew. Bytes that are spliced through unchanged
//! never come here. The outbox of a request may *keep* what it has sent: until the first byte of the
//! answer, the request can be taken back and sent again on another connection.
//!
//! ```text
//!   a request that nobody has:   draft ┆ body          the draft is hidden: it is not sent
//!   one that a connection has:   draft ┆ opening body  the opening is one server's
//!                            or:   opening body         its server wants the draft as it is
//! ```
//!
//! * Bytes leave in the order they came, before anything spliced behind them; but an opening goes in
//!   front of its body.
//! * Without `keep`, an emptied segment goes home at once.
//! * A draft is there as long as the first byte behind it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use crate::wire::buffer::Buffer;
use crate::wire::buffers::BufferPool;
use crate::wire::segments::{Segment, Segments};

#[cfg(test)]
mod tests;

/// A queue of buffers with one reading position. Eight bytes if there is nothing to write: the queue
/// itself is lent by the pool, as the buffers are.
#[derive(Debug, Default)]
pub struct Outbox(Option<Box<Segments>>);

impl Outbox {
    /// An outbox that keeps what it has sent, until [`Outbox::forget`].
    pub fn keeping(pool: &mut BufferPool) -> Outbox {
        Outbox::keeping_within(usize::MAX, pool)
    }

    /// An outbox that keeps a request, if that is no longer than `most` bytes.
    pub fn keeping_within(most: usize, pool: &mut BufferPool) -> Outbox {
        let mut queue = pool.take_segments();
        (queue.keep, queue.most) = (true, most);
        Outbox(Some(queue))
    }

    /// Whether it keeps what it holds, and may keep so many bytes more.
    pub fn may_keep(&self, more: usize) -> bool {
        self.0.as_ref().is_some_and(|queue| queue.keep && self.length() + more <= queue.most)
    }

    /// Stows the draft of a request in an outbox that holds nothing.
    pub fn stow(&mut self, draft: &[u8], pool: &mut BufferPool) {
        debug_assert!(self.held() == 0 && !self.has_draft(), "a request has one draft");
        let queue = self.0.get_or_insert_with(|| pool.take_segments());
        queue.push(draft, pool);
        queue.hide_draft(draft.len());
    }

    /// The draft of the request; empty if there is none, or none any more.
    pub fn draft(&self) -> Cow<'_, [u8]> {
        let Some(queue) = &self.0 else { return Cow::Borrowed(&[]) };
        if queue.shown {
            let first = self.pieces().next().and_then(|first| first.get(..queue.opening));
            let all = || self.pieces().flatten().take(queue.opening).copied().collect();
            return first.map_or_else(|| Cow::Owned(all()), Cow::Borrowed);
        }
        if queue.draft.is_empty() {
            return Cow::Borrowed(queue.hidden());
        }
        let whole = queue.draft.iter().map(Buffer::pending);
        Cow::Owned(whole.chain([queue.hidden()]).flatten().copied().collect())
    }

    pub fn has_draft(&self) -> bool {
        self.0.as_ref().is_some_and(|queue| queue.has_draft())
    }

    /// Puts an opening in front of the body, none of which was sent.
    pub fn put_opening(&mut self, opening: &[u8], pool: &mut BufferPool) {
        debug_assert_eq!(self.opening(), 0, "a request has one opening at a time");
        // Without it a server would take the body for a request.
        assert!(self.has_draft(), "a request is sent again from its first byte");
        match self.is_empty() {
            true => self.push(opening, pool),
            false => self.splice(0..0, opening, pool),
        }
        if let Some(queue) = &mut self.0 {
            queue.opening = opening.len();
        }
    }

    /// Puts the draft itself in front of the body, none of which was sent: this server gets it as it is.
    pub fn put_draft(&mut self) {
        debug_assert_eq!(self.opening(), 0, "a request has one opening at a time");
        let shown = self.0.as_mut().map_or(0, |queue| queue.show_draft());
        assert!(shown > 0, "a request is sent again from its first byte");
    }

    /// Bytes of the opening in front of the body.
    pub fn opening(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.opening)
    }

    /// Takes the opening off again: the request is for nobody in particular, and all of its body is to
    /// be sent. One that cannot be sent again stays as it is.
    pub fn strip(&mut self, pool: &mut BufferPool) {
        let Some(queue) = &mut self.0 else { return };
        if !queue.has_draft() || !queue.keep && !queue.is_unsent() {
            return;
        }
        queue.rewind();
        let opening = std::mem::take(&mut queue.opening);
        match std::mem::take(&mut queue.shown) {
            true => queue.hide_draft(opening),
            false => self.splice(0..opening, &[], pool),
        }
    }

    pub fn push(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        if !bytes.is_empty() {
            self.0.get_or_insert_with(|| pool.take_segments()).push(bytes, pool);
        }
    }

    /// Room for `at_least` bytes that are made in place, at most a buffer; nothing is kept here.
    pub(super) fn room(&mut self, at_least: usize, pool: &mut BufferPool) -> &mut [u8] {
        let queue = self.0.get_or_insert_with(|| pool.take_segments());
        debug_assert!(!queue.keep, "what is kept is made elsewhere");
        let fits = |last: &Segment| last.buffer.free() >= at_least;
        if !queue.segments.back().is_some_and(fits) {
            queue.segments.push_back(Segment { buffer: pool.take(), written: 0 });
        }
        queue.segments.back_mut().map_or(&mut [], |last| last.buffer.room())
    }

    /// So many bytes of the [`Outbox::room`] that was just given are to be sent.
    pub(super) fn made(&mut self, count: usize) {
        if let Some(queue) = &mut self.0
            && let Some(last) = queue.segments.back_mut()
        {
            last.buffer.received(count);
            last.buffer.clear(count);
            queue.bytes += count;
        }
    }

    /// Takes spliced bytes behind its own, if there is room in the last buffer and nothing is kept:
    /// spliced bytes are not sent again. Returns whether it did.
    pub fn join(&mut self, bytes: &[u8]) -> bool {
        let Some(queue) = self.0.as_mut().filter(|queue| !queue.keep) else { return false };
        let joined = queue.segments.back_mut().is_some_and(|last| last.buffer.join(bytes));
        if joined {
            queue.bytes += bytes.len();
        }
        joined
    }

    /// Whether a buffer can be taken over: the first of the body lies behind the draft and the opening, in
    /// their segment, so that another opening finds its place.
    pub fn may_adopt(&self) -> bool {
        let first =
            self.0.as_ref().and_then(|queue| Some((queue.segments.front()?, queue.opening)));
        first.is_some_and(|(first, opening)| first.buffer.pending().len() > opening)
    }

    /// Takes over a buffer with all that may be written of it: its bytes are held and were not copied.
    pub fn adopt(&mut self, mut buffer: Buffer, pool: &mut BufferPool) {
        pool.adopted(&mut buffer);
        self.0.get_or_insert_with(|| pool.take_segments()).adopt(buffer);
    }

    /// The next bytes to write; empty if there are none.
    #[inline]
    pub fn pending(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |queue| queue.pending())
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        !self.is_in_use() || self.pending().is_empty()
    }

    /// Whether it has a queue: it holds bytes, or keeps some. The short question before any other.
    #[inline]
    pub(super) fn is_in_use(&self) -> bool {
        self.0.is_some()
    }

    /// Whether [`Outbox::pending`] is all there is.
    pub fn is_last(&self) -> bool {
        self.0.as_ref().is_none_or(|queue| queue.is_last())
    }

    /// The first `count` bytes of [`Outbox::pending`] have been written.
    #[inline]
    pub fn sent(&mut self, count: usize, pool: &mut BufferPool) {
        debug_assert!(count == 0 || self.is_in_use());
        if self.is_in_use() {
            self.queue_sent(count, pool);
        }
    }

    fn queue_sent(&mut self, count: usize, pool: &mut BufferPool) {
        if let Some(queue) = &mut self.0 {
            queue.sent(count, pool);
        }
        self.give_home(pool);
    }

    /// Puts `with` in the place of a part of what is held, none of which was sent. Whole buffers in
    /// front of the part and behind it stay as they are.
    pub fn splice(&mut self, part: Range<usize>, with: &[u8], pool: &mut BufferPool) {
        let Some(queue) = &mut self.0 else { return };
        debug_assert!(queue.current == 0 && queue.segments.iter().all(|s| s.written == 0));
        let mut behind = VecDeque::new();
        std::mem::swap(&mut behind, &mut queue.segments);
        let mut start = 0;
        // Segments that end in front of the part.
        while let Some(length) = behind.front().map(|segment| segment.buffer.pending().len())
            && start + length <= part.start
        {
            start += length;
            queue.segments.extend(behind.pop_front());
        }
        let mut tail = Vec::new();
        while start < part.end.max(part.start + 1)
            && let Some(mut segment) = behind.pop_front()
        {
            let bytes = segment.buffer.pending();
            let at = |place: usize| place.saturating_sub(start).min(bytes.len());
            tail.extend_from_slice(&bytes[at(part.end)..]);
            let (stays, length) = (at(part.start), bytes.len());
            start += length;
            if stays > 0 || !segment.buffer.hidden().is_empty() {
                segment.buffer.truncate(stays);
                queue.segments.push_back(segment);
            } else {
                pool.give(segment.buffer);
            }
        }
        for bytes in [with, &tail] {
            queue.push(bytes, pool);
        }
        queue.segments.append(&mut behind);
        queue.bytes = queue.counted();
        self.give_home(pool);
    }

    /// The first bytes of what is held behind the opening, sent or not.
    pub fn copy(&self, limit: usize) -> Vec<u8> {
        let (mut bytes, mut opening) = (Vec::new(), self.opening());
        for pending in self.pieces() {
            let body = &pending[opening.min(pending.len())..];
            opening -= pending.len() - body.len();
            bytes.extend_from_slice(&body[..body.len().min(limit - bytes.len())]);
        }
        bytes
    }

    /// Moves everything into `other`, behind what that holds. `other` keeps nothing.
    pub fn append_to(&mut self, other: &mut Outbox, pool: &mut BufferPool) {
        if other.0.is_none() {
            std::mem::swap(self, other);
            return;
        }
        if let Some(queue) = &mut self.0 {
            while let Some(segment) = queue.segments.pop_front() {
                let held = segment.buffer.pending();
                queue.bytes -= held.len();
                other.push(&held[segment.written..], pool);
                pool.give(segment.buffer);
            }
        }
        self.clear(pool);
    }

    /// What is held, sent or not, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let segments = self.0.iter().flat_map(|queue| &queue.segments);
        segments.map(|segment| segment.buffer.pending())
    }

    pub fn keeps(&self) -> bool {
        self.0.as_ref().is_some_and(|queue| queue.keep)
    }

    /// Bytes of the request, with its draft where no opening has been written from that yet.
    pub fn length(&self) -> usize {
        let unopened = self.0.as_ref().filter(|queue| queue.opening == 0);
        self.held() + unopened.map_or(0, |queue| queue.draft_length())
    }

    /// Bytes held, sent ones included, without the draft.
    pub fn held(&self) -> usize {
        let Some(queue) = &self.0 else { return 0 };
        debug_assert_eq!(queue.bytes, queue.counted());
        queue.bytes
    }

    /// Forgets what was kept, if it is longer than it may be.
    pub fn forget_if_long(&mut self, pool: &mut BufferPool) {
        if !self.may_keep(0) {
            self.forget(pool);
        }
    }

    /// Stops keeping: there is no replay any more, and the buffers of what was sent go home.
    pub fn forget(&mut self, pool: &mut BufferPool) {
        if let Some(queue) = &mut self.0 {
            queue.forget(pool);
            self.give_home(pool);
        }
    }

    /// Gives every buffer home.
    pub fn clear(&mut self, pool: &mut BufferPool) {
        if let Some(mut queue) = self.0.take() {
            while !queue.segments.is_empty() {
                queue.drop_front(pool);
            }
            queue.drop_draft(pool);
            (queue.current, queue.keep, queue.opening) = (0, false, 0);
            pool.give_segments(queue);
        }
    }

    /// Gives the queue home, if it is empty and keeps nothing.
    fn give_home(&mut self, pool: &mut BufferPool) {
        // What is hidden lies in a segment.
        let is_spent =
            |held: &Segments| held.segments.is_empty() && !held.keep && held.draft.is_empty();
        if self.0.as_deref().is_some_and(is_spent)
            && let Some(queue) = self.0.take()
        {
            pool.give_segments(queue);
        }
    }
}

/// What of a queue takes buffers from the pool or gives them home.
impl Segments {
    fn push(&mut self, mut bytes: &[u8], pool: &mut BufferPool) {
        self.bytes += bytes.len();
        if let Some(last) = self.segments.back_mut() {
            bytes = &bytes[last.buffer.append(bytes)..];
        }
        while !bytes.is_empty() {
            let mut buffer = pool.take();
            bytes = &bytes[buffer.append(bytes)..];
            self.segments.push_back(Segment { buffer, written: 0 });
        }
        self.leave_what_is_written();
    }

    fn sent(&mut self, count: usize, pool: &mut BufferPool) {
        let Some(segment) = self.segments.get_mut(self.current) else {
            debug_assert_eq!(count, 0);
            return;
        };
        segment.written += count;
        // Where buffers are few, those of the answer are worth more than a second attempt.
        if self.keep && !pool.may_keep() {
            return self.forget(pool);
        }
        let emptied = segment.written == segment.buffer.pending().len();
        if !emptied {
            return;
        }
        if !self.keep {
            self.drop_front(pool);
        } else if !self.is_last() {
            // The last segment stays current: more may be appended to it.
            self.current += 1;
        }
    }

    fn forget(&mut self, pool: &mut BufferPool) {
        if !self.keep {
            return;
        }
        self.keep = false;
        if self.opening == 0 && self.has_draft() {
            // No opening was written, so nothing was sent.
            return;
        }
        for _ in 0..self.current {
            self.drop_front(pool);
        }
        self.current = 0;
        if self.pending().is_empty() {
            self.drop_front(pool);
        }
    }

    fn drop_front(&mut self, pool: &mut BufferPool) {
        if let Some(segment) = self.segments.pop_front() {
            self.bytes -= segment.buffer.pending().len();
            if self.opening > 0 {
                // The draft goes with the first byte behind it.
                self.opening = self.opening.saturating_sub(segment.buffer.pending().len());
                self.drop_draft(pool);
            }
            pool.give(segment.buffer);
        }
    }

    fn drop_draft(&mut self, pool: &mut BufferPool) {
        self.shown = false;
        while let Some(buffer) = self.draft.pop() {
            pool.give(buffer);
        }
    }
}
