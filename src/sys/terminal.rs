//! A terminal whose keys are told one by one.

use std::io::{self, IsTerminal};

use rustix::stdio::stdin;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

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
