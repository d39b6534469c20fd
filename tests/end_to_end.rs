//! The harness of `benches/end_to_end`: what it concludes, and that it can measure at all.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn harness(program: &str, arguments: &[&str]) -> Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/end_to_end").join(program);
    Command::new("python3").arg(path).args(arguments).output().expect("python3 runs")
}

fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}{complained}", output.status);
    said
}

#[test]
fn its_conclusions_are_tested() {
    succeeded(&harness("test_harness.py", &[]));
}

#[test]
fn a_row_is_measured_beside_the_relay_and_stored_with_its_rounds() {
    let name = format!("sluicegate-harness-{}.json", std::process::id());
    let out = std::env::temp_dir().join(name);
    let path = out.to_str().expect("the path is UTF-8");
    let binary = env!("CARGO_BIN_EXE_sluicegate");
    let brief = ["--quick", "--duration", "0.4", "--only", "relay", "--row", "firehose-1"];
    let files = ["--binary", binary, "--variant", &format!("same={binary}"), "--out", path];
    let said = succeeded(&harness("run", &[&brief[..], &files].concat()));
    let stored: Value = serde_json::from_str(&fs::read_to_string(&out).expect("results"))
        .expect("results are JSON");
    let _ = fs::remove_file(&out);

    let row = &stored["rows"]["firehose-1"];
    for target in ["relay", "sluicegate", "same"] {
        let rounds = row["samples"][target]["cpu_ns_per_token"].as_array().expect("rounds");
        assert_eq!(rounds.len(), 2, "{target}");
        assert!(rounds.iter().all(|round| round.as_f64().is_some_and(|cpu| cpu > 0.0)), "{target}");
        assert!(said.contains(target), "{said}");
    }
    assert!(row["machine"]["kernel"].is_string() && row["versions"]["relay"].is_string());
    // The target names HAProxy too, which took no part.
    assert_eq!(row["verdicts"][0]["verdict"].as_str(), Some("not measured"));
}
