//! The operating system: the one place that knows mio, sockets and Linux.
//!
//! | file | owns |
//! |---|---|
//! | `linux` | [`Linux`], the reactor's network on epoll |
//! | `listen` | listeners, one SO_REUSEPORT socket per worker and address |
//! | `unix` | Unix sockets, in the shape of TCP's |
//! | `dial` | whether a port takes connections |
//! | `process` | pinning, the descriptor limit |
//! | `account` | who the process is, and whom it becomes |
//! | `confinement` | what a process has given up: new privileges, core dumps |
//! | `syscalls` | system calls that it gives up |
//! | `file_rules` | files that it keeps, where it gives up all others |
//! | `inherit` | listeners that were given to us, by a service manager or a predecessor |
//! | `handover` | the listeners' way from one process to the next |
//! | `signals` | signals, as orders |
//! | `terminal` | the size of a window, and keys as they are pressed |
//! | `notify` | what a service manager is told |
//!
//! Absent on purpose: decisions. And `unsafe`: everything needed here has a safe face in mio,
//! socket2, rustix, nix, seccompiler, landlock or listenfd.

mod account;
mod confinement;
mod dial;
mod file_rules;
mod handover;
mod inherit;
mod linux;
mod listen;
mod notify;
mod process;
mod signals;
mod syscalls;
mod terminal;
mod unix;

pub use account::{Account, is_root};
pub use confinement::{Confinement, forbid_core_dumps, forbid_new_privileges};
pub use dial::Dial;
pub use file_rules::{FileRules, has_file_rules, obeys_file_rules};
pub use handover::{Predecessor, Successor};
pub use inherit::{Inherited, Listeners};
pub use linux::{Linux, TcpStream, now};
pub use listen::{Families, keep_alive, listen};
pub use notify::{ServiceState, notify};
pub use process::{
    end_group, epoch, host_name, order_group, pin_to_cpu, process_name, raise_descriptor_limit,
    random_seed, random_token, reap_group, time_of_day,
};
pub use signals::{Order, Signals, on_reopen};
pub use syscalls::{denied_system_calls, deny_system_calls};
pub use terminal::{KeysOneByOne, TerminalSize};
pub use unix::connect as connect_unix;
