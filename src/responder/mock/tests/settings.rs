//! Names and values, as flags and queries share them.

use super::super::settings::{Invalid, Rate, Settings};
use std::time::Duration;

fn with(query: &str) -> Settings {
    Settings::default().overridden(query).unwrap_or_else(|invalid| panic!("{query}: {invalid}"))
}

fn refusal(query: &str) -> Invalid {
    match Settings::default().overridden(query) {
        Ok(settings) => panic!("{query} gave {settings:?}"),
        Err(invalid) => invalid,
    }
}

#[test]
fn every_parameter_is_known_in_both_spellings() {
    let cases = [
        ("rate", "1.5"),
        ("tokens", "9"),
        ("token_bytes", "30"),
        ("first_token", "1s"),
        ("stamp", "1"),
        ("known_length", "1"),
        ("status", "500"),
        ("reset", "1"),
        ("silent", "true"),
        ("cut", "1"),
        ("reset_after", "1"),
        ("stall", "1"),
        ("malformed", "1"),
        ("comments", "1"),
        ("error_event", "1"),
        ("no_done", "1"),
        ("no_finish", "1"),
        ("status=500&retry_after", "3"),
        ("status=500&huge_error", "3"),
        ("status=500&stall_error", "3"),
        ("refuse", "context_length"),
        ("html", "1"),
        ("every", "2"),
        ("bad_chunk", "1"),
        ("hang_up", "1"),
    ];
    for (name, value) in cases {
        let changed = with(&format!("{name}={value}"));
        assert_ne!(changed, Settings::default(), "{name}");
        assert_eq!(with(&format!("{}={value}", name.replace('_', "-"))), changed, "{name}");
    }
}

#[test]
fn an_empty_query_changes_nothing() {
    for query in ["", "&", "&&"] {
        assert_eq!(with(query), Settings::default());
    }
}

#[test]
fn the_last_of_two_wins_and_off_takes_away() {
    assert_eq!(with("tokens=1&tokens=2").tokens, Some(2));
    assert_eq!(with("cut=1&cut=off"), Settings::default());
    assert_eq!(with("stamp=1&stamp=0"), Settings::default());
    assert_eq!(with("status=500&retry_after=1&huge_error=9&status=off"), Settings::default());
}

#[test]
fn durations_have_units() {
    let cases = [
        ("0", 0),
        ("5ns", 5),
        ("7us", 7_000),
        ("250ms", 250_000_000),
        ("2s", 2_000_000_000),
        ("3m", 180_000_000_000),
    ];
    for (text, nanos) in cases {
        assert_eq!(with(&format!("first_token={text}")).first_token, Duration::from_nanos(nanos));
    }
    for text in [
        "",
        "5",
        "ms",
        "-1s",
        "+1s",
        "1.5s",
        "1 s",
        "1h",
        "99999999999999999999s",
        "400000000m",
        "1µs",
    ] {
        assert_eq!(refusal(&format!("first_token={text}")).name(), "first_token", "{text}");
    }
}

#[test]
fn rates_are_exact_to_a_thousandth() {
    let offset =
        |text: &str, index| with(&format!("rate={text}")).rate.expect("a rate").offset(index);
    assert_eq!(offset("2", 3), Duration::from_millis(1500));
    assert_eq!(offset("0.001", 1), Duration::from_secs(1000));
    assert_eq!(offset("33.3", 333), Duration::from_secs(10));
    assert_eq!(offset("1000000000", 7), Duration::from_nanos(7));
    assert_eq!(offset("0", u64::MAX), Duration::ZERO);
    assert_eq!(offset("0.000", 5), Duration::ZERO);
    assert_eq!(with("rate=20").rate, Some(Rate::per_second(20)));
    for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1.2345", "1000000001", "NaN", "off"] {
        assert_eq!(refusal(&format!("rate={text}")).name(), "rate", "{text}");
    }
}

#[test]
fn values_stay_within_their_bounds() {
    let refused = [
        "tokens=",
        "tokens=off",
        "tokens=18446744073709551616",
        "tokens=+1",
        "token_bytes=0",
        "token_bytes=65537",
        "status=399",
        "status=600",
        "status=abc",
        "cut=4294967296",
        "status=500&huge_error=16777217",
        "stamp=yes",
        "reset=",
    ];
    for query in refused {
        let name = query.rsplit('&').next().and_then(|last| last.split('=').next());
        assert_eq!(Some(refusal(query).name()), name, "{query}");
    }
    with(&format!("tokens={}&token_bytes=65536&cut={}&status=599", u64::MAX, u32::MAX));
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    assert_eq!(refusal("stamp=1&token_bytes=20").name(), "token_bytes");
    assert_eq!(refusal("retry_after=1").name(), "retry_after");
    assert_eq!(refusal("huge_error=1").name(), "huge_error");
    with("stamp=1&token_bytes=21");
}

#[test]
fn refusals_read_well() {
    assert_eq!(refusal("speed=1").to_string(), "unknown parameter `speed`");
    assert_eq!(refusal("stamp=2").to_string(), "`stamp` must be 1 or 0");
}
