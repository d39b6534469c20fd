//! The bytes of one connection, between the kernel and whoever understands them.
//!
//! | file | idea |
//! |---|---|
//! | [`buffer`] | bytes between one read and one write |
//! | [`queue`] | buffers in the order in which they leave |
//! | [`pool`] | where both come from |
//! | [`outbox`] | bytes of our own making that wait to be written |
//! | [`socket`] | a stream with its readiness and its bytes: every system call on a connection |
//!
//! Never knows a message, a role or another connection.

pub mod buffer;
pub mod outbox;
pub mod pool;
pub mod queue;
pub mod socket;
