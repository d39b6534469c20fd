//! What the arguments mean.

use super::*;
use clap::Parser;

#[derive(Parser, Debug)]
struct Command {
    #[command(flatten)]
    bench: BenchArguments,
}

fn bench(arguments: &[&str]) -> Result<BenchArguments, String> {
    let parsed = Command::try_parse_from([&["bench"], arguments].concat());
    parsed.map(|command| command.bench).map_err(|error| error.to_string())
}

const URL: [&str; 2] = ["--url", "http://127.0.0.1:9/stream"];

fn with(arguments: &[&str]) -> Result<BenchArguments, String> {
    bench(&[&URL, arguments].concat())
}

#[test]
fn something_must_be_measured_and_only_in_one_way() {
    assert!(bench(&[]).is_err());
    assert!(with(&["--compare", "a=http://127.0.0.1:1"]).is_err());
    assert!(with(&[]).is_ok());
}

#[test]
fn streams_outlast_the_round_unless_their_tokens_are_counted() {
    let plan = |arguments| with(arguments).and_then(|bench| bench.plan());
    assert!(plan(&[]).is_ok_and(|plan| plan.outlasting && plan.connections == 100));
    assert!(plan(&["--tokens", "9"]).is_ok_and(|plan| !plan.outlasting));
    assert!(plan(&["--shape", "unary"]).is_ok_and(|plan| !plan.outlasting));
}

#[test]
fn an_open_loop_needs_requests_that_end() {
    let plan = |arguments| with(arguments).and_then(|bench| bench.plan());
    assert!(plan(&["--open", "100"]).is_err_and(|error| error.contains("--tokens")));
    let open = plan(&["--open", "100", "--shape", "unary"]).map(|plan| plan.arrivals);
    assert_eq!(open, Ok(Arrivals::Open { rate: 100.0 }));
    assert!(plan(&["--open", "100", "--tokens", "5"]).is_ok());
    assert!(plan(&["--open", "100", "--shape", "idle"]).is_err());
    assert!(with(&["--open", "0"]).is_err() && with(&["--open", "inf"]).is_err());
}

#[test]
fn what_a_shape_does_not_heed_is_refused() {
    let plan = |arguments| with(arguments).and_then(|bench| bench.plan());
    assert!(plan(&["--shape", "unary", "--tokens", "5"]).is_err_and(|it| it.contains("--tokens")));
    assert!(plan(&["--shape", "unary", "--bytes", "5KiB"]).is_err_and(|it| it.contains("--bytes")));
    assert!(plan(&["--shape", "upload", "--bytes", "5KiB"]).is_ok());
    let refused = |arguments: &[&str], word| {
        let planned = with(arguments).and_then(|bench| bench.plan());
        planned.is_err_and(|it| it.contains(word))
    };
    for shape in ["unary", "churn", "firehose", "idle", "upload", "download"] {
        assert!(refused(&["--shape", shape, "--rate", "5"], "--open"), "{shape}");
    }
    assert!(refused(&["--shape", "download", "--token-bytes", "64"], "--bytes"));
    for argument in ["--rate", "--tokens", "--token-bytes"] {
        assert!(refused(&["--server", "any", argument, "50"], "--body"), "{argument}");
    }
    assert!(refused(&["--server", "any", "--shape", "download", "--bytes", "5KiB"], "the URL"));
    assert!(plan(&["--shape", "fairness", "--rate", "5", "--token-bytes", "64"]).is_ok());
    assert!(plan(&["--shape", "unary", "--token-bytes", "64"]).is_ok());
}

#[test]
fn processes_find_their_targets() {
    let compare = ["--compare", "a=http://127.0.0.1:1/,b=http://127.0.0.1:2/"];
    let targets = |pids: &[&str]| {
        bench(&[&compare[..], pids].concat())
            .and_then(|bench| bench.targets())
            .map(|targets| targets.iter().map(|target| target.pid).collect::<Vec<_>>())
    };
    assert_eq!(targets(&["--pid", "b=7"]), Ok(vec![None, Some(7)]));
    assert!(targets(&["--pid", "7"]).is_err_and(|error| error.contains("NAME=PID")));
    assert!(targets(&["--pid", "c=7"]).is_err());
    let alone = with(&["--pid", "7"]).and_then(|bench| bench.targets()).expect("a target");
    assert_eq!(alone[0].pid, Some(7));
}

#[test]
fn what_could_not_be_told_apart_or_seen_is_refused() {
    let twins =
        bench(&["--compare", "a=http://127.0.0.1:1/,b=http://127.0.0.1:2/,a=http://[::1]/"]);
    let refused = twins.and_then(|bench| bench.refuse_twins());
    assert!(refused.is_err_and(|why| why.contains("named a")));
    let idle = |more: &[&str]| {
        let bench = with(&[&["--shape", "idle"], more].concat())?;
        bench.refuse_unseen(bench.plan()?.shape, &bench.targets()?)
    };
    assert!(idle(&[]).is_err_and(|why| why.contains("--pid")), "there is nothing to tell");
    assert_eq!(idle(&["--pid", "7"]), Ok(()));
    let process = |pid: u32| {
        let bench = with(&["--pid", &pid.to_string()])?;
        have_processes(&bench.targets()?)
    };
    assert_eq!(process(process::id()), Ok(()));
    assert!(process(u32::MAX).is_err_and(|why| why.contains("no such process")));
    for arguments in [
        &["--shape", "unary", "--rate", "5"][..],
        &["--shape", "idle"],
        &["--server", "any", "--tokens", "5"],
        &["--duration", "0s"],
    ] {
        let ended = run(&with(arguments).expect("each is an argument"));
        assert!(matches!(ended, Err(Stop::Arguments(_))), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn fields_and_methods_that_would_break_the_request_are_refused() {
    for bad in ["Host: x", "content-length: 3", "no colon", "a: b\r\nc: d", ": x", "a b: c"] {
        assert!(with(&["--header", bad]).is_err(), "{bad}");
    }
    for bad in ["HEAD", "get", "", "CONNECT", "P T"] {
        assert!(with(&["--method", bad]).is_err(), "{bad}");
    }
    assert!(with(&["--header", "Authorization: Bearer x", "--method", "GET"]).is_ok());
}

#[test]
fn a_pace_is_what_the_mock_can_keep() {
    let rate = |text| with(&["--rate", text]).map(|bench| bench.rate());
    assert_eq!(rate("33.33333"), Ok(33.333));
    assert!(rate("0").is_err() && rate("0.0001").is_err() && rate("-1").is_err());
}
