//! Exchange: one request and its response, as rules.
//!
//! Two half-machines, the request flow and the response flow, and one joint table that tells what
//! becomes of both connections when they have stopped. `exchange/timers.rs` tells which timer runs.

mod timers;

pub use timers::{Awaited, Phase, Timeline, Timer, Waiting, deadline};

/// How far the request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEnd {
    /// Not all of it has been read and written on.
    Unfinished,
    Done,
}

/// How the response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseEnd {
    /// Its last byte was written to the client.
    Done,
    /// It broke off after its first byte was written, or may have been.
    CutShort,
    /// Nothing of it was written.
    None,
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownstreamFate {
    /// Wait for its next request.
    Reuse,
    Close,
    /// Say that nothing more comes, and read on until the client has seen it: closing with unread
    /// bytes would send RST, and RST destroys what the client has not read yet.
    Linger,
    /// End without the end of the message, so that it cannot be taken for whole; and linger, where
    /// RST is not the only way to tell that.
    Abort,
    /// Tell the client what went wrong.
    Reply,
}

/// What becomes of the connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFate {
    Pool,
    Close,
}

/// What becomes of the two connections, once both flows have stopped. `persistent`: both ends of
/// the client's connection agreed to keep it and the response had an end of its own.
///
/// | response  | request    | persistent | downstream | upstream |
/// |-----------|------------|------------|------------|----------|
/// | done      | done       | yes        | reuse      | pool     |
/// | done      | done       | no         | close      | pool     |
/// | done      | unfinished | any        | linger     | close    |
/// | cut short | any        | any        | abort      | close    |
/// | none      | any        | any        | reply      | close    |
///
/// "Pool" is subject to what makes a connection fit: [`super::pool`].
pub fn finish(
    response: ResponseEnd,
    request: RequestEnd,
    persistent: bool,
) -> (DownstreamFate, UpstreamFate) {
    match (response, request, persistent) {
        (ResponseEnd::Done, RequestEnd::Done, true) => (DownstreamFate::Reuse, UpstreamFate::Pool),
        (ResponseEnd::Done, RequestEnd::Done, false) => (DownstreamFate::Close, UpstreamFate::Pool),
        (ResponseEnd::Done, RequestEnd::Unfinished, _) => {
            (DownstreamFate::Linger, UpstreamFate::Close)
        }
        (ResponseEnd::CutShort, _, _) => (DownstreamFate::Abort, UpstreamFate::Close),
        (ResponseEnd::None, _, _) => (DownstreamFate::Reply, UpstreamFate::Close),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_joint_table() {
        use {RequestEnd::*, ResponseEnd as R};
        for (response, request, persistent, expected) in [
            (R::Done, Done, true, (DownstreamFate::Reuse, UpstreamFate::Pool)),
            (R::Done, Done, false, (DownstreamFate::Close, UpstreamFate::Pool)),
            (R::Done, Unfinished, true, (DownstreamFate::Linger, UpstreamFate::Close)),
            (R::Done, Unfinished, false, (DownstreamFate::Linger, UpstreamFate::Close)),
            (R::CutShort, Done, true, (DownstreamFate::Abort, UpstreamFate::Close)),
            (R::CutShort, Unfinished, false, (DownstreamFate::Abort, UpstreamFate::Close)),
            (R::None, Done, true, (DownstreamFate::Reply, UpstreamFate::Close)),
            (R::None, Unfinished, true, (DownstreamFate::Reply, UpstreamFate::Close)),
        ] {
            assert_eq!(finish(response, request, persistent), expected);
        }
    }
}
