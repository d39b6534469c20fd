//! Decisions: what to forward, where to, whether to try again, what to answer when all fails.
//!
//! Pure functions and small state machines over plain values. Time is an argument. Nothing here
//! names a socket, reads a clock or blocks, so every rule is a table that a test walks row by row.
//!
//! | module | decides |
//! |---|---|
//! | [`route`] | which route a request takes, or 404 and 405 |
//! | [`cors`] | whose page may call, and what its browser is told |
//! | [`admission`] | who waits for a place at an upstream, in which order, and how long it may take |
//! | [`endpoints`] | which endpoint an attempt goes to, out of all that those below say |
//! | [`balance`] | which of the endpoints that may be asked |
//! | [`breaker`] | whether an endpoint is sent requests at all |
//! | [`pool`] | which idle connection is used, which one is kept, who waits |
//! | [`group`] | what goes on of an upstream when the configuration changes |
//! | [`exchange`] | what becomes of both connections, and which timer runs |
//! | [`retry`] | whether a failed attempt may be made again |
//! | [`fault`] | who is to blame, and what the client is told |
//! | [`health`] | what checks say of an endpoint, and how that goes together with the breaker |
//! | [`offered`] | which models clients can ask for |
//! | [`membership`] | what of the endpoints that a source tells is believed |
//! | [`load`] | nothing: it counts the exchanges of all workers, and keeps ceilings |
//! | [`trace`] | which trace an exchange is part of, and whether its spans are wanted |
//! | [`hash`], [`random`] | nothing: numbers for those above |

pub mod admission;
pub mod balance;
pub mod breaker;
pub mod cors;
pub mod endpoints;
pub mod exchange;
pub mod fault;
pub mod group;
pub mod hash;
pub mod health;
pub mod load;
pub mod membership;
pub mod offered;
pub mod pool;
pub mod random;
pub mod retry;
pub mod route;
pub mod trace;
pub mod wake;
