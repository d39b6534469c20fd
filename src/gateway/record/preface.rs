//! What a client has of a stream before a server has answered.

/// What of the head of a stream is with a client to which no server has answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// Nothing.
    Unsent,
    /// Nothing, and that is final: nobody asked for a stream.
    Never,
    /// All of it, and comments.
    Sent,
    /// All of it; a server's stream follows.
    Joined,
    /// All of it, and a part of a stream that has broken: the rest is asked for.
    Continuing,
}
