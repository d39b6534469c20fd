//! Segments: the buffers of an outbox, in the order in which they leave.

use std::collections::VecDeque;

use crate::wire::buffer::Buffer;

/// The buffers of an outbox that holds bytes, or may have to send them again.
#[derive(Debug, Default)]
pub struct Segments {
    pub(super) segments: VecDeque<Segment>,
    /// The segment that is being written; those before it are kept for a replay.
    pub(super) current: usize,
    /// Bytes held, sent ones included, without the draft: counted, since a long body is thousands of
    /// segments.
    pub(super) bytes: usize,
    pub(super) keep: bool,
    /// How many bytes are kept at most; before anything is sent, more may be held.
    pub(super) most: usize,
    /// The draft of a request: whole buffers of it. The rest of it, mostly all, is hidden in the first
    /// segment.
    pub(super) draft: Vec<Buffer>,
    /// Bytes of the opening in front of the body; 0: there is none, or what is held is no request.
    pub(super) opening: usize,
    /// The opening is the draft itself, hidden no more.
    pub(super) shown: bool,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) buffer: Buffer,
    /// How many of the buffer's pending bytes were written while it is kept.
    pub(super) written: usize,
}

impl Segments {
    #[inline]
    pub(super) fn pending(&self) -> &[u8] {
        match self.segments.get(self.current) {
            Some(segment) => &segment.buffer.pending()[segment.written..],
            None => &[],
        }
    }

    pub(super) fn is_last(&self) -> bool {
        self.current + 1 >= self.segments.len()
    }

    /// What is hidden in the first segment.
    pub(super) fn hidden(&self) -> &[u8] {
        self.segments.front().map_or(&[], |first| first.buffer.hidden())
    }

    pub(super) fn draft_length(&self) -> usize {
        let whole = self.draft.iter().map(|buffer| buffer.pending().len());
        self.hidden().len() + whole.sum::<usize>()
    }

    pub(super) fn has_draft(&self) -> bool {
        self.shown || !self.hidden().is_empty() || !self.draft.is_empty()
    }

    /// Hides the first bytes: they are the draft.
    pub(super) fn hide_draft(&mut self, mut length: usize) {
        while let Some(first) = self.segments.front_mut() {
            let whole = first.buffer.pending().len();
            if whole > length || !first.buffer.is_full() {
                first.buffer.hide(length);
                self.bytes -= length;
                break;
            }
            length -= whole;
            self.bytes -= whole;
            self.draft.extend(self.segments.pop_front().map(|segment| segment.buffer));
        }
    }

    /// Makes the draft the opening. Returns how long it is.
    pub(super) fn show_draft(&mut self) -> usize {
        if let Some(first) = self.segments.front_mut() {
            self.opening = first.buffer.hidden().len();
            first.buffer.show();
        }
        while let Some(buffer) = self.draft.pop() {
            self.opening += buffer.pending().len();
            self.segments.push_front(Segment { buffer, written: 0 });
        }
        self.shown = true;
        self.bytes += self.opening;
        self.opening
    }

    /// Takes over a buffer, and what may be written of it.
    pub(super) fn adopt(&mut self, buffer: Buffer) {
        self.bytes += buffer.pending().len();
        self.segments.push_back(Segment { buffer, written: 0 });
        self.leave_what_is_written();
    }

    /// A kept segment that was written to its end was current for want of another.
    pub(super) fn leave_what_is_written(&mut self) {
        if !self.is_last() && self.pending().is_empty() {
            self.current += 1;
        }
    }

    /// What [`Segments::bytes`] counts.
    pub(super) fn counted(&self) -> usize {
        self.segments.iter().map(|segment| segment.buffer.pending().len()).sum()
    }

    /// Has everything that was sent sent again.
    pub(super) fn rewind(&mut self) {
        self.current = 0;
        for segment in &mut self.segments {
            segment.written = 0;
        }
    }

    /// Whether nothing that it holds has been written.
    pub(super) fn is_unsent(&self) -> bool {
        self.current == 0 && self.segments.iter().all(|segment| segment.written == 0)
    }

    /// Gives memory back, if the queue was long once.
    pub(super) fn shrink(&mut self) {
        self.segments.shrink_to(8);
    }
}
