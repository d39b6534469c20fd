//! Decisions: what to forward, where to, whether to try again, what to answer when all fails.
//!
//! Pure functions and small state machines over plain values. Time is an argument. Nothing here
//! names a socket, reads a clock or blocks, so every rule is a table that a test walks row by row.
//!
//! | module | decides |
//! |---|---|
//! | [`route`] | which route a request takes, or 404 and 405 |
//! | [`balance`] | which endpoint of an upstream is next |
//! | [`breaker`] | whether an endpoint is sent requests at all |
//! | [`pool`] | which idle connection is used, which one is kept, who waits |
//! | [`exchange`] | what becomes of both connections, and which timer runs |
//! | [`retry`] | whether a failed attempt may be made again |
//! | [`fault`] | who is to blame, and what the client is told |
//! | [`hash`], [`random`] | nothing: numbers for those above |

pub mod balance;
pub mod breaker;
pub mod exchange;
pub mod fault;
pub mod hash;
pub mod pool;
pub mod random;
pub mod retry;
pub mod route;
