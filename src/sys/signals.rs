//! SIGINT and SIGTERM, as calls on a thread of their own.
//!
//! They are caught before anything is started and acted upon afterwards: a signal that comes in
//! between is kept. Caught later, it would kill the process in the middle of its start.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// The signals that end a process, kept from doing so.
pub struct Termination(Signals);

impl Termination {
    pub fn catch() -> io::Result<Termination> {
        Ok(Termination(Signals::new([SIGINT, SIGTERM])?))
    }

    /// Calls `act` for every SIGINT and SIGTERM, past ones included, with how many there have been
    /// before.
    pub fn then(mut self, act: impl Fn(usize) + Send + 'static) -> io::Result<()> {
        thread::Builder::new().name("signals".into()).spawn(move || {
            for (before, _) in self.0.forever().enumerate() {
                act(before);
            }
        })?;
        Ok(())
    }
}

/// Calls `act` for every SIGUSR1: files that were renamed are to be opened again.
pub fn on_reopen(act: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGUSR1])?;
    thread::Builder::new().name("reopen".into()).spawn(move || {
        signals.forever().for_each(|_| act());
    })?;
    Ok(())
}
