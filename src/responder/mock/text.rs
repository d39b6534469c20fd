//! What the mock says: sixteen words, for ever, cut into tokens without a copy.
//!
//! The text lies preformatted in the binary, so a token of plain text is a slice of it: no
//! allocation, and no reference count for two cores to fight over. It holds nothing that JSON
//! would have to escape.

use bytes::Bytes;

use crate::clock::Instant;

const POEM: &str =
    "Water finds its way\nthrough every open gate\none drop after another\nuntil the river sings\n";
const CYCLE: usize = POEM.len();
const WORDS: usize = 16;

/// The largest text of one token.
pub(super) const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// The longest text that is recognised at the end of a prompt.
const CONTINUED_MAX: usize = 16 * 1024;

/// Twenty digits hold any `u64`; a space sets the stamp off from the words behind it.
pub(super) const STAMP_BYTES: usize = STAMP_DIGITS + 1;
const STAMP_DIGITS: usize = 20;

/// Where each word begins, and where the last one ends. A word owns the separator behind it.
const WORD_BOUNDS: [usize; WORDS + 1] = word_bounds();

static LINES: [u8; TOKEN_BYTES_MAX + CYCLE] = repeated(b'\n');
static FLOW: [u8; TOKEN_BYTES_MAX + CYCLE] = repeated(b' ');

/// How lines of the poem end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// With a newline: plain text on a terminal.
    Lines,
    /// With a space: the inside of a JSON string.
    Flow,
}

/// The text of one token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    stamp: Option<[u8; STAMP_BYTES]>,
    pub words: &'static [u8],
}

/// How big tokens are, and whether each tells when it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// `None`: a word each.
    pub bytes: Option<u32>,
    pub stamp: bool,
}

impl Token {
    /// Token number `index`, counted from 0.
    pub fn new(script: Script, size: Size, index: u64, now: Instant) -> Token {
        let text = match script {
            Script::Lines => &LINES,
            Script::Flow => &FLOW,
        };
        let stamp = size.stamp.then(|| stamp(now));
        let words = match size.bytes {
            None => {
                let word = (index % WORDS as u64) as usize;
                &text[WORD_BOUNDS[word]..WORD_BOUNDS[word + 1]]
            }
            Some(bytes) => {
                let room = bytes as usize - stamp.map_or(0, |stamp| stamp.len());
                let start = (index % CYCLE as u64) as usize * (room % CYCLE) % CYCLE;
                &text[start..start + room]
            }
        };
        Token { stamp, words }
    }

    /// The stamp and its space; empty if none was asked for.
    pub fn stamp(&self) -> &[u8] {
        self.stamp.as_ref().map_or(&[], |stamp| stamp.as_slice())
    }

    /// The bare token. Without a stamp it is a slice of the text, and costs nothing.
    pub fn into_bytes(self) -> Bytes {
        match &self.stamp {
            None => Bytes::from_static(self.words),
            Some(stamp) => Bytes::from([stamp, self.words].concat()),
        }
    }
}

/// Bytes of the first `count` tokens, or `None` beyond what a `usize` can tell.
pub(super) fn length(size: Size, count: u64) -> Option<usize> {
    let count = usize::try_from(count).ok()?;
    if let Some(bytes) = size.bytes {
        // The stamp is one of them.
        return count.checked_mul(bytes as usize);
    }
    let words = (count / WORDS).checked_mul(CYCLE)?.checked_add(WORD_BOUNDS[count % WORDS])?;
    words.checked_add(if size.stamp { count.checked_mul(STAMP_BYTES)? } else { 0 })
}

/// How many tokens of the text a prompt ends with, at most `most`: whoever says more goes on there.
pub(super) fn tokens_at_the_end(prompt: &str, size: Size, most: u64) -> u16 {
    let prompt = prompt.as_bytes();
    let said = |count: &u16| {
        let text = length(size, u64::from(*count)).and_then(|length| FLOW.get(..length));
        text.is_some_and(|text| prompt.ends_with(text))
    };
    // A token has a byte at least.
    let most = most.min(prompt.len().min(CONTINUED_MAX) as u64) as u16;
    (1..=most).rev().find(said).unwrap_or(0)
}

fn stamp(now: Instant) -> [u8; STAMP_BYTES] {
    let mut text = [b' '; STAMP_BYTES];
    let mut rest = now.as_nanos();
    for digit in text[..STAMP_DIGITS].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

const fn word_bounds() -> [usize; WORDS + 1] {
    let mut bounds = [0; WORDS + 1];
    let (mut word, mut at) = (0, 0);
    while at < CYCLE {
        if matches!(POEM.as_bytes()[at], b' ' | b'\n') {
            word += 1;
            bounds[word] = at + 1;
        }
        at += 1;
    }
    assert!(word == WORDS);
    bounds
}

/// The poem over and over: a token of any allowed size may start anywhere in its first cycle.
const fn repeated(line_end: u8) -> [u8; TOKEN_BYTES_MAX + CYCLE] {
    let mut text = [0; TOKEN_BYTES_MAX + CYCLE];
    let mut at = 0;
    while at < text.len() {
        let byte = POEM.as_bytes()[at % CYCLE];
        text[at] = if byte == b'\n' { line_end } else { byte };
        at += 1;
    }
    text
}
