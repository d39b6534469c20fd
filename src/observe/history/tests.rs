use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::observe::spans::tests::record;

thread_local! {
    static SECONDS: AtomicU64 = const { AtomicU64::new(0) };
}

fn clock() -> Instant {
    SECONDS.with(|seconds| Instant::from_nanos(seconds.load(Ordering::Relaxed) * 1_000_000_000))
}

fn pass(seconds: u64) {
    SECONDS.with(|now| now.fetch_add(seconds, Ordering::Relaxed));
}

fn numbers(document: &Value, name: &str) -> Vec<f64> {
    let told = document["series"][name].as_array().expect("a series");
    told.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

fn look(history: &History, range: &str, upstream: Option<&str>) -> Value {
    history.document(range, upstream, "now").expect("it is known")
}

#[test]
fn what_is_counted_in_a_second_stands_in_its_slot_and_in_that_of_its_ten() {
    let counters = [Arc::new(Counters::default())];
    let history = History::new(clock);
    history.tick(&counters, &[]);
    for second in 1..=25 {
        pass(1);
        counters[0].data_events.add(second);
        counters[0].event_gap.record(1000 * second);
        history.tick(&counters, &[("a".into(), 3)]);
    }
    pass(1);
    let fine = look(&history, "5m", None);
    assert_eq!(fine["step_seconds"], 1);
    // The second that goes on is not told, and the first one had no reading before it.
    let expected: Vec<f64> = (0..=25).map(f64::from).collect();
    assert_eq!(numbers(&fine, "events"), expected);
    assert_eq!(numbers(&fine, "tokens"), expected, "nobody has told, so events stand for them");
    assert_eq!(numbers(&fine, "tokens_estimated")[1..], [1.0; 25]);
    assert_eq!(numbers(&fine, "itl_p50_us")[4], 4095.0, "to an eighth");
    let coarse = look(&history, "1h", None);
    // 1 to 9, and 10 to 19, per second.
    assert_eq!(numbers(&coarse, "events"), [4.5, 14.5]);
    assert!(numbers(&coarse, "itl_p99_us").iter().all(|micros| *micros > 8000.0));
    assert_eq!(numbers(&look(&history, "5m", Some("a")), "in_flight")[1..], [3.0; 25]);
    assert!(history.document("5m", Some("b"), "now").is_none());
}

#[test]
fn a_thread_that_comes_late_leaves_no_hole() {
    let counters = [Arc::new(Counters::default())];
    let history = History::new(clock);
    history.tick(&counters, &[("a".into(), 2)]);
    pass(1);
    history.tick(&counters, &[("a".into(), 2)]);
    pass(3);
    counters[0].data_events.add(12);
    counters[0].downstreams_open.set(5);
    history.tick(&counters, &[("a".into(), 4)]);
    pass(1);
    let document = look(&history, "5m", None);
    assert_eq!(numbers(&document, "events"), [0.0, 0.0, 4.0, 4.0, 4.0]);
    assert_eq!(numbers(&document, "clients")[2..], [5.0; 3]);
    assert_eq!(numbers(&look(&history, "5m", Some("a")), "in_flight")[1..], [2.0, 4.0, 4.0, 4.0]);
}

#[test]
fn rings_forget_and_a_silence_is_empty() {
    let counters = [Arc::new(Counters::default())];
    let history = History::new(clock);
    history.tick(&counters, &[]);
    pass(1);
    counters[0].data_events.add(7);
    history.tick(&counters, &[]);
    for gap in [100, 250, 4000, 10_000] {
        pass(gap);
        for (range, most) in [("5m", 299), ("1h", 359)] {
            let document = look(&history, range, None);
            let told = numbers(&document, "events");
            assert!(told.len() <= most, "{range}: {}", told.len());
            let sum: f64 = told.iter().sum();
            let expected = match (gap, range) {
                (100, "5m") => 7.0,
                (100 | 250, "1h") => 0.7,
                _ => 0.0,
            };
            assert_eq!(sum, expected, "{gap} {range}");
            assert!(numbers(&document, "ttft_p50_us").iter().all(|it| it.is_nan()));
        }
    }
}

#[test]
fn an_exchange_is_laid_over_the_time_it_took() {
    let history = History::new(clock);
    pass(100);
    let mut over = record("complete", 200);
    over.upstream = Some(("a".into(), "a:1".into()));
    over.is_stream = true;
    over.request_written = Some(Duration::from_secs(1));
    over.first_event = Some(Duration::from_millis(1500));
    over.total = Duration::from_millis(11_400);
    over.completion.tokens = 50;
    over.completion.estimated = true;
    over.tokens_before = 0;
    history.add(&over);
    let mut failed = record("complete", 500);
    failed.upstream = over.upstream.clone();
    failed.completion.tokens = 0;
    history.add(&failed);
    pass(1);
    let document = look(&history, "5m", Some("a"));
    let tokens = numbers(&document, "tokens");
    assert_eq!((tokens[90], tokens[91], tokens[100]), (0.0, 5.0, 5.0), "{tokens:?}");
    assert_eq!(numbers(&document, "tokens_estimated").iter().sum::<f64>(), 50.0);
    assert_eq!(numbers(&document, "requests")[100], 2.0);
    assert_eq!(numbers(&document, "failed")[100], 1.0);
    assert_eq!(numbers(&document, "ttft_mean_us")[100], 500_000.0);
    let codes = &look(&history, "5m", None)["codes"];
    assert_eq!(codes["upstream_status"][100], 1.0, "{codes}");
}

#[test]
fn upstreams_beyond_the_most_have_no_history() {
    let history = History::new(clock);
    pass(1);
    let names = (0..2 * UPSTREAMS).map(|number| (format!("u{number}"), 1));
    history.tick(&[], &names.collect::<Vec<_>>());
    pass(1);
    let document = look(&history, "5m", None);
    assert_eq!(document["upstreams"].as_array().map(Vec::len), Some(UPSTREAMS));
    let lanes = OVERALL.len() + UPSTREAMS * OF_AN_UPSTREAM.len() + 80;
    assert!(lanes * 4 * (300 + 360) < 2 << 20, "two megabytes hold all of it");
}
