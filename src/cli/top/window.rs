//! A screen in a window: cut to its size, and drawn over what was there.

use std::io::{self, Write};

use super::cut;
use crate::sys::TerminalSize;

/// To the upper left corner; and from here to the end of the line, of the screen, nothing.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[0J";
/// What is wider than it has characters, ideographs for one, is cut by the terminal.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

/// The screen with as many rows in its lists as the window has room for, `most` at most; what is too
/// long all the same is cut, and a mark stands where it was cut.
///
/// `draw`: the screen with so many rows in each list. No window: all of it.
pub(super) fn fitted(
    window: Option<TerminalSize>,
    most: usize,
    draw: impl Fn(usize) -> String,
) -> String {
    let Some(TerminalSize { columns, rows }) = window else { return draw(most) };
    let mut listed = most.min(rows);
    let mut screen = draw(listed);
    while listed > 0 && screen.lines().count() > rows {
        listed -= 1;
        screen = draw(listed);
    }
    // A terminal that has written its last column clears it with the rest of the line.
    let mut lines: Vec<String> =
        screen.lines().map(|line| cut(line.trim_end(), columns.saturating_sub(1))).collect();
    if lines.len() > rows {
        lines.truncate(rows.saturating_sub(1));
        lines.push("…".to_owned());
    }
    lines.join("\n")
}

/// Drawn over what is there: a screen that is cleared first would flicker. No line feed ends it, which
/// would move a full window up.
pub(super) fn draw_over(out: &mut impl Write, screen: &str) -> io::Result<()> {
    let lines: Vec<String> = screen.lines().map(|line| format!("{line}{CLEAR_LINE}")).collect();
    write!(out, "{HOME}{WRAP_OFF}{}{CLEAR_REST}{WRAP_ON}", lines.join("\n"))?;
    out.flush()
}
