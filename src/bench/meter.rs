//! Tokens in a payload: how many there are, and when each was sent.
//!
//! | meter | a token is | knows when it was sent |
//! |---|---|---|
//! | `Stamped` | every N bytes, beginning with 20 digits: the sender's clock | yes |
//! | `Sized` | every N bytes | no |
//! | `Events` | a server-sent event with data | no |
//! | `Pieces` | a range of payload as it arrived | no |
//! | `Nothing` | none: bytes are what counts | no |
//!
//! The first two count the mock's tokens by position, so that they stay right however a proxy cuts
//! or joins chunks. Only `Pieces` depends on that, and is there for streams that have no other
//! mark of a token.

use crate::clock::Instant;
use crate::http::sse::EventObserver;

/// Digits of the mock's stamp.
const STAMP_DIGITS: u32 = 20;

/// Follows the payload of one answer.
#[derive(Clone, Debug)]
pub enum Meter {
    Stamped(Stamps),
    Sized { bytes: u32, within: u32 },
    Events(EventObserver),
    Pieces,
    Nothing,
}

/// Where the next stamp is, and what has been read of it.
#[derive(Clone, Debug)]
pub struct Stamps {
    bytes: u32,
    within: u32,
    value: u64,
    legible: bool,
}

impl Meter {
    /// For the mock's tokens of `bytes` bytes each, which begin with a stamp.
    pub fn stamped(bytes: u32) -> Meter {
        Meter::Stamped(Stamps { bytes, within: 0, value: 0, legible: true })
    }

    pub fn sized(bytes: u32) -> Meter {
        Meter::Sized { bytes, within: 0 }
    }

    /// Takes the next bytes of the payload. `on_token` is called for each token that they bring,
    /// with the instant at which it was sent, if it tells.
    pub fn feed(&mut self, data: &[u8], mut on_token: impl FnMut(Option<Instant>)) {
        match self {
            Meter::Stamped(stamps) => stamps.feed(data, on_token),
            Meter::Sized { bytes, within } => {
                // Counted with its last byte.
                let total = u64::from(*within) + data.len() as u64;
                (0..total / u64::from(*bytes)).for_each(|_| on_token(None));
                *within = (total % u64::from(*bytes)) as u32;
            }
            Meter::Events(observer) => {
                let before = observer.data_events();
                observer.feed(data);
                (before..observer.data_events()).for_each(|_| on_token(None));
            }
            Meter::Pieces => on_token(None),
            Meter::Nothing => {}
        }
    }
}

impl Stamps {
    fn feed(&mut self, data: &[u8], mut on_token: impl FnMut(Option<Instant>)) {
        let mut rest = data;
        while let Some((&byte, after)) = rest.split_first() {
            if self.within >= STAMP_DIGITS {
                let words = (self.bytes - self.within) as usize;
                let here = words.min(rest.len());
                self.within = (self.within + here as u32) % self.bytes;
                rest = &rest[here..];
                continue;
            }
            if self.within == 0 {
                (self.value, self.legible) = (0, true);
            }
            self.legible &= byte.is_ascii_digit();
            self.value = self.value.wrapping_mul(10).wrapping_add(u64::from(byte & 15));
            self.within += 1;
            if self.within == STAMP_DIGITS {
                on_token(self.legible.then_some(Instant::from_nanos(self.value)));
            }
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(meter: &Meter, payload: &[u8], piece: usize) -> Vec<Option<Instant>> {
        let mut meter = meter.clone();
        let mut seen = Vec::new();
        for piece in payload.chunks(piece) {
            meter.feed(piece, |sent| seen.push(sent));
        }
        seen
    }

    #[test]
    fn stamps_are_found_however_the_payload_is_cut() {
        let payload =
            b"00000000000000000007 words18446744073709551615 wordsnothing like a stamp at al";
        let meter = Meter::stamped(26);
        let expected = [Some(Instant::from_nanos(7)), Some(Instant::NEVER), None];
        for piece in 1..=payload.len() {
            assert_eq!(read(&meter, payload, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn sized_tokens_are_counted_by_their_last_byte() {
        for piece in 1..=20 {
            assert_eq!(read(&Meter::sized(5), &[b'x'; 19], piece).len(), 3, "pieces of {piece}");
        }
    }

    #[test]
    fn events_are_counted_without_comments() {
        let payload = b": ping\n\ndata: {}\n\ndata: [DONE]\n\n";
        for piece in 1..=payload.len() {
            let meter = Meter::Events(EventObserver::default());
            assert_eq!(read(&meter, payload, piece).len(), 2, "pieces of {piece}");
        }
    }
}
