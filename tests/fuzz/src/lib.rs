//! What the targets hold the gateway against: readers of other makes, and ways to cut an input.
//!
//! | file | what it reads |
//! |---|---|
//! | `grammar.rs` | chunked bodies, by the grammar of RFC 9112 §7.1 and nothing else |
//! | `head.rs` | heads, in the plainest way there is |
//! | `stream.rs` | event streams, as the HTML standard says, and lines |
//! | `token.rs` | tokens: one rule after the other, and who has signed |

pub mod grammar;
pub mod head;
pub mod stream;
pub mod token;

/// `data` in two, where its first byte says; the rest is what is cut.
pub fn cut(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (at, data) = data.split_first()?;
    let at = usize::from(*at) * (data.len() + 1) / 256;
    Some(data.split_at(at))
}
