//! Retry: whether an attempt that failed may be made again.
//!
//! One rule so far, the stale connection. A server may close a pooled connection at the very moment
//! a request is written to it; llama.cpp's server announces keep-alive and closes after every
//! streamed response. Such a request fails without an answer although nothing is wrong.
//!
//! | reused | answered a byte | sent before | bytes taken by the kernel | method | verdict |
//! |---|---|---|---|---|---|
//! | – | yes | – | – | – | final: the client has, or may have, bytes |
//! | no | no | – | – | – | final: a fresh connection that dies is a fault of the server |
//! | yes | no | yes | – | – | final: once is enough |
//! | yes | no | no | none | any | again: no byte was sent |
//! | yes | no | no | some | idempotent | again |
//! | yes | no | no | some | POST, PATCH, … | again where `replay_stale_post`, else final |
//!
//! "Again" always means a *fresh* connection: a server that drops one idle connection drops its
//! siblings, and a last-in-first-out pool would hand out the next dead one. It needs the request
//! to be kept in full.
//!
//! RFC 9110 §9.2.2 forbids a proxy to repeat a non-idempotent request on its own: the server may
//! have acted on it before it closed. For inference the act is a computation that changes nothing,
//! its cost is bounded (the connection died before the first byte of the answer), and without the
//! replay clients see errors that no one caused. Hence on by default, and a knob.

use std::time::Duration;

use crate::config::snapshot::{Condition, Retry};

/// One attempt, as far as a retry cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The connection had carried a request before.
    pub reused: bool,
    /// At least one byte of a response has been read.
    pub answered: bool,
    /// The request has been replayed already.
    pub replayed: bool,
    /// The kernel has taken at least one byte of the request.
    pub sent: bool,
    /// GET, HEAD, OPTIONS, TRACE, PUT, DELETE (RFC 9110 §9.2.2).
    pub idempotent: bool,
    /// Every byte sent so far is still there.
    pub kept: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Send the whole request again, on a fresh connection.
    ReplayFresh,
    Final,
}

/// What is known of an attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub committed: bool,
    pub condition: Option<Condition>,
    pub retry_after: Option<Duration>,
    pub attempts: u32,
    pub kept: bool,
    pub sent: bool,
    pub idempotent: bool,
    pub untried: bool,
    pub more_links: bool,
    pub upstream_unavailable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Again { after: Duration },
    Next,
    Final,
}

pub fn decide(facts: &Facts, settings: &Retry) -> Verdict {
    if facts.committed || !facts.kept {
        return Verdict::Final;
    }
    let listed = facts.condition.is_some_and(|condition| settings.on.contains(condition));
    if !listed && !facts.upstream_unavailable {
        return Verdict::Final;
    }
    if facts.sent && !facts.idempotent && !settings.post {
        return Verdict::Final;
    }
    if listed && facts.attempts < settings.attempts {
        return Verdict::Again {
            after: if facts.untried { Duration::ZERO } else { settings.backoff },
        };
    }
    if facts.more_links { Verdict::Next } else { Verdict::Final }
}

/// The verdict on an upstream connection that was closed, reset, or refused a write.
pub fn on_connection_lost(attempt: Attempt, replay_stale_post: bool) -> Stale {
    let Attempt { reused, answered, replayed, sent, idempotent, kept } = attempt;
    if answered || !reused || replayed || !kept {
        Stale::Final
    } else if !sent || idempotent || replay_stale_post {
        Stale::ReplayFresh
    } else {
        Stale::Final
    }
}

/// Whether a method may be repeated without a second effect (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Attempt = Attempt {
        reused: true,
        answered: false,
        replayed: false,
        sent: true,
        idempotent: false,
        kept: true,
    };

    #[test]
    fn each_row_of_the_table() {
        use Stale::*;
        for (row, attempt, replay_stale_post, expected) in [
            ("answered", Attempt { answered: true, ..STALE }, true, Final),
            ("fresh", Attempt { reused: false, ..STALE }, true, Final),
            ("once", Attempt { replayed: true, ..STALE }, true, Final),
            ("unsent POST", Attempt { sent: false, ..STALE }, false, ReplayFresh),
            ("GET", Attempt { idempotent: true, ..STALE }, false, ReplayFresh),
            ("POST", STALE, true, ReplayFresh),
            ("POST, strict", STALE, false, Final),
            ("not kept", Attempt { kept: false, ..STALE }, true, Final),
        ] {
            assert_eq!(on_connection_lost(attempt, replay_stale_post), expected, "{row}");
        }
    }
}
