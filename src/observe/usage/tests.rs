use super::*;
use crate::config::snapshot::{ModelPrice, Pattern, PriceTable, TokenPrice};
use crate::observe::spans::tests::record;
use crate::service::{Completion, Usage};

fn book_of(series: usize) -> UsageBook {
    UsageBook::new(&UsageSettings { series, currency: "EUR".into() })
}

/// A request for `asked` that `model` has answered.
fn answered(asked: &str, model: &str, usage: Option<Usage>, tokens: u64) -> Record {
    Record {
        asked: Some(asked.into()),
        model: Some(model.into()),
        upstream: Some(("gpu".into(), "a:1".into())),
        usage,
        completion: Completion { tokens, estimated: usage.is_none() },
        ..record("complete", 200)
    }
}

fn told(prompt: u32, completion: u32) -> Option<Usage> {
    Some(Usage { prompt: Some(prompt), completion: Some(completion), ..Usage::default() })
}

fn names(book: &UsageBook) -> Vec<(Option<String>, Option<String>, u64)> {
    let (rows, _) = book.read();
    rows.into_iter().map(|(key, sums)| (key.asked, key.model, sums.requests)).collect()
}

#[test]
fn each_exchange_is_in_one_row_and_the_rows_add_up() {
    let book = book_of(10);
    let usage = Usage { cached: Some(3), reasoning: Some(5), ..told(10, 7).unwrap_or_default() };
    book.add(&answered("a", "a-1", Some(usage), 7));
    book.add(&answered("a", "a-1", told(20, 8), 8));
    book.add(&answered("b", "b-1", None, 4));
    book.add(&Record { end: "upstream_reset", ..answered("a", "a-1", None, 0) });
    // A whole answer that says no.
    book.add(&Record { status: 404, ..answered("a", "a-1", None, 0) });
    let (rows, total) = book.read();
    let [(first, a), (_, b)] = &rows[..] else { panic!("two rows: {rows:?}") };
    assert_eq!((first.route.as_deref(), first.upstream.as_deref()), (Some("/v1/*"), Some("gpu")));
    assert_eq!((a.requests, a.estimated, a.input, a.cached), (4, 0, 30, 3));
    assert_eq!((a.output, a.reasoning, a.output_estimated), (15, 5, 0));
    assert_eq!(a.errors, BTreeMap::from([("request_refused", 1), ("upstream_reset", 1)]));
    assert_eq!(a.statuses, BTreeMap::from([("404", 1)]), "a stream had begun with a 200");
    assert_eq!((b.requests, b.estimated, b.output, b.output_estimated), (1, 1, 4, 4));
    assert_eq!((total.requests, total.input, total.output, total.output_estimated), (5, 30, 19, 4));
    let shown = book.document();
    assert_eq!(shown["total"]["tokens_out"], 19);
    assert_eq!(shown["series"][0]["model_asked"], "a");
}

#[test]
fn failures_are_told_by_the_status_that_their_clients_got() {
    let book = book_of(10);
    let failed = |end, status| Record { end, status, ..answered("a", "a-1", None, 0) };
    for (end, status) in [
        ("complete", 429),
        ("complete", 429),
        ("complete", 418),
        ("complete", 599),
        ("no_upstream", 503),
        ("client_gone", 0),
        ("upstream_reset", 200),
        ("complete", 200),
    ] {
        book.add(&failed(end, status));
    }
    let (_, total) = book.read();
    let expected = [("429", 2), ("4xx", 1), ("503", 1), ("5xx", 1)];
    assert_eq!(total.statuses, BTreeMap::from(expected));
    let page = book.document();
    assert_eq!(page["total"]["error_statuses"], json!({"429": 2, "4xx": 1, "503": 1, "5xx": 1}));
    for status in 0..1_000 {
        let told = status_name(status).is_some();
        assert_eq!(told, status >= 400, "{status}");
    }
}

#[test]
fn what_was_wasted_is_counted_where_it_was_paid_for() {
    let book = book_of(10);
    let wasted = WastedTokens {
        upstream: Some("spare".into()),
        model: Some("s-1".into()),
        reason: "retry",
        input: 9,
        cached: 0,
        output: 2,
    };
    book.add(&Record { wasted: vec![wasted], ..answered("a", "a-1", told(10, 7), 7) });
    let (rows, total) = book.read();
    assert_eq!(rows.len(), 2);
    let (key, spare) = &rows[1];
    assert_eq!((key.upstream.as_deref(), spare.requests), (Some("spare"), 0));
    assert_eq!(spare.wasted[3], Waste { input: 9, output: 2 });
    assert_eq!((total.requests, total.input, total.output), (1, 10, 7));
    assert_eq!(total.shown()["tokens_wasted"], json!({ "retry": { "in": 9, "out": 2 } }));
}

#[test]
fn names_of_strangers_open_no_rows_and_rows_are_few() {
    let book = book_of(2);
    for number in 0..100 {
        let name = format!("no-such-model-{number}");
        book.add(&Record { status: 404, model: None, ..answered(&name, "", None, 0) });
    }
    let other = || Some(OTHER.to_owned());
    assert_eq!(names(&book), [(other(), other(), 100)]);
    book.add(&answered("a", "a", None, 0));
    book.add(&answered("b", "b", None, 0));
    book.add(&answered("c", "c", None, 0));
    // Failures of those that are known are theirs.
    book.add(&Record { end: "upstream_reset", ..answered("a", "a", None, 0) });
    // A name that is the row's is counted there, and an empty one is none.
    book.add(&answered(OTHER, OTHER, None, 0));
    book.add(&answered("", "", None, 0));
    let named = |name: &str| Some(name.to_owned());
    let expected = [
        (None, None, 1),
        (named("a"), named("a"), 2),
        (named("b"), named("b"), 1),
        (other(), other(), 102),
    ];
    assert_eq!(names(&book), expected);
}

#[test]
fn subjects_and_models_make_no_more_rows_than_there_is_room_for() {
    let book = book_of(50);
    for number in 0..3_000 {
        let key = Some(format!("subject-{}", number % 700).into());
        let model = format!("model-{}", number % 11);
        book.add(&Record { key, ..answered(&model, &model, None, 1) });
    }
    let (rows, total) = book.read();
    assert_eq!(rows.len(), 101, "fifty, as many others, and one for all that is beyond");
    assert_eq!((total.requests, total.output), (3_000, 3_000), "and nothing is lost");
    let beyond = |key: &UsageKey| key.api_key.is_none() && key.model.as_deref() == Some(OTHER);
    assert!(rows.iter().any(|(key, sums)| beyond(key) && sums.requests > 0));
}

#[test]
fn routes_of_many_reloads_end_in_one_row() {
    let book = book_of(3);
    for number in 0..10 {
        let route = Some(format!("/{number}"));
        book.add(&Record { route, asked: None, model: None, ..answered("", "", None, 1) });
    }
    let (rows, total) = book.read();
    assert_eq!((rows.len(), total.requests, total.output), (4, 10, 10));
    assert_eq!((rows[0].0.route.as_deref(), rows[0].1.requests), (None, 7));
}

#[test]
fn names_that_are_shown_alike_are_one_row() {
    let book = book_of(10);
    book.add(&answered("a\u{1b}", "m", None, 0));
    book.add(&answered("a\\u001b", "m", None, 0));
    assert_eq!(names(&book), [(Some("a\\u001b".into()), Some("m".into()), 2)]);
}

#[test]
fn a_full_queue_is_counted() {
    let (queue, records) = sync_channel(1);
    let queue = UsageQueue { queue, book: Arc::new(book_of(1)) };
    let record = Arc::new(answered("a", "a", None, 0));
    queue.put(&record);
    queue.put(&record);
    assert_eq!(queue.book().missed(), 1);
    drop(queue.queue);
    records.iter().for_each(|record| queue.book.add(&record));
    assert_eq!(names(&queue.book), [(Some("a".into()), Some("a".into()), 1)]);
}

#[test]
fn costs_add_up_to_the_last_digit() {
    let price = ModelPrice {
        models: vec![Pattern::new("a*")],
        input: TokenPrice(2_500_000),
        cached: TokenPrice(1_250_001),
        output: TokenPrice(10_000_000),
    };
    let prices = Some(Arc::new(PriceTable(vec![price])));
    let book = book_of(10);
    let usage = Usage { cached: Some(3), ..told(10, 7).unwrap_or_default() };
    let wasted = WastedTokens {
        upstream: None,
        model: None,
        reason: "failed",
        input: 1,
        cached: 0,
        output: 1,
    };
    let priced = Record { prices: prices.clone(), ..answered("a", "a-1", Some(usage), 7) };
    let line = |record: &Record| record.cost().map(|cost| cost.to_string());
    assert_eq!(line(&priced).as_deref(), Some("0.000091250003"));
    for _ in 0..1_000 {
        book.add(&Record { wasted: vec![wasted.clone()], ..priced.clone() });
    }
    book.add(&Record { prices, ..answered("b", "b", told(1, 1), 1) });
    let page = book.document();
    assert_eq!((&page["currency"], &page["total"]["cost"]), (&json!("EUR"), &json!("0.091250003")));
    assert_eq!(page["total"]["cost_wasted"], "0.0125");
    assert_eq!(page["total"]["requests_unpriced"], 1);
}

#[test]
fn the_times_of_streams_are_means_and_documents_have_none() {
    let book = book_of(10);
    let millis = Duration::from_millis;
    let stream = |first: u64, total: u64, tokens: u32| Record {
        is_stream: true,
        request_written: Some(millis(10)),
        first_event: Some(millis(first)),
        total: millis(total),
        ..answered("a", "a-1", told(1, tokens), u64::from(tokens))
    };
    book.add(&stream(110, 310, 11));
    book.add(&stream(310, 410, 11));
    // One token has no distance to another.
    book.add(&stream(210, 900, 1));
    for other in [
        Record { is_stream: false, ..stream(50, 60, 5) },
        Record { status: 500, ..stream(50, 60, 5) },
        Record { first_event: None, ..stream(50, 60, 5) },
    ] {
        book.add(&other);
    }
    let total = &book.document()["total"];
    assert_eq!((&total["streams"], &total["ttft_ms"]), (&json!(3), &json!(200.0)));
    assert_eq!(total["time_per_output_token_ms"], json!(15.0));
    let empty = book_of(1).document();
    assert_eq!((&empty["total"]["ttft_ms"], &empty["total"]["streams"]), (&Value::Null, &json!(0)));
}
