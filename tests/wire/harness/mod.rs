//! The harness: a gateway process, and scripted sockets on both sides of it.
//!
//! ```text
//!   test ── Peer ──▶ Gateway (the real binary) ──▶ Upstream::accept() ── Peer ── test
//! ```
//!
//! A test plays both the client and the server, in one thread, in the order it is written: send,
//! accept, look, answer, look. Where the server is only scenery, [`Upstream::serve`] plays it in
//! threads of its own. Every wait has an end ([`PATIENCE`]), and a panic tells what was received.

pub mod chat;
mod documented;
mod etcd;
mod gateway;
mod message;
mod peer;
mod process;
mod stopwatch;
mod upstream;

pub use documented::{Documented, proven, wire_tests};
pub use etcd::{EtcdCluster, encoded};
pub use gateway::{Config, Gateway};
pub use message::Message;
pub use peer::{End, Peer};
pub use process::{Ended, Mock, Standstill, run, signal, sluicegate};
pub use stopwatch::Stopwatch;
pub use upstream::{Upstream, whoever_is_asked};

use std::time::Duration;

/// How long anything that must happen may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long to watch for what must not happen.
pub const WATCH: Duration = Duration::from_millis(150);
