//! What may follow a configuration that is in force.

use super::super::reload as follow;
use super::*;

fn after(running: &str, next: &str) -> Result<Loaded, Vec<Problem>> {
    follow(next, &accepted(running).snapshot, &environment())
}

#[test]
fn policies_change_and_what_the_workers_stand_on_does_not() {
    let fixed = "cannot change while the gateway runs: restart it, or hand over to a new process \
                 (SIGUSR2)\n";
    for (from, to, expected) in [
        ("8080", "8082", "line 2: server.listen: "),
        ("cpus       = [0]", "cpus = [1]", "line 3: server.cpus: "),
        ("cpus       = [0]", "workers = 1", "line 3: server.workers: "),
        ("cpus       = [0]\n", "", "line 1: server.cpus: "),
        ("\"reuseport\"", "\"balanced\"", "line 5: server.accept: "),
        ("listen    = \"off\"", "listen = \"127.0.0.1:9\"", "line 46: admin.listen: "),
        ("to        = \"off\"", "to = \"stdout\"", "line 48: access_log.to: "),
        ("\"json\"", "\"logfmt\"", "line 49: access_log.format: "),
        ("\"sluicegate\"", "\"edge\"", "line 54: trace.service: "),
        ("keep      = 32", "keep = 33", "line 60: recorder.keep: "),
        ("256MiB", "64MiB", "line 15: limits.buffer_bytes: "),
    ] {
        assert!(SAMPLE.contains(from));
        let problems = after(SAMPLE, &SAMPLE.replacen(from, to, 1)).expect_err("must be refused");
        assert_eq!(told(&problems), format!("{expected}{fixed}"), "{from} → {to}");
    }
    for (from, to) in [
        ("connections = 10000", "connections = 7"),
        ("\"cancel\"", "\"allow\""),
        ("spin       = \"0us\"", "spin = \"1us\""),
        ("[server]", "[server]\nwatch = \"1s\""),
        ("context   = \"off\"", "context = \"continue\""),
        ("sample    = 1", "sample = 0.5"),
        ("10m", "1m"),
        ("llama", "alpaca"),
        ("8081", "8082"),
        ("/inference", "/v1"),
    ] {
        assert!(SAMPLE.contains(from));
        let loaded = after(SAMPLE, &SAMPLE.replace(from, to));
        let loaded = loaded.unwrap_or_else(|problems| panic!("{from}: {}", told(&problems)));
        assert_eq!(loaded.snapshot.generation.number, 1);
    }
}

#[test]
fn mistakes_are_told_before_anything_is_compared() {
    let next = SAMPLE.replace("8080", "8082").replace("drain        = \"10m\"", "drain = \"10\"");
    let problems = after(SAMPLE, &next).expect_err("must be refused");
    assert!(told(&problems).starts_with("line 26: timeouts.drain: "), "{}", told(&problems));
}

#[test]
fn the_watch_has_a_range_and_can_be_off() {
    use std::time::Duration;
    for (written, watch) in [
        ("\"off\"", None),
        ("\"100ms\"", Some(Duration::from_millis(100))),
        ("\"1h\"", Some(Duration::from_secs(3_600))),
    ] {
        let text = SAMPLE.replace("[server]", &format!("[server]\nwatch = {written}"));
        assert_eq!(accepted(&text).snapshot.server.watch, watch);
    }
    for written in ["\"99ms\"", "\"2h\"", "0", "\"on\""] {
        let text = SAMPLE.replace("[server]", &format!("[server]\nwatch = {written}"));
        assert!(refused(&text).starts_with("line 2: server.watch: "), "{}", refused(&text));
    }
}

#[test]
fn coalescing_has_a_range_can_be_off_and_excludes_spinning() {
    use std::time::Duration;
    let with = |lines: &str| SAMPLE.replace("spin       = \"0us\"", lines);
    for (written, coalesce) in [
        ("\"off\"", None),
        ("\"10us\"", Some(Duration::from_micros(10))),
        ("\"10ms\"", Some(Duration::from_millis(10))),
    ] {
        let text = with(&format!("coalesce = {written}"));
        assert_eq!(accepted(&text).snapshot.server.coalesce, coalesce);
    }
    for written in ["\"9us\"", "\"11ms\"", "0", "50", "\"soon\""] {
        let problems = refused(&with(&format!("coalesce = {written}")));
        assert!(problems.starts_with("line 6: server.coalesce: "), "{problems}");
    }
    let both = refused(&with("spin = \"1us\"\ncoalesce = \"50us\""));
    assert!(both.starts_with("line 7: server.coalesce: spin and coalesce exclude"), "{both}");
}
