//! Continuation: what it takes to let one server go on where another one has stopped.
//!
//! | file         | knows                                                                         |
//! |--------------|-------------------------------------------------------------------------------|
//! | `transcript` | what a stream has said so far, as text                                        |
//! | `request`    | the request that asks for the rest: the first one, with that text in it       |
//! | `kept`       | bytes that are kept for it, out of a purse that all streams of a worker share |
//!
//! Some requests can carry the text so far: a prompt can, whoever completes it, and so can the last
//! message of a chat, where the server takes that as the beginning of its own answer.
//!
//! * What is not known to mean the same when it is asked in two parts is not asked in two parts: a
//!   request is read against a list of members that do, and anything else makes it unfit.
//! * The text is exact or it is none. A stream that says anything else than text (a call of a tool,
//!   a second choice, half a character) has none.
//! * The request stays as it was written, byte by byte, but for the text and for the number of
//!   tokens it leaves.
//!
//! Absent on purpose: Anthropic's dialect, whose second stream would begin with a `message_start`
//! in the middle of the first one's message; Ollama's, which has no comment to mark the seam with;
//! and OpenAI's responses, which take no beginning of an answer.

mod kept;
mod request;
mod transcript;

#[cfg(test)]
mod tests;

pub use self::kept::{Allotment, Kept, Purse};
pub use self::request::{Uncontinuable, continued, is_fit};
pub use self::transcript::{Lacking, Transcript};

/// How a server takes the text so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prefill {
    /// Not at all.
    Off,
    /// At the end of a prompt.
    Prompt,
    /// There, and as the last message of a chat: `continue_final_message`.
    Chat,
}

impl Prefill {
    pub const ALL: [Prefill; 3] = [Prefill::Off, Prefill::Prompt, Prefill::Chat];

    /// As it stands in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Prefill::Off => "off",
            Prefill::Prompt => "prompt",
            Prefill::Chat => "chat",
        }
    }
}

/// Appends the comment that marks the seam: the events behind it are the upstream's of that name,
/// which has no line end in it.
pub fn mark(upstream: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b": continued by ");
    out.extend_from_slice(upstream.as_bytes());
    out.extend_from_slice(b"\n\n");
}
