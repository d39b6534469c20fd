//! Retry: whether an attempt that failed may be made again, and where.
//!
//! | file | decides |
//! |---|---|
//! | [`stale`] | a pooled connection that turned out dead: replaced, once, and not counted as a retry |
//! | [`policy`] | every other failure, by the conditions of the upstream |
//! | [`continuation`] | a stream that breaks when the client has a part of it: who is asked for the rest |
//! | [`budget`] | how many retries an upstream is spared |
//!
//! A connection that is lost before a byte of the answer goes through `stale` first; what is final
//! there goes on to `policy`.
//!
//! The first two share the commit rule: once the client has, or may have, a byte of an answer, there
//! is no other. A continuation begins where that rule ends: what it brings is the rest of one.

pub mod budget;
pub mod continuation;
pub mod policy;
pub mod stale;

pub use budget::RetryBudget;
pub use policy::{Cause, RetryDecision, RetryEnd, RetryFacts, decide};

/// Whether a method may be repeated without a second effect (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
