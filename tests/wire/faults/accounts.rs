//! What is written down of a request that was answered by the second who was asked.

use std::time::Instant;

use serde_json::Value;

use super::stage::*;
use crate::harness::{Gateway, PATIENCE, Peer};

/// The value of a metric, summed over those samples that have `label`.
pub fn metric(gateway: &Gateway, name: &str, label: &str) -> f64 {
    let line = gateway.wait_for_log("admin on http://");
    let address = line.split_once("admin on http://").expect("an address").1.trim().parse();
    let mut peer = Peer::connect(address.expect("an address"));
    peer.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let page = peer.read_response();
    let samples = page.text().lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && line.contains(label)
    });
    let values: Vec<f64> = samples
        .map(|line| line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number"))
        .collect();
    assert!(!values.is_empty(), "no {name} with {label:?}: {}", page.text());
    values.iter().sum()
}

#[test]
fn after_failing_over_only_the_answer_is_accounted_for() {
    let usage = |prompt: u32, completion: u32| {
        format!("\"usage\":{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion}}}")
    };
    // The first one counts tokens of an answer that nobody gets.
    let failed = format!(
        "data: {{\"error\":{{\"message\":\"oom\"}},\"model\":\"primary\",{}}}\n\n",
        usage(900, 800)
    );
    let failed = vec![say(format!("{EVENTS}{}{LAST_CHUNK}", chunk(&failed)))];
    let counted = format!("data: {{\"model\":\"second\",\"choices\":[],{}}}\n\n", usage(7, 3));
    let body = [token("second", 0), finish("second"), counted, DONE.into()].concat();
    let answered = vec![say(format!("{EVENTS}{}{LAST_CHUNK}", chunk(&body)))];
    let (primary, second) =
        (Server::playing(move |_| failed.clone()), Server::playing(move |_| answered.clone()));
    let file = std::env::temp_dir().join(format!("sluicegate-accounts-{}.log", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let sections =
        format!("[admin]\nlisten = \"127.0.0.1:0\"\n[access_log]\nto = \"{}\"\n", file.display());
    let knobs = Knobs {
        primary: "retry = { attempts = 2, on = [\"error_event\"] }\nbreaker = \"off\"",
        route: &sections,
        ..Knobs::default()
    };
    let gateway = knobs.gateway(&[primary.address], Some(second.address));
    let mut client = ask(&gateway);
    let response = client.read_response();
    expect_way(&response, "second", 3);
    assert_eq!(response.text(), body);
    primary.expect_asked(2);
    second.expect_asked(1);

    let deadline = Instant::now() + PATIENCE;
    let log = loop {
        let log = std::fs::read_to_string(&file).unwrap_or_default();
        if log.ends_with('\n') {
            break log;
        }
        assert!(Instant::now() < deadline, "no line");
        std::thread::sleep(ms(1));
    };
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let _ = std::fs::remove_file(&file);
    assert_eq!(lines.len(), 1, "one exchange, one line: {log}");
    let told = [
        "tokens_in",
        "tokens_out",
        "tokens_estimated",
        "upstream",
        "model",
        "attempts",
        "status",
        "end",
    ];
    let told = told.map(|name| lines[0][name].clone());
    let expected: [Value; 8] = [
        7.into(),
        3.into(),
        false.into(),
        "second".into(),
        "second".into(),
        3.into(),
        200.into(),
        "complete".into(),
    ];
    assert_eq!(told, expected);

    let tokens = |kind: &str| {
        let label = format!("gen_ai_token_type=\"{kind}\"");
        ["sum", "count"]
            .map(|part| metric(&gateway, &format!("gen_ai_client_token_usage_{part}"), &label))
    };
    assert_eq!((tokens("input"), tokens("output")), ([7.0, 1.0], [3.0, 1.0]));
    // Nobody is anywhere any more.
    for name in
        ["sluicegate_endpoint_in_flight", "sluicegate_exchanges_active", "sluicegate_queue_length"]
    {
        assert_eq!(metric(&gateway, name, ""), 0.0, "{name}");
    }
}
