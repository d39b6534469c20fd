//! A network in memory, for running the production reactor in a world made from a seed.
//!
//! The reactor is generic over [`Net`](crate::reactor::net::Net); a [`World`] is one. It has a
//! virtual clock, clients and servers that play scripts, a network that makes the mistakes of real
//! ones, and a ledger of every call and every descriptor. Same seed, same world, to the byte.
//!
//! ```text
//!   Visit ─▶ Peer (client) ─┐                     ┌─ Peer (session) ◀─ Answer
//!                           ▼                     ▼
//!            Fabric:  links, each two pipes · schedule · clock · faults
//!                           ▲                     ▲
//!                  World: Net, Socket: Stream ── the worker under test
//!                           │
//!                  Ledger, Trace ─▶ oracle
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`random`] | the seed's sequence |
//! | `pipe`, `link`, `fabric` | bytes on the way, edges, time: what a network does |
//! | `calls` | what the worker's calls return, faults included |
//! | `peer_calls` | what peers do on their ends |
//! | [`faults`] | what may go wrong in the network, and how often |
//! | `wall` | the wall clock, which may jump |
//! | [`script`], [`peer`] | what clients and servers do; nothing is too rude |
//! | [`message`] | how they read HTTP: an implementation of their own |
//! | [`toy`] | a session in the place of TLS, for the worker and for peers |
//! | [`ledger`], `trace` | what was done |
//! | [`world`] | the handle that ties it together |
//! | [`plan`], `draw` | a whole world, as data, from a seed |
//! | [`cast`], [`trouble`], [`payload`] | the scripts and the bytes of a plan |
//! | [`oracle`] | what must be true when all is over |
//!
//! Absent on purpose: threads, real time, real sockets, and anything of the gateway but its two seams:
//! the network's, and the session's ([`crate::wire::transport`]).

mod calls;
pub mod cast;
mod draw;
mod fabric;
pub mod faults;
pub mod ledger;
mod link;
pub mod message;
pub mod oracle;
pub mod payload;
pub mod peer;
mod peer_calls;
mod pipe;
pub mod plan;
pub mod random;
pub mod script;
pub mod toy;
mod trace;
pub mod trouble;
mod wall;
pub mod world;

#[cfg(test)]
mod tests;

pub use fabric::Manner;
pub use faults::Faults;
pub use ledger::Counts;
pub use link::Bits;
pub use message::Message;
pub use peer::Request;
pub use peer_calls::End;
pub use random::Random;
pub use script::{Act, Answer, Reading, Visit};
pub use trace::{Direction, Note};
pub use wall::WallClock;
pub use world::{ClientId, Socket, World};
