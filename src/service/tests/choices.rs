//! Streams of several choices: none is whole before all of them have ended.

use proptest::prelude::*;

use super::streams::{Seen, observe};
use crate::http::tests::{any_ends, cut_at, every_cut};
use crate::service::Dialect::*;
use crate::service::Ending::{self, *};
use crate::service::Observer;
use crate::service::Truncation::*;

fn expecting(asked: Option<u32>) -> Observer {
    Observer::of_stream(OpenAiChat).expecting(asked)
}

fn see(asked: Option<u32>, stream: &str) -> Seen {
    let whole = observe(expecting(asked), &[stream.as_bytes()]);
    for pieces in every_cut(stream.as_bytes()) {
        assert_eq!(observe(expecting(asked), &pieces), whole, "{asked:?} {stream}");
    }
    whole
}

fn choice(index: usize, reason: Option<&str>) -> String {
    let reason = reason.map_or("null".to_owned(), |reason| format!("\"{reason}\""));
    format!(r#"{{"index":{index},"delta":{{"content":"a"}},"finish_reason":{reason}}}"#)
}

fn event(choices: &[String]) -> String {
    format!("data: {{\"choices\":[{}]}}\n\n", choices.join(","))
}

fn goes_on(index: usize) -> String {
    event(&[choice(index, None)])
}

fn ends(index: usize) -> String {
    event(&[choice(index, Some("stop"))])
}

const CUT: Ending = Truncated(NoEndMark);

#[test]
fn a_stream_is_whole_with_as_many_choices_as_were_asked_for() {
    let done = "data: [DONE]\n\n".to_owned();
    let both = event(&[choice(0, Some("stop")), choice(1, Some("length"))]);
    let one_of_both = event(&[choice(0, Some("stop")), choice(1, None)]);
    let other_of_both = event(&[choice(0, None), choice(1, Some("stop"))]);
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
    // Sorted by name, as some servers write.
    let sorted = |index: usize| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"stop\",\"index\":{index}}}]}}\n\n"
        )
    };
    let all = |count: usize| (0..count).map(ends).collect::<String>();
    for (asked, stream, expected) in [
        (Some(1), goes_on(0) + &ends(0), Whole),
        // Nobody counts where there is but one.
        (Some(1), ends(7), Whole),
        (Some(0), ends(0), Whole),
        (Some(2), goes_on(0) + &goes_on(1) + &ends(0), CUT),
        (Some(2), ends(0), CUT),
        (Some(2), ends(1) + &goes_on(0) + &ends(0), Whole),
        (Some(2), ends(0) + &done, Whole),
        (Some(2), goes_on(0) + &done, Whole),
        // One that ends twice is one.
        (Some(2), ends(0) + &ends(0) + usage, CUT),
        (Some(2), ends(0) + &ends(1) + usage, Whole),
        (Some(2), both.clone(), Whole),
        (Some(2), one_of_both.clone(), CUT),
        (Some(2), one_of_both.clone() + &ends(1), Whole),
        (Some(2), other_of_both.clone() + &ends(0), Whole),
        (Some(2), sorted(1) + &sorted(0), Whole),
        (Some(2), sorted(1) + &sorted(1), CUT),
        (Some(3), both.clone(), CUT),
        (Some(15), all(15), Whole),
        (Some(15), all(14), CUT),
        // More than are counted: only the mark tells.
        (Some(16), all(16), CUT),
        (Some(16), all(16) + &done, Whole),
        (Some(u32::MAX), all(3), CUT),
        // Nobody knows how many: those that have begun.
        (None, goes_on(0) + &ends(0), Whole),
        (None, goes_on(0) + &goes_on(1) + &ends(0), CUT),
        (None, goes_on(0) + &goes_on(1) + &ends(0) + &ends(1), Whole),
        (None, one_of_both, CUT),
        (None, sorted(0) + &goes_on(1), CUT),
        (None, goes_on(99) + &ends(99), CUT),
        (None, goes_on(0), CUT),
        (None, goes_on(0) + &done, Whole),
    ] {
        assert_eq!(see(asked, &stream).ending, expected, "{asked:?} {stream}");
    }
}

#[test]
fn what_is_no_choice_ends_none() {
    for stream in [
        // No JSON, no event, no choice, an index that is none.
        "data: {\"choices\":[{\"index\":1,\"finish_reason\":\"stop\"}]\n\n",
        "data: {\"choices\":[{\"index\":1,\"finish_reason\":\"stop\"}]}\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"index\":1,\"finish_reason\":\"stop\"}}]}\n\n",
        "data: {\"index\":1,\"choices\":[{\"index\":\"1\",\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[{\"text\":\"\\\"index\\\":1\",\"finish_reason\":\"stop\"}]}\n\n",
    ] {
        let seen = see(Some(2), &(ends(0) + stream));
        assert!(matches!(seen.ending, Truncated(_)), "{stream}: {seen:?}");
    }
    let failed = see(Some(2), &(ends(0) + &event(&[choice(1, Some("error"))])));
    assert_eq!(failed.ending, Failed);
}

#[test]
fn other_dialects_have_one() {
    let mut observer = Observer::of_stream(Anthropic).expecting(Some(5));
    observer.feed(b"event: message_stop\ndata: {}\n\n");
    assert_eq!(observer.end(), Whole);
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    /// Choices go on and end in any order, several in an event or one.
    #[test]
    fn any_order_of_choices_is_counted(
        asked in prop::option::of(1..5_u32),
        events in prop::collection::vec(
            prop::collection::vec((0..5_usize, any::<bool>()), 1..3), 0..12),
        over_lines: bool,
        ends in any_ends(),
    ) {
        let write = |event: &Vec<(usize, bool)>| {
            let choices = event.iter().map(|(index, ended)| choice(*index, ended.then_some("stop")));
            let text = self::event(&choices.collect::<Vec<_>>());
            if over_lines { text.replace("},{", "},\ndata: {").replace("[{", "[\ndata: {") } else { text }
        };
        let stream: String = events.iter().map(write).collect();
        // What is left open, by the plainest of rules.
        let mut open: Vec<usize> = (0..asked.unwrap_or(0) as usize).collect();
        let mut ended = false;
        for (index, ends) in events.iter().flatten() {
            match (ends, asked) {
                (true, _) => open.retain(|other| other != index),
                (false, None) if !open.contains(index) => open.push(*index),
                (false, _) => {}
            }
            ended |= *ends;
        }
        let several = asked != Some(1);
        // With one choice the last word of an event counts, as ever.
        let one = events.iter().any(|event| event.last().is_some_and(|(_, ended)| *ended));
        let whole = if several { ended && open.is_empty() } else { one };
        let expected = match (whole, events.is_empty()) {
            (true, _) => Whole,
            (_, true) => Truncated(NoEvents),
            _ => CUT,
        };
        let seen = see(asked, &stream);
        prop_assert_eq!(seen.ending, expected);
        let cut = cut_at(stream.as_bytes(), &ends);
        prop_assert_eq!(observe(expecting(asked), &cut), seen);
    }
}
