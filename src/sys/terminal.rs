//! A terminal: its size, and its keys told one by one.

use std::io::{self, IsTerminal};

use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

/// How much a terminal shows, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    pub columns: usize,
    pub rows: usize,
}

impl TerminalSize {
    /// That of standard output, as it is now; `None`: it is no terminal, or one that does not say.
    pub fn now() -> Option<TerminalSize> {
        let size = tcgetwinsize(stdout()).ok()?;
        let window = TerminalSize { columns: size.ws_col.into(), rows: size.ws_row.into() };
        (window.columns > 0 && window.rows > 0).then_some(window)
    }
}

/// Keys come as they are pressed and are not shown, until this is dropped. Ctrl-C is a key, too.
#[derive(Debug)]
pub struct KeysOneByOne {
    before: Termios,
}

impl KeysOneByOne {
    /// `None`: standard input is no terminal.
    pub fn begin() -> io::Result<Option<KeysOneByOne>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin())?;
        let mut keys = before.clone();
        // Ctrl-C would end the process with the terminal as it is.
        keys.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        keys.special_codes[SpecialCodeIndex::VMIN] = 1;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Now, &keys)?;
        Ok(Some(KeysOneByOne { before }))
    }
}

impl Drop for KeysOneByOne {
    fn drop(&mut self) {
        // A terminal that is gone has no modes.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}
