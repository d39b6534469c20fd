//! The reactor: one thread, one poller, and what a turn is made of.
//!
//! Owns readiness, tokens, tables of slots, timers and the mailbox. Knows no buffer, no HTTP and no
//! policy: what is done with a socket that is ready is its handler's business.
//!
//! | file | idea |
//! |---|---|
//! | [`net`] | what is asked of a network, real or simulated |
//! | [`token`] | the names of sockets |
//! | [`readiness`] | what the kernel last said of a socket |
//! | [`slots`] | tables on generational tokens |
//! | [`timer`] | the lazy alarm, and the wheel |
//! | [`mailbox`] | how another thread tells a worker something |
//! | [`listen`] | the backlogs of the listeners |
//! | [`run`] | who is driven next |
//! | [`turn`] | the loop itself, and the [`turn::Handler`] that it serves |
//! | [`count`] | what a loop does that is worth a counter |
//! | [`coalesce`], [`spin`] | whether a worker sleeps before it polls, or polls before it sleeps |
//!
//! Absent on purpose: mio, libc and threads. Nothing here knows which network it runs on.

pub mod coalesce;
pub mod count;
pub mod listen;
pub mod mailbox;
pub mod net;
pub mod readiness;
pub mod run;
pub mod slots;
pub mod spin;
pub mod timer;
pub mod token;
pub mod turn;
