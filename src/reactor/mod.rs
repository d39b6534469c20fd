//! The reactor: one thread, one poller, two tables of sockets.
//!
//! Read it in this order. Each file is one idea.
//!
//! | file | idea |
//! |---|---|
//! | [`net`] | what is asked of a network, real or simulated |
//! | [`readiness`] | what the kernel last said of a socket |
//! | [`buffer`], [`outbox`] | bytes between a read and a write |
//! | [`socket`] | a stream with its readiness and its bytes: every system call on a connection |
//! | [`relay`], [`budget`] | one flow from one socket to another, and how much of it at once |
//! | [`exchange`] | the records: downstream, upstream, and the exchange between them |
//! | [`drive`] | one client's connection, advanced as far as it goes |
//! | `steady` | the short way of a token |
//! | `request`, `gather`, `wait`, `attach`, `proxied`, `response`, `attempt`, `commit`, `respond`, `finish` | the steps of an exchange, in order |
//! | [`continuation`] | a stream that breaks, and goes on with another server |
//! | [`named`], `naming` | a request that gets the model of the upstream it goes to |
//! | `learn` | what the end of an attempt says of its endpoint |
//! | `asked` | which model a request names, and which has answered |
//! | `interject`, [`preface`] | bytes of our own inside a stream that is passed on, and before there is one |
//! | [`accept`], [`coalesce`], [`timer`], [`mailbox`], [`slots`], [`token`] | the rest of the house |
//! | [`stats`], [`ends`], [`histogram`], [`hops`], [`stall`], [`journal`], [`live`], [`tap`], [`reel`], [`trace`] | what it has done and is doing, and who was waited for |
//! | [`worker`] | the turn that runs it all |
//! | `shed` | who gives way when there is no more room |
//! | `reload`, `drain`, [`census`] | how a worker takes up a new configuration, how it ends, what it holds |
//!
//! Absent on purpose: mio, libc and threads. Nothing here knows which network it runs on.

pub mod accept;
mod asked;
mod attach;
mod attempt;
pub mod budget;
pub mod buffer;
pub mod census;
pub mod coalesce;
mod commit;
pub mod continuation;
mod date;
mod drain;
mod drive;
pub mod ends;
pub mod exchange;
mod finish;
mod gather;
pub mod histogram;
pub mod hops;
mod interject;
pub mod journal;
mod learn;
pub mod live;
pub mod mailbox;
pub mod moved;
mod named;
mod naming;
pub mod net;
pub mod outbox;
pub mod preface;
mod proxied;
pub mod readiness;
pub mod reel;
pub mod relay;
mod reload;
mod request;
pub mod request_id;
mod respond;
mod response;
mod shed;
pub mod slots;
pub mod socket;
pub mod spin;
pub mod stall;
pub mod stats;
mod steady;
pub mod tap;
pub mod timer;
pub mod token;
pub mod trace;
mod wait;
pub mod worker;
