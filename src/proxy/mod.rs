//! Decisions: what to forward, where to, whether to try again, what to answer when all fails.
//!
//! Pure functions and small state machines over plain values. Time is an argument. Nothing here
//! names a socket, reads a clock or blocks, so every rule is a table that a test walks row by row.
//!
//! | module | decides |
//! |---|---|
//! | [`route`] | which route a request takes, or 404 and 405 |
//! | [`balance`] | which endpoint of an upstream is next |
//! | [`pool`] | which idle connection is used, which one is kept, who waits |
//! | [`group`] | what goes on of an upstream when the configuration changes |
//! | [`exchange`] | what becomes of both connections, and which timer runs |
//! | [`retry`] | whether a failed attempt may be made again |
//! | [`fault`] | who is to blame, and what the client is told |

pub mod balance;
pub mod exchange;
pub mod fault;
pub mod group;
pub mod pool;
pub mod retry;
pub mod route;
