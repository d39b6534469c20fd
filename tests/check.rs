//! `sluicegate check` as its callers see it: exit codes, and what goes to which stream.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const GOOD: &str = r#"
[server]
listen = ["127.0.0.1:8080"]
[[upstream]]
name = "llama"
endpoints = ["127.0.0.1:8081"]
[[upstream]]
name = "spare"
endpoints = ["127.0.0.1:8082"]
[[route]]
path = "/inference"
upstream = "llama"
"#;

fn sluicegate(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary runs")
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.args(arguments);
    command
}

/// A file of this test run, removed when the test is over.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let name = format!("sluicegate-check-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).expect("the file is written");
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is UTF-8")
}

#[test]
fn a_good_file_is_printed_with_every_default_and_exit_0() {
    let file = File::new("good", GOOD);
    let output = sluicegate(&["check", "--config", file.path()]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    for line in ["listen = [\"127.0.0.1:8080\"]", "buffer_bytes = \"256MiB\"", "drain = \"10m\""] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    let expected =
        format!("warning: {}:7: upstream[1]: no route leads to upstream \"spare\"\n", file.path());
    // What the machine grants is told in notes, and is another matter.
    let told = text(&output.stderr).split_inclusive('\n');
    let told: String = told.filter(|line| !line.starts_with("note: limits.")).collect();
    assert_eq!(told, expected);

    let again = File::new("again", shown);
    let output = sluicegate(&["check", "--config", again.path()]);
    assert_eq!(
        text(&output.stdout),
        shown,
        "what is printed is a configuration that means the same"
    );
}

#[test]
fn a_bad_file_is_told_with_its_lines_and_exit_1() {
    let file = File::new("bad", &GOOD.replace("path =", "paht =").replace("\"llama\"\ne", "7\ne"));
    let output = sluicegate(&["check", "--config", file.path()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let path = file.path();
    let expected = format!(
        "error: {path}:5: upstream[0].name: must be a string, not a number\n\
         error: {path}:10: route[0].path: is required\n\
         error: {path}:11: route[0].paht: unknown key; did you mean \"path\"?\n\
         error: {path}:12: route[0].upstream: there is no upstream named \"llama\"\n\
         {path}: refused, 4 errors\n"
    );
    assert_eq!(text(&output.stderr), expected);
}

/// Control characters, and what turns the direction of a line, as TOML may write them.
const EVIL: &str = r"/\u001b[2J\u007f\u009b31m\u202e\u2066\u2028\r\nerror: all is well";

#[test]
fn what_acts_on_a_terminal_is_escaped() {
    let of_text = |c: &char| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        *c == '\n' || !c.is_control() && !turns
    };
    let whole = GOOD.replace("/inference", &EVIL.replace("\\n", ""));
    for (name, config, code) in [
        ("token", format!("{GOOD}[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{EVIL}\"\n"), 1),
        ("fallback", format!("{GOOD}fallback = {{ file = \"{EVIL}\" }}\n"), 1),
        ("name", GOOD.replace("\"llama\"\ne", &format!("\"{EVIL}\"\ne")), 1),
        ("key", format!("{GOOD}\"{EVIL}\" = 1\n"), 1),
        ("log", format!("{GOOD}[access_log]\nto = \"{EVIL}\"\n"), 0),
        ("raw", format!("{GOOD}\u{9b}31m\u{202e}\x1b[2J = 1\n"), 1),
        ("path", whole, 1),
    ] {
        let file = File::new(&format!("evil-\u{202e}\x1b[2J-{name}"), &config);
        let output = sluicegate(&["check", "--config", file.path()]);
        let said = [text(&output.stdout), text(&output.stderr)].concat();
        assert!(said.chars().all(|c| of_text(&c)), "{name}: {said:?}");
        assert!(!said.contains("\nerror: all is well"), "{name}: {said}");
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
    }
}

#[test]
fn no_file_is_an_error_and_not_a_default() {
    let output = sluicegate(&["check", "--config", "/nonexistent/gate.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "error: /nonexistent/gate.toml: there is no such file\n\
                    /nonexistent/gate.toml: refused, 1 error\n";
    assert_eq!(text(&output.stderr), expected);
    assert_eq!(sluicegate(&["check"]).status.code(), Some(2), "--config is required");
}

#[test]
fn a_named_file_that_has_no_end_is_not_waited_for() {
    let fifo = std::env::temp_dir().join(format!("sluicegate-check-{}.fifo", std::process::id()));
    let made = Command::new("mkfifo").arg(&fifo).status().expect("coreutils are here");
    assert!(made.success());
    let fallback = format!("fallback = {{ file = {:?} }}\n", fifo.to_str().expect("UTF-8"));
    let file = File::new("fifo", &format!("{GOOD}{fallback}"));
    let mut child = command(&["check", "--config", file.path()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let begun = std::time::Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if begun.elapsed().as_secs() >= 10 {
            let _ = child.kill();
            panic!("it waits for a writer");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    fs::remove_file(&fifo).expect("it was there");
    let output = child.wait_with_output().expect("it has ended");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(":13: route[0].fallback.file: "), "{output:?}");
    assert!(text(&output.stderr).contains("this is a FIFO, not a file"), "{output:?}");
}

#[test]
fn arguments_that_are_not_understood_exit_2() {
    for arguments in
        [&[][..], &["chek"], &["check", "--configuration", "x"], &["--log-level", "loud"]]
    {
        let output = sluicegate(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn every_command_has_help_and_a_version() {
    for command in [&[][..], &["check"]] {
        let output = sluicegate(&[command, &["--help"]].concat());
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("Exit codes:"), "{command:?}");
        let output = sluicegate(&[command, &["--version"]].concat());
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(env!("CARGO_PKG_VERSION")), "{command:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let file = File::new("pipe", GOOD);
    let mut child = command(&["check", "--config", file.path()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
}

/// 1 says that there is a difference, so that scripts can tell it from a store that is away.
#[test]
fn a_diff_that_could_not_be_made_is_no_difference() {
    let file = File::new("diff", GOOD);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = closed.local_addr().expect("it is bound").port();
    drop(closed);
    let store = format!("etcd://127.0.0.1:{port}/p");
    for path in [file.path(), "/nonexistent/gate.toml"] {
        let output = sluicegate(&["config", "diff", path, "--store", &store]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(!output.stderr.is_empty(), "{output:?}");
    }
    let pulled = sluicegate(&["config", "pull", "--store", &store]);
    assert_eq!(pulled.status.code(), Some(1), "{pulled:?}");
}

#[test]
fn a_certificate_is_for_names_that_a_client_can_ask_for() {
    let refused = sluicegate(&["cert", "--self-signed", "--name", "https://gate.internal:8443"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("did you mean \"gate.internal\"?"), "{refused:?}");
}

#[test]
fn an_explanation_has_no_marks_of_a_page() {
    let output = sluicegate(&["explain", "model_not_found"]);
    let told = text(&output.stdout);
    assert!(told.contains("docs/routing.md#by-model"), "{told}");
    assert!(!told.contains("](") && !told.contains("**"), "{told}");
}

#[test]
fn a_demo_with_tls_leaves_nothing_behind() {
    use std::io::{BufRead, BufReader, Read, Write};

    let folder = std::env::temp_dir().join(format!("sluicegate-check-demo-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    let any = "127.0.0.1:0";
    let mut demo =
        command(&["demo", "--tls", "--listen", any, "--mock-listen", any, "--admin-listen", any])
            .env("TMPDIR", &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
    let stdout = BufReader::new(demo.stdout.take().expect("a pipe"));
    let mut lines = stdout.lines().map_while(Result::ok);
    let dashboard = lines.find_map(|line| Some(line.strip_prefix("dashboard")?.trim().to_owned()));
    let dashboard = dashboard.expect("it has a dashboard");
    assert!(lines.any(|line| line.contains("--cacert")), "it says what to believe");
    let address = dashboard.trim_start_matches("http://").split('/').next().expect("an address");
    let mut state = std::net::TcpStream::connect(address).expect("it listens");
    let request = format!("GET /config/state HTTP/1.0\r\nHost: {address}\r\n\r\n");
    state.write_all(request.as_bytes()).expect("it listens");
    let mut told = String::new();
    state.read_to_string(&mut told).expect("text");
    assert!(told.contains("\"source\":\"sluicegate demo, made by the program\""), "{told}");
    assert!(!told.contains("1970-"), "{told}");
    let inside = || fs::read_dir(&folder).expect("a folder").count();
    assert_eq!(inside(), 1, "a folder with the certificate");
    let killed = Command::new("kill").arg(demo.id().to_string()).status().expect("coreutils");
    assert!(killed.success());
    assert_eq!(demo.wait().expect("it ends").code(), Some(0));
    assert_eq!(inside(), 0);
    fs::remove_dir(folder).expect("it is empty");
}

#[test]
fn an_upgrade_is_told_what_is_not_as_it_was() {
    let file = File::new("upgrade", &format!("{GOOD}[timeouts]\nttft = \"60s\"\n"));
    let output = sluicegate(&["check", "--config", file.path(), "--upgrade"]);
    assert_eq!(output.status.code(), Some(0));
    let (told, path) = (text(&output.stdout), file.path());
    let line = format!(
        "{path}:4: upstream[0].pool.connections: is not written, and since 2026-11-30 that means \
         what limits.connections says; to have it as before, write connections = 200\n"
    );
    assert!(told.contains(&line), "{told}");
    assert!(told.contains("timeouts.inter_event") && !told.contains("ttft"), "{told}");
    assert!(!told.contains("[server]"), "the configuration is not printed: {told}");
    let bad = File::new("upgrade-bad", &GOOD.replace("path =", "paht ="));
    let output = sluicegate(&["check", "--config", bad.path(), "--upgrade"]);
    assert_eq!(output.status.code(), Some(1), "what is refused stays refused");
}
