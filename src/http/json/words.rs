//! The few words of a JSON text that a caller knows, told apart as they come byte by byte.

/// A key or a text that a caller knows, by its place in [`Words`].
pub type Word = u8;
/// In a path: a key that is none of the words.
pub const OTHER: Word = u8::MAX;
/// In a path: an element of an array.
pub const ITEM: Word = u8::MAX - 1;
/// In no path.
const NO_WORD: Word = u8::MAX - 2;
/// There are no more words than this: those who know them may give the names behind it a meaning.
const WORDS_MAX: usize = 240;

/// The words a walker can tell apart.
#[derive(Debug)]
pub struct Words {
    /// In ascending order.
    pub(super) sorted: &'static [&'static str],
    /// For each first byte, the range of the words that begin with it.
    starts: [(u8, u8); 128],
    /// A key that is told wherever it stands, see [`Words::anywhere`].
    pub(super) anywhere: Word,
    /// A key of whose object all members are told, see [`Words::with_members_of`].
    pub(super) members: Word,
    /// A key below which everything is told, see [`Words::all_below`].
    pub(super) below: Word,
    /// See [`Words::skimming`].
    pub(super) skims: bool,
}

impl Words {
    /// Fails to compile, as a constant, if the words are out of order.
    pub const fn new(sorted: &'static [&'static str]) -> Words {
        assert!(sorted.len() <= WORDS_MAX);
        let mut index = 1;
        while index < sorted.len() {
            assert!(is_less(sorted[index - 1].as_bytes(), sorted[index].as_bytes()));
            index += 1;
        }
        let mut starts = [(0, 0); 128];
        index = sorted.len();
        while index > 0 {
            index -= 1;
            // A word that is empty, or begins outside ASCII, fails to compile here.
            let start = &mut starts[sorted[index].as_bytes()[0] as usize];
            *start = (index as u8, if start.1 == 0 { index as u8 + 1 } else { start.1 });
        }
        Words { sorted, starts, anywhere: ITEM, members: NO_WORD, below: NO_WORD, skims: false }
    }

    /// The same words, of which one is told at any depth and below any key. Where its path is not
    /// known it is told as below [`OTHER`].
    pub const fn anywhere(&self, word: Word) -> Words {
        Words { anywhere: word, ..self.same() }
    }

    /// The same words. Of an object below this one all members are told, those whose names are no words
    /// as [`OTHER`].
    pub const fn with_members_of(&self, word: Word) -> Words {
        Words { members: word, ..self.same() }
    }

    /// The same words. All that lies below this one is told, at any depth and by whatever names, if the
    /// word is among the first three steps of the path; of longer paths than a walker knows the first
    /// steps.
    pub const fn all_below(&self, word: Word) -> Words {
        Words { below: word, ..self.same() }
    }

    /// The same words, where containers in which nothing can be told are passed over: only their
    /// strings and brackets are read, so a megabyte of numbers costs a search. What is no JSON in
    /// there goes unnoticed, so this is for texts that nothing is decided by but what is told, and
    /// whose words are told on their paths alone.
    pub const fn skimming(&self) -> Words {
        assert!(self.anywhere == ITEM && self.members == NO_WORD);
        Words { skims: true, ..self.same() }
    }

    const fn same(&self) -> Words {
        let Words { sorted, starts, anywhere, members, below, skims } = *self;
        Words { sorted, starts, anywhere, members, below, skims }
    }

    /// The word that is written `text`. For constants: it fails to compile if there is none.
    pub const fn word(&self, text: &str) -> Word {
        let mut index = 0;
        while index < self.sorted.len() {
            let word = self.sorted[index].as_bytes();
            if !is_less(word, text.as_bytes()) && !is_less(text.as_bytes(), word) {
                return index as Word;
            }
            index += 1;
        }
        // Only constants call this: a word that is not there stops the build, not a process.
        panic!("one of the words");
    }

    fn byte(&self, word: u8, at: u8) -> Option<u8> {
        self.sorted[usize::from(word)].as_bytes().get(usize::from(at)).copied()
    }
}

/// Whether `left` comes first. For constants.
pub const fn is_less(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return left[at] < right[at];
        }
        at += 1;
    }
    left.len() < right.len()
}

/// Compares a text that comes byte by byte with all words at once: the candidates are those that
/// begin with what has come, a range of the sorted list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matcher {
    first: u8,
    end: u8,
    length: u8,
}

impl Matcher {
    pub const fn new(words: &Words) -> Matcher {
        Matcher { first: 0, end: words.sorted.len() as u8, length: 0 }
    }

    /// One that matches nothing.
    pub const NOTHING: Matcher = Matcher { first: 0, end: 0, length: 0 };

    /// Whether no word can come of it any more.
    pub fn is_lost(&self) -> bool {
        self.first == self.end
    }

    /// Some of the text. One that is a word and comes in one piece costs a few comparisons.
    pub fn take(&mut self, words: &Words, part: &[u8]) {
        if self.length == 0 && self.end > 0 && self.take_whole(words, part) {
            return;
        }
        for &byte in part {
            if self.is_lost() {
                return;
            }
            self.step(words, byte);
        }
    }

    /// Takes the first piece of the text, if it is a word. It may go on, as other words do.
    fn take_whole(&mut self, words: &Words, part: &[u8]) -> bool {
        let start = part.first().and_then(|first| words.starts.get(usize::from(*first)));
        let (Some(&(start, end)), Ok(length)) = (start, u8::try_from(part.len())) else {
            return false;
        };
        let known = |word: u8| words.sorted[usize::from(word)].as_bytes();
        let Some(first) = (start..end).find(|word| known(*word) == part) else { return false };
        let longer = (first + 1..end).take_while(|word| known(*word).starts_with(part));
        let end = longer.last().map_or(first + 1, |last| last + 1);
        *self = Matcher { first, end, length };
        true
    }

    #[inline]
    pub fn step(&mut self, words: &Words, byte: u8) {
        if self.length == 0 && self.end > 0 {
            (self.first, self.end) = words.starts.get(usize::from(byte)).copied().unwrap_or((0, 0));
            self.length = 1;
            return;
        }
        while self.first < self.end && words.byte(self.first, self.length) < Some(byte) {
            self.first += 1;
        }
        while self.first < self.end && words.byte(self.end - 1, self.length) > Some(byte) {
            self.end -= 1;
        }
        self.length = self.length.saturating_add(1);
    }

    /// The word, now that the text has ended.
    pub fn word(&self, words: &Words) -> Word {
        // The shortest of the candidates stands first.
        match !self.is_lost() && words.byte(self.first, self.length).is_none() {
            true => self.first,
            false => OTHER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_one_piece_is_taken_as_byte_by_byte() {
        const WORDS: Words =
            Words::new(&["a", "ab", "abc", "abd", "b", "content", "content_block"]);
        for text in
            ["", "a", "ab", "abc", "abcd", "abd", "ac", "b", "c", "content", "content_b", "x"]
        {
            let mut bytewise = Matcher::new(&WORDS);
            text.bytes().for_each(|byte| {
                if !bytewise.is_lost() {
                    bytewise.step(&WORDS, byte);
                }
            });
            for cut in 0..=text.len() {
                let mut pieces = Matcher::new(&WORDS);
                pieces.take(&WORDS, &text.as_bytes()[..cut]);
                pieces.take(&WORDS, &text.as_bytes()[cut..]);
                assert_eq!(pieces.word(&WORDS), bytewise.word(&WORDS), "{text} cut at {cut}");
                let fresh = Matcher::new(&WORDS);
                assert_eq!(pieces == fresh, bytewise == fresh, "{text} cut at {cut}");
            }
        }
    }
}
