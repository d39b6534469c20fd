//! The fleet: gateways that know of each other by a store, and share limits among themselves.
//!
//! Each gateway is a *member*. It has two keys in the store, on one lease: a *report*, what it says of
//! itself, and *holdings*, how much of each shared limit is its own. Nobody holds more than it has
//! written, and nothing is written that would make all holdings together more than the limit.
//!
//! ```text
//!   read everything ──▶ round ──▶ shares that sink: at once in force
//!          ▲                 │
//!          │                 ▼
//!          │        write holdings, if nobody else has written theirs
//!          │           │ refused                 │ committed
//!          └───────────┘                         ▼
//!                                        shares that rise: in force
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`limit`] | which limits are shared, and the texts that they are written as |
//! | [`divide`] | how a limit is divided among members: arithmetic |
//! | [`demand`] | how much a member asks for, smoothed |
//! | [`member`] | one member: what it may use, and what it writes next |
//! | [`hints`] | what is made of endpoints that others call broken |
//! | [`report`] | what a member says of itself |
//! | [`view`] | what the store holds of a fleet, read |
//!
//! * Pure: what was read and the clock go in, what is to be written and obeyed comes out. No socket, no
//!   thread, no clock of its own.
//! * A token knows nothing of all this, and a request reads an atomic word of the gate.

pub mod demand;
pub mod divide;
pub mod hints;
pub mod limit;
pub mod member;
pub mod report;
pub mod view;

#[cfg(test)]
mod tests;
