//! The bytes of one connection, between the kernel and whoever understands them.
//!
//! | file | idea |
//! |---|---|
//! | [`buffer`] | bytes between one read and one write |
//! | [`segments`] | buffers in the order in which they leave |
//! | [`buffers`] | where both come from |
//! | [`outbox`] | bytes of our own making that wait to be written |
//! | [`socket`] | a stream with its readiness and its bytes: reads, writes and shutdowns |
//! | [`transport`] | a session between the bytes and the wire, where there is one |
//! | [`sealed`] | what a socket does with it |
//!
//! Never knows a message, a role or another connection.

pub mod buffer;
pub mod buffers;
pub mod outbox;
pub mod sealed;
pub mod segments;
pub mod socket;
pub mod transport;
