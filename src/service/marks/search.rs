//! Lines that say nothing, told from the others by a vector search.

use memchr::memmem;

/// A mark that stands in every delta. All of it is known when this is compiled, so that comparing with
/// it takes a few instructions and no call.
#[derive(Clone, Copy, Debug)]
pub(in crate::service) struct Search {
    pub quoted: &'static [u8],
    /// The value with which it says "it goes on".
    pub goes_on: &'static [u8],
    /// A byte of `quoted` that is rare behind it, and where it stands.
    pub letter: u8,
    pub letter_at: usize,
}

/// What lies behind a mark is no shorter than this if there is an error in it.
const ERROR_MIN: usize = 16;

/// Whether something here may be the name of an error.
#[inline(never)]
fn fails(behind: &[u8]) -> bool {
    let letters = memchr::memchr_iter(b'r', behind);
    letters.map(|at| &behind[at..]).any(|text| text.starts_with(b"rror\""))
}

impl Search {
    /// Whether `line` is a delta that says nothing else: its last mark says "it goes on", and neither
    /// an object nor an error comes behind it.
    #[inline(always)]
    pub fn is_delta(&self, line: &[u8]) -> bool {
        // From the end, where the mark stands, by its letter. What lies behind is clear of marks.
        for at in memchr::memrchr2_iter(b'{', self.letter, line) {
            let start = at.wrapping_sub(self.letter_at);
            let behind = line.get(start..).and_then(|text| text.strip_prefix(self.quoted));
            if let Some(behind) = behind {
                let escaped = start > 0 && line[start - 1] == b'\\';
                let value = behind.strip_prefix(b":").map(|value| match value {
                    [b' ', value @ ..] => value,
                    value => value,
                });
                let goes_on = value.is_some_and(|value| value.starts_with(self.goes_on));
                return goes_on && !escaped && !(behind.len() >= ERROR_MIN && fails(behind));
            }
            if line[at] == b'{' {
                break;
            }
        }
        false
    }
    /// Whether the mark stands in `line` once, if at all.
    #[cold]
    pub fn stands_once(&self, line: &[u8]) -> bool {
        let behind = memmem::find(line, self.quoted).map(|at| &line[at + 1..]);
        behind.is_none_or(|behind| memmem::find(behind, self.quoted).is_none())
    }
}
