//! When tokens come, and how big they are.

use super::super::serve::MockResponder;
use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn plain_text_is_four_words_half_a_second_apart() {
    let played = play("/stream", r#"{"prompt":"hi"}"#);
    let (at, head) = played.head.as_ref().expect("a head");
    assert_eq!((*at, head.status, head.length), (Duration::ZERO, 200, None));
    assert_eq!(head.content_type, "text/plain; charset=utf-8");
    assert_eq!(played.times_ms(), [0, 500, 1000, 1500]);
    let words: Vec<&[u8]> = played.data.iter().map(|(_, data)| &data[..]).collect();
    assert_eq!(words, [&b"Water "[..], b"finds ", b"its ", b"way\n"]);
    assert_eq!(played.ended, (Duration::from_millis(1500), Ended::Complete));
}

#[test]
fn a_chat_is_sixteen_tokens_fifty_milliseconds_apart() {
    let played = play(CHAT, STREAMED);
    // The role comes with the first token, the end with the last.
    let mut expected = vec![0];
    expected.extend((0..16).map(|token| token * 50));
    expected.extend([750, 750]);
    assert_eq!(played.times_ms(), expected);
}

#[test]
fn a_known_length_is_that_of_the_text() {
    for (query, bytes) in [
        ("tokens=17", Some(89 + 6)),
        ("tokens=17&stamp=1", Some(89 + 6 + 17 * 21)),
        ("tokens=3&token_bytes=30&stamp=1", Some(90)),
        ("tokens=0", Some(0)),
    ] {
        let played = play(&format!("/stream?rate=0&known_length=1&{query}"), "");
        let announced = played.head.as_ref().expect("a head").1.length;
        assert_eq!(announced, bytes, "{query}");
        assert_eq!(announced, Some(played.text().len() as u64), "{query}");
    }
}

#[test]
fn a_length_beyond_counting_is_not_announced_and_events_have_none() {
    let endless = format!("/stream?known_length=1&token_bytes=65536&tokens={}", u64::MAX);
    let mut responder = asked(Settings::default(), &endless, "");
    assert!(matches!(responder.step(START), Action::Head(head) if head.length.is_none()));
    let played = play(&format!("{CHAT}?rate=0&known_length=1"), STREAMED);
    assert_eq!(played.head.expect("a head").1.length, None);
}

#[test]
fn the_first_token_waits_and_the_head_does_not() {
    let played = play("/stream?first-token=250ms&rate=10&tokens=3", "");
    assert_eq!(played.head.as_ref().expect("a head").0, Duration::ZERO);
    assert_eq!(played.times_ms(), [250, 350, 450]);
}

#[test]
fn late_turns_do_not_add_up() {
    let settings = Settings::default();
    let mut responder = asked(settings, "/stream?rate=3&tokens=1000", "");
    let played = play_late(&mut *responder, 7 * MILLISECOND);
    for (index, (at, _)) in played.data.iter().enumerate().skip(1) {
        let due = Duration::from_nanos(index as u64 * 1_000_000_000 / 3);
        assert_eq!(*at, due + 7 * MILLISECOND, "token {index}");
    }
}

#[test]
fn a_turn_later_than_several_tokens_sends_them_all() {
    let mut responder = asked(Settings::default(), "/stream?rate=1000&tokens=10", "");
    let late = START + 4 * MILLISECOND;
    assert!(matches!(responder.step(late), Action::Head(_)));
    let burst = std::iter::from_fn(|| match responder.step(late) {
        Action::Data(data) => Some(data),
        _ => None,
    });
    assert_eq!(burst.count(), 5);
    assert_eq!(responder.step(late), Action::Sleep(START + 5 * MILLISECOND));
}

#[test]
fn rates_may_have_decimals() {
    assert_eq!(play("/stream?rate=0.5&tokens=3", "").times_ms(), [0, 2000, 4000]);
    assert_eq!(play("/stream?rate=2.5&tokens=3", "").times_ms(), [0, 400, 800]);
}

#[test]
fn a_firehose_never_sleeps() {
    let played = play("/stream?rate=0&tokens=100000&token_bytes=1024", "");
    assert_eq!(played.data.len(), 100_000);
    assert!(played.data.iter().all(|(at, data)| at.is_zero() && data.len() == 1024));
}

#[test]
fn an_endless_stream_does_not_overflow() {
    let target = format!("/stream?tokens={}&rate=0.001", u64::MAX);
    let mut responder = asked(Settings::default(), &target, "");
    let mut now = START;
    for _ in 0..1000 {
        match responder.step(now) {
            Action::Sleep(until) => now = until,
            Action::Head(_) | Action::Data(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(now.since(START).as_secs() % 1000, 0);
}

#[test]
fn words_run_on_from_token_to_token() {
    let text = play("/stream?rate=0&tokens=32", "").text();
    let poem = "Water finds its way\nthrough every open gate\n\
                one drop after another\nuntil the river sings\n";
    assert_eq!(text, poem.repeat(2));
}

#[test]
fn sized_tokens_have_exactly_that_size_and_read_the_same() {
    let words = play("/stream?rate=0&tokens=32000", "").text();
    for bytes in [1, 2, 7, 88, 89, 90, 178, 1000, 65536] {
        let played = play(&format!("/stream?rate=0&tokens=5&token_bytes={bytes}"), "");
        assert!(played.data.iter().all(|(_, data)| data.len() == bytes), "{bytes}");
        assert!(words.repeat(4).starts_with(&played.text()), "{bytes}");
    }
}

#[test]
fn sized_tokens_hold_in_both_dialects_too() {
    for target in [CHAT, COMPLETIONS] {
        let played = play(&format!("{target}?rate=0&tokens=3&token_bytes=40"), STREAMED);
        let spoken = spoken(&played.events());
        assert_eq!(spoken.len(), 120);
        assert!(spoken.starts_with("Water finds its way through"));
    }
}

#[test]
fn a_stamp_is_the_instant_at_which_the_token_was_asked_for() {
    let mut responder = asked(Settings::default(), "/stream?stamp=1&rate=10&tokens=3", "");
    let played = play_late(&mut *responder, MILLISECOND);
    let tokens: Vec<String> = played
        .data
        .iter()
        .map(|(_, data)| String::from_utf8(data.to_vec()).expect("UTF-8"))
        .collect();
    assert_eq!(
        tokens,
        ["00000007000000000000 Water ", "00000007000101000000 finds ", "00000007000201000000 its "]
    );
}

#[test]
fn a_stamped_token_keeps_its_size() {
    for bytes in [21, 22, 100] {
        let target = format!("{CHAT}?stamp&tokens=2&token_bytes={bytes}");
        let spoken = spoken(&play(&target, STREAMED).events());
        assert_eq!(spoken.len(), 2 * bytes);
        assert_eq!(&spoken[bytes..bytes + 21], "00000007000050000000 ");
    }
}

#[test]
fn a_plain_word_is_a_slice_of_static_text() {
    let mut responder = asked(Settings::default(), "/stream?rate=0&tokens=17", "");
    let words: Vec<Bytes> = std::iter::from_fn(|| match responder.step(START) {
        Action::Head(_) => Some(Bytes::new()),
        Action::Data(data) => Some(data),
        _ => None,
    })
    .collect();
    assert_eq!(words[1].as_ptr(), words[17].as_ptr(), "the cycle comes round without a copy");
}

#[test]
fn a_responder_stays_small() {
    assert!(size_of::<MockResponder>() <= 256, "{} bytes", size_of::<MockResponder>());
}
