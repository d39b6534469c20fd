//! SIGINT and SIGTERM, as calls on a thread of their own.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Calls `act` for every SIGINT and SIGTERM, with how many there have been before.
pub fn on_termination(act: impl Fn(usize) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for (before, _) in signals.forever().enumerate() {
            act(before);
        }
    })?;
    Ok(())
}
