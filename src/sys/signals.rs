//! Signals, as orders on a thread of their own.
//!
//! They are caught before anything is started and acted upon afterwards: a signal that comes in
//! between is kept. Caught later, it would kill the process in the middle of its start.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// SIGINT, SIGTERM.
    End,
    /// SIGHUP.
    Reload,
    /// SIGUSR2.
    HandOver,
}

/// Signals that are kept from doing what they do by themselves, which is to end the process.
pub struct Signals(iterator::Signals);

impl Signals {
    /// SIGINT and SIGTERM.
    pub fn that_end() -> io::Result<Signals> {
        Ok(Signals(iterator::Signals::new([SIGINT, SIGTERM])?))
    }

    /// Those and SIGHUP: the terminal has gone.
    pub fn of_a_terminal() -> io::Result<Signals> {
        Ok(Signals(iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?))
    }

    /// Those and SIGUSR2, with SIGHUP for a reload.
    pub fn of_a_service() -> io::Result<Signals> {
        Ok(Signals(iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR2])?))
    }

    /// Calls `obey` for every signal, past ones included. It should not take long: the next one may
    /// be more urgent.
    pub fn then(mut self, mut obey: impl FnMut(Order) + Send + 'static) -> io::Result<()> {
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in self.0.forever() {
                obey(match signal {
                    SIGHUP => Order::Reload,
                    SIGUSR2 => Order::HandOver,
                    _ => Order::End,
                });
            }
        })?;
        Ok(())
    }
}

/// Calls `act` for every SIGUSR1: files that were renamed are to be opened again.
pub fn on_reopen(act: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = iterator::Signals::new([SIGUSR1])?;
    thread::Builder::new().name("reopen".into()).spawn(move || {
        signals.forever().for_each(|_| act());
    })?;
    Ok(())
}
