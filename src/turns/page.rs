//! The account as a page: one file that holds all it needs, and asks nobody for more.
//!
//! The account goes into the page as JSON, in a block that no browser runs. What is drawn of it is set
//! as text, never as markup, and a policy in the page forbids it to load anything.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::account::{Account, Lane, LaneKind, Mark, Moved, Turn, letters, span};
use super::scenarios::Played;
use super::text;
use crate::escape::escaped;

const PAGE: &str = include_str!("assets/turns.html");
const STYLE: &str = include_str!("assets/turns.css");
const SCRIPT: &str = include_str!("assets/turns.js");

/// Draws what was played. All turns are there; the page opens at the first that it is about.
pub fn draw(played: &Played) -> String {
    let plain = text::draw(played, true);
    let parts = [
        ("{{title}}", markup(&played.title)),
        ("{{style}}", Cow::Borrowed(STYLE)),
        ("{{script}}", Cow::Borrowed(SCRIPT)),
        ("{{story}}", markup(&played.story)),
        ("{{text}}", markup(&plain)),
        ("{{record}}", Cow::Owned(block(&account(played)))),
    ];
    // In one pass: what is put in is not searched for places to put something in.
    let mut out = String::with_capacity(PAGE.len() + STYLE.len() + SCRIPT.len() + 4 * plain.len());
    let mut rest = PAGE;
    while let Some(at) = rest.find("{{") {
        let (before, place) = rest.split_at(at);
        out.push_str(before);
        let found = parts.iter().find(|(name, _)| place.starts_with(name));
        let (name, part) = found.map_or(("{{", "{{"), |(name, part)| (*name, part.as_ref()));
        out.push_str(part);
        rest = &place[name.len()..];
    }
    out + rest
}

/// A text that stands between tags.
fn markup(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Cow::Owned(text.replace('"', "&quot;").replace('\'', "&#39;"))
}

/// JSON that stands inside an element: nothing in it can end that element, or begin another.
fn block(value: &Value) -> String {
    let text = value.to_string();
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    escaped(&text).into_owned()
}

fn account(played: &Played) -> Value {
    let Played { name, account, shown, .. } = played;
    json!({
        "name": name,
        "first": shown.start,
        "stopped": account.stopped,
        "lanes": account.lanes.iter().map(lane).collect::<Vec<_>>(),
        "turns": account.turns.iter().map(|it| turn(account, it)).collect::<Vec<_>>(),
    })
}

fn lane(lane: &Lane) -> Value {
    let kind = match lane.kind {
        LaneKind::Listener => "listener",
        LaneKind::Client => "client",
        LaneKind::Server => "server",
    };
    // A listener that is born may have a backlog; nothing is known of the others before they are.
    let born = if lane.kind == LaneKind::Listener { "r---" } else { "----" };
    json!({ "name": lane.name, "kind": kind, "about": lane.about, "bits": born })
}

fn turn(account: &Account, turn: &Turn) -> Value {
    let marks: Vec<Value> = turn.marks.iter().map(|it| mark(account, it)).collect();
    json!({
        "number": turn.number,
        "at": span(turn.at.since(account.begin)),
        "slept": span(turn.slept),
        "patience": turn.patience,
        "marks": marks,
    })
}

fn mark(account: &Account, mark: &Mark) -> Value {
    let (arrived, left) = match mark.moved {
        Some(Moved::In(count)) => (count, 0),
        Some(Moved::Out(count)) => (0, count),
        None => (0, 0),
    };
    json!({
        "phase": mark.phase.name(),
        "kind": mark.kind.name(),
        "lane": mark.lane,
        "at": span(mark.at.since(account.begin)),
        "what": mark.what,
        "why": mark.why,
        "bits": mark.bits.map(|(before, after)| [letters(before), letters(after)]),
        "in": arrived,
        "out": left,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_put_in_can_become_markup() {
        assert_eq!(markup("a <b> & \"c\" 'd'"), "a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
        let hostile = "</script><script>alert(1)</script><!--\u{2028}\u{1b}[2J{{record}}";
        let text = block(&json!({ "what": hostile }));
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{1b}']), "{text}");
        let back: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(back["what"], hostile);
    }

    #[test]
    fn a_place_in_what_is_put_in_is_no_place() {
        let account = Account {
            begin: crate::clock::Instant::ZERO,
            lanes: Vec::new(),
            turns: Vec::new(),
            stopped: false,
        };
        let (name, story) = ("x".to_owned(), "{{record}} </script>".to_owned());
        let played = Played { name, title: "{{text}}".to_owned(), story, account, shown: 0..0 };
        let page = draw(&played);
        assert!(page.contains("<title>{{text}}"), "as it was given");
        assert!(page.contains("{{record}} &lt;/script&gt;"), "as it was given");
        assert_eq!(page.matches("</script>").count(), 2, "the account's, and the script's");
    }
}
