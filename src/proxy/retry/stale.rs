//! The stale connection: whether a request that met one is sent again.
//!
//! A server may close a pooled connection at the very moment a request is written to it; llama.cpp's
//! server announces keep-alive and closes after every streamed response. Such a request fails without
//! an answer although nothing is wrong.
//!
//! | reused | answered a byte | sent before | bytes taken by the kernel | method | verdict |
//! |---|---|---|---|---|---|
//! | – | a byte that may be of one | – | – | – | final: the client has, or may have, bytes |
//! | no | no | – | – | – | final: a fresh connection that dies is a fault of the server |
//! | yes | no | yes | – | – | final: once is enough |
//! | yes | no | no | none | any | again: no byte was sent |
//! | yes | no | no | some | idempotent | again |
//! | yes | no | no | some | POST, PATCH, … | again where `replay_stale_post`, else final |
//!
//! *Left over*: what a reused connection holds may be the rest of an answer that had none by its head (to
//! HEAD, a 204), in a packet of its own. It is no HTTP, and so no answer to this request: it counts as none.
//!
//! "Again" always means a *fresh* connection: a server that drops one idle connection drops its
//! siblings, and a last-in-first-out pool would hand out the next dead one. It needs the request
//! to be kept in full.
//!
//! Why a POST may be repeated, against RFC 9110 §9.2.2, is argued in `docs/retry.md`.

/// One attempt, as far as a retry cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleFacts {
    /// The connection had carried a request before.
    pub reused: bool,
    /// At least one byte has been read that may be of a response.
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
pub enum ReplayDecision {
    /// Send the whole request again, on a fresh connection.
    ReplayFresh,
    Final,
}

/// The verdict on an upstream connection that was closed, reset, refused a write, or held what is no
/// HTTP.
pub fn on_connection_lost(facts: StaleFacts, replay_stale_post: bool) -> ReplayDecision {
    let StaleFacts { reused, answered, replayed, sent, idempotent, kept } = facts;
    if answered || !reused || replayed || !kept {
        ReplayDecision::Final
    } else if !sent || idempotent || replay_stale_post {
        ReplayDecision::ReplayFresh
    } else {
        ReplayDecision::Final
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: StaleFacts = StaleFacts {
        reused: true,
        answered: false,
        replayed: false,
        sent: true,
        idempotent: false,
        kept: true,
    };

    #[test]
    fn each_row_of_the_table() {
        use ReplayDecision::*;
        for (row, facts, replay_stale_post, expected) in [
            ("answered", StaleFacts { answered: true, ..STALE }, true, Final),
            ("fresh", StaleFacts { reused: false, ..STALE }, true, Final),
            ("once", StaleFacts { replayed: true, ..STALE }, true, Final),
            ("unsent POST", StaleFacts { sent: false, ..STALE }, false, ReplayFresh),
            ("GET", StaleFacts { idempotent: true, ..STALE }, false, ReplayFresh),
            ("POST", STALE, true, ReplayFresh),
            ("POST, strict", STALE, false, Final),
            ("not kept", StaleFacts { kept: false, ..STALE }, true, Final),
        ] {
            assert_eq!(on_connection_lost(facts, replay_stale_post), expected, "{row}");
        }
    }
}
