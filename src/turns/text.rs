//! The account as a text: a block for each turn, a line for each thing that happened.

use std::fmt::{self, Write};
use std::ops::Range;

use super::account::{Account, Kind, LaneKind, Mark, Turn, letters, span};
use super::scenarios::Played;
use crate::escape::escaped;

/// Columns of a line of running text.
const WIDTH: usize = 96;
const LANE: usize = 11;
const WHAT: usize = 37;

/// Draws what was played: the turns that it is about, or `all`.
pub fn draw(played: &Played, all: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, so the result says nothing.
    let _ = write_all(&mut out, played, all);
    out
}

fn write_all(out: &mut String, played: &Played, all: bool) -> fmt::Result {
    let account = &played.account;
    let shown = if all { 0..account.turns.len() } else { played.shown.clone() };
    writeln!(out, "{}\n", played.title)?;
    for line in wrapped(&played.story) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    write_lanes(out, account, shown.clone())?;
    if shown.start > 0 {
        let turns = if shown.start == 1 {
            "turn 1 leads"
        } else {
            &format!("turns 1 to {} lead", shown.start)
        };
        writeln!(out, "\n({turns} up to this: --all shows all)")?;
    }
    let mut turns = account.turns[shown.clone()].iter().peekable();
    while let Some(turn) = turns.next() {
        writeln!(out)?;
        let mut last = None;
        while turn.marks.is_empty()
            && let Some(next) = turns.next_if(|next| next.marks.is_empty())
        {
            last = Some(next);
        }
        match last {
            Some(last) => writeln!(out, "turns {} to {}: nothing", turn.number, last.number)?,
            None => write_turn(out, account, turn)?,
        }
    }
    match account.turns.len() - shown.end {
        0 if account.stopped => {
            writeln!(out, "\nThe loop ends: the gateway is over, and no mail waits.")
        }
        0 => Ok(()),
        _ => writeln!(out, "\n(and so on: --all shows all {} turns)", account.turns.len()),
    }
}

/// The sockets that the shown turns speak of.
fn write_lanes(out: &mut String, account: &Account, shown: Range<usize>) -> fmt::Result {
    let marks = || account.turns[shown.clone()].iter().flat_map(|turn| &turn.marks);
    for (index, lane) in account.lanes.iter().enumerate() {
        if marks().any(|mark| mark.lane == index) && lane.kind != LaneKind::Listener {
            writeln!(out, "  {:<LANE$}{}", lane.name, escaped(&lane.about))?;
        }
    }
    writeln!(out, "  {:<LANE$}r readable, w writable, f FIN known, e error; before → after", "bits")
}

fn write_turn(out: &mut String, account: &Account, turn: &Turn) -> fmt::Result {
    let at = span(turn.at.since(account.begin));
    let slept = match turn.slept.is_zero() {
        true => "did not sleep".to_owned(),
        false => format!("slept {}", span(turn.slept)),
    };
    writeln!(out, "turn {}, at {at}: {slept} ({})", turn.number, turn.patience)?;
    let mut phase = None;
    let mut driven = false;
    for mark in &turn.marks {
        let begins = phase.replace(mark.phase) != Some(mark.phase);
        driven = mark.kind == Kind::Driven || (driven && !begins);
        let name = if begins { mark.phase.name() } else { "" };
        write_mark(out, account, mark, name, driven && mark.kind != Kind::Driven)?;
    }
    if turn.marks.is_empty() {
        writeln!(out, "  poll     nothing")?;
    }
    Ok(())
}

fn write_mark(
    out: &mut String,
    account: &Account,
    mark: &Mark,
    phase: &str,
    inside: bool,
) -> fmt::Result {
    let indent = if inside { "  " } else { "" };
    let what = format!("{indent}{}", escaped(&mark.what));
    let bits = match mark.bits {
        Some((before, after)) if before == after => format!("{:<13}", letters(before)),
        Some((before, after)) => format!("{} → {}  ", letters(before), letters(after)),
        None => " ".repeat(13),
    };
    let lane = &account.lanes[mark.lane].name;
    let line = format!("  {phase:<9}{lane:<LANE$}{what:<WHAT$} {bits}{}", escaped(&mark.why));
    writeln!(out, "{}", line.trim_end())
}

/// A text in lines of at most so many columns.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
