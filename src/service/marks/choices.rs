//! Which of several choices of one answer have ended.

/// Choices are told apart below this index. Of an answer with more only `[DONE]` tells the end.
const COUNTED: u32 = 15;
/// In a set of choices: one that is not counted. It never ends.
const UNCOUNTED: u16 = 1 << COUNTED;

/// In `item`: its index.
const INDEX: u8 = 0x0f;
/// In `item`: it has a reason to have ended.
const ENDED: u8 = 0x10;
/// In `item`: the event speaks of one now.
const SPOKEN_OF: u8 = 0x20;
/// In `item`: more than one was asked for.
const ASKED: u8 = 0x40;
/// In `item`: nobody knows how many were asked for.
const UNKNOWN: u8 = 0x80;

/// The choices of one answer. Packed, because the record it belongs to is full to the byte.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed)]
pub(in crate::service) struct Choices {
    /// Those that are to end yet: of those asked for, or of those seen.
    open: u16,
    /// Those that have ended in the event that comes now, and count when it is dispatched.
    ended: u16,
    /// The one that the event speaks of now.
    item: u8,
}

impl Choices {
    /// One, which needs no counting.
    pub const ONE: Choices = Choices { open: 0, ended: 0, item: 0 };

    pub fn new(asked: Option<u32>) -> Choices {
        match asked {
            Some(0 | 1) => Choices::ONE,
            Some(count @ ..=COUNTED) => {
                Choices { open: (1 << count) - 1, item: ASKED, ..Choices::ONE }
            }
            Some(_) => Choices { open: UNCOUNTED, item: ASKED, ..Choices::ONE },
            None => Choices { item: UNKNOWN, ..Choices::ONE },
        }
    }

    /// Whether there may be more than one.
    #[inline]
    pub fn are_several(self) -> bool {
        self.item & (ASKED | UNKNOWN) != 0
    }

    /// Whether those that go on must be known too.
    #[inline]
    pub fn are_unknown(self) -> bool {
        self.item & UNKNOWN != 0
    }

    pub fn have_ended(self) -> bool {
        self.open == 0
    }

    /// The event speaks of one, whichever that is.
    pub fn speak(&mut self) {
        if self.are_several() {
            self.item |= SPOKEN_OF;
        }
    }

    /// The event speaks of another one from here on.
    pub fn begin(&mut self) {
        self.leave();
        if self.are_several() {
            // Servers that know of one only may leave its index out.
            self.item |= SPOKEN_OF;
        }
    }

    pub fn index(&mut self, index: u32) {
        self.item = self.item & !INDEX | index.min(COUNTED) as u8;
    }

    /// The one that the event speaks of has ended.
    pub fn end(&mut self) {
        self.item |= ENDED;
    }

    /// Nothing more is said of the one that the event speaks of.
    fn leave(&mut self) {
        let one = 1 << (self.item & INDEX);
        match (self.item & SPOKEN_OF != 0, self.item & ENDED != 0) {
            (false, _) => {}
            (true, true) => self.ended |= one,
            (true, false) if self.are_unknown() => {
                self.open |= one;
                self.ended &= !one;
            }
            (true, false) => {}
        }
        self.item &= ASKED | UNKNOWN;
    }

    /// The event is over; it counts, or it was no JSON. Returns whether choices have ended with it.
    pub fn count_event(&mut self, counts: bool) -> bool {
        self.leave();
        let ended = if counts { self.ended } else { 0 };
        self.ended = 0;
        self.open &= !ended | UNCOUNTED;
        ended != 0
    }
}
