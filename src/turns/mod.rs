//! The turn, seen: one worker in a small simulated world, drawn turn by turn.
//!
//! `sluicegate turns` runs the production worker over [`sim::World`](crate::sim::World) and writes
//! down what happens to each socket: events, readiness before and after, who is driven and why, each
//! call with its result, timers, what is freed. The same account becomes a text or a page.
//!
//! ```text
//!   scenario, or a seed ──▶ Stage:  World ◀── Loop ──▶ RecordedGateway ──▶ Gateway
//!                                     │ notes            │ outlines
//!                                     └────▶ Scribe ◀────┘
//!                                              │ Account ──▶ text, page
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`scenarios`] | the scenarios that have a name |
//! | `drawn` | the small world of a seed |
//! | [`stage`] | a world, a worker in it, and how far they go |
//! | `watch` | the handler around the gateway, which sees what the loop tells it |
//! | `scribe` | what is written down of that, and of the calls |
//! | [`account`] | what was written: plain data |
//! | `words` | what states, timers and results are called |
//! | [`text`], [`page`] | the account, drawn |
//!
//! Nothing here is part of a gateway that serves, and neither the loop nor the gateway knows of it.

pub mod account;
mod drawn;
pub mod page;
pub mod scenarios;
mod scribe;
pub mod stage;
pub mod text;
mod watch;
mod words;

#[cfg(test)]
mod tests;
