//! What a commit can be asked.

use super::{Commit, Has, Passed, Response};

impl Commit {
    /// Whether the answer under way is on its way to the client.
    pub fn is_passed(self) -> bool {
        matches!(self, Commit::Passed(_))
    }

    /// Whether the client has bytes of an answer, a head of ours included.
    pub fn has_begun(self) -> bool {
        !matches!(self, Commit::Open(Has::Nothing, _))
    }

    /// Whether the client has the head of a stream, and waits for a server's.
    pub fn is_prefaced(self) -> bool {
        matches!(self, Commit::Open(Has::Head | Has::Part, _))
    }

    /// Whether the client has a part of an answer, and a server is asked for the rest.
    pub fn is_continuing(self) -> bool {
        matches!(self, Commit::Open(Has::Part, _))
    }

    /// Whether the head of an answer is held back.
    pub fn is_held(self) -> bool {
        matches!(self, Commit::Open(_, Response::Held | Response::Released))
    }

    /// Whether no other attempt follows.
    pub fn is_final(self) -> bool {
        matches!(self, Commit::Open(_, Response::Final | Response::Released))
    }

    /// Whether the client has the head of its answer, and no event that says something.
    #[inline]
    pub fn awaits_event(self) -> bool {
        matches!(self, Commit::Passed(Passed::Head))
    }

    /// Whether the client has an event that says something.
    pub fn has_event(self) -> bool {
        matches!(self, Commit::Passed(Passed::Events | Passed::Steady))
    }

    /// Whether how the events come is still to be learnt from the first of them.
    #[inline]
    pub fn is_settling(self) -> bool {
        matches!(self, Commit::Passed(Passed::Events))
    }

    /// Whether there is nothing to do but to pass on what comes: the short way.
    #[inline]
    pub fn is_steady(self) -> bool {
        matches!(self, Commit::Passed(Passed::Steady))
    }
}
