//! The operating system: the one place that knows mio, sockets and Linux.
//!
//! | file | owns |
//! |---|---|
//! | `linux` | [`Linux`], the reactor's network on epoll |
//! | `listen` | listeners, one SO_REUSEPORT socket per worker and address |
//! | `process` | pinning, the descriptor limit |
//! | `signals` | SIGINT, SIGTERM, SIGUSR1 |
//!
//! Absent on purpose: decisions. And `unsafe`: everything needed here has a safe face in mio,
//! socket2 or rustix.

mod linux;
mod listen;
mod process;
mod signals;

pub use linux::{Linux, TcpStream, now};
pub use listen::listen;
pub use process::{pin_to_cpu, raise_descriptor_limit, random_seed, random_token};
pub use signals::{Termination, on_reopen};
