//! A secret: kept out of every log, every page and every debug print.

use std::fmt;
use std::hint::black_box;

/// Bytes that are compared and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// `bytes` are not empty.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        let bytes = bytes.into();
        debug_assert!(!bytes.is_empty());
        Secret(bytes)
    }

    /// Whether `given` is the secret. How long it takes depends on the length of `given` alone, so
    /// a guess is not told how much of it was right.
    pub fn is(&self, given: &[u8]) -> bool {
        let mut difference = self.0.len() ^ given.len();
        let secret = self.0.iter().cycle();
        for (ours, theirs) in secret.zip(given) {
            difference = black_box(difference | usize::from(ours ^ theirs));
        }
        black_box(difference) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_the_secret() {
        let secret = Secret::new("open sesame");
        assert!(secret.is(b"open sesame"));
        for wrong in
            ["", "o", "open sesam", "open sesame ", "open sesameopen sesame", "Open sesame"]
        {
            assert!(!secret.is(wrong.as_bytes()), "{wrong:?}");
        }
    }

    #[test]
    fn it_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("open sesame")), "(hidden)");
    }
}
