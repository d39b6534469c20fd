//! `tests/run`: what it says when tests fail.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Plays cargo: of all but the unit tests and the documentation's one test of two targets fails, a third target
/// crashes, and so does the benchmark if `BENCH` says so.
const CARGO: &str = r#"#!/bin/sh
echo "$*" >>"$0.calls"
case "$*" in
*--no-run|*--lib|*--doc) exit 0 ;;
bench*) exit "$BENCH" ;;
esac
[ "$1" = test ] && [ "$TESTS" != 0 ] || exit 0
echo '     Running unittests src/lib.rs (target/debug/deps/sluicegate-1)' >&2
echo 'test http::sse::tests::a_stream ... ok'
echo '     Running tests/check.rs (target/debug/deps/check-1)' >&2
echo 'test a_file_is_read ... FAILED'
echo '     Running tests/wire/main.rs (target/debug/deps/wire-1)' >&2
echo 'test chain::the_next_is_asked ... FAILED'
echo 'error: 3 targets failed:' >&2
echo '    `--test check`' >&2
echo '    `--test wire`' >&2
echo '    `--test syscalls`' >&2
exit 101
"#;

#[test]
fn a_test_that_fails_hides_no_other() {
    use std::os::unix::fs::PermissionsExt;

    let folder = std::env::temp_dir().join(format!("sluicegate-run-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    let cargo = folder.join("cargo");
    fs::write(&cargo, CARGO).expect("a temporary file");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("a temporary file");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let run = |tests: &str, bench: &str| {
        let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run"))
            .arg("--installed")
            .envs([("PATH", &*path), ("TESTS", tests), ("BENCH", bench)])
            .output()
            .expect("bash runs it");
        let calls = cargo.with_extension("calls");
        let commands = fs::read_to_string(&calls).expect("cargo was called");
        fs::remove_file(&calls).expect("a temporary file");
        let commands: Vec<String> =
            commands.lines().filter_map(|it| Some(it.split_once(' ')?.0.to_owned())).collect();
        assert_eq!(
            commands,
            ["bench", "test", "test", "test", "bench"],
            "all of it runs, whatever fails"
        );
        let said = String::from_utf8(output.stdout).expect("text");
        let last = said.split("\n== ").last().unwrap_or_default().to_owned();
        (output.status.success(), last)
    };
    let (passed, last) = run("0", "0");
    assert!(passed && last.starts_with("All tests passed in "), "{last}");
    let (passed, last) = run("1", "1");
    let lines: Vec<&str> = last.lines().skip(1).map(str::trim).collect();
    assert!(!passed && last.starts_with("FAILED, after "), "{last}");
    assert_eq!(
        lines,
        [
            "tests/check.rs: a_file_is_read",
            "tests/wire/main.rs: chain::the_next_is_asked",
            "cargo test `--test check`",
            "cargo test `--test wire`",
            "cargo test `--test syscalls`",
            "instructions of the hot path: cargo bench --locked --bench instructions (exit status \
             1; see above)",
        ]
    );
    let _ = fs::remove_dir_all(folder);
}
