//! What the process gives up before it serves anybody, as the kernel tells it: rights, system calls, files.
//!
//! Who becomes somebody else has to be root first: without root those tests say so, and end.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid};

use crate::handover::{hand_over, says};
use crate::harness::{Config, Gateway, PATIENCE, signal, sluicegate};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
/// A user that every Linux has and nobody is.
const NOBODY: &str = "65534";

/// A folder that everybody may look into, gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("sluicegate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        let folder = Folder(path);
        folder.mode("", 0o755);
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.at(name);
        std::fs::write(&path, text).expect("a temporary file");
        self.mode(name, mode);
        path
    }

    fn mode(&self, name: &str, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.at(name), mode).expect("it is ours");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A line of the status that the kernel tells of a process, or of one of its threads.
fn line(status: &Path, name: &str) -> String {
    let status = std::fs::read_to_string(status).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn status(process: Pid, name: &str) -> String {
    line(Path::new(&format!("/proc/{}/status", process.as_raw_nonzero())), name)
}

/// Asserts that every thread says the same.
fn every_thread(process: Pid, name: &str, expected: &str) {
    let threads = std::fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    let threads: Vec<_> = threads.expect("a running process").flatten().collect();
    assert!(threads.len() > 3, "{} threads", threads.len());
    for thread in threads {
        let comm = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        assert_eq!(line(&thread.path().join("status"), name), expected, "{name} of {comm}");
    }
}

fn answer(gateway: &Gateway) -> String {
    let mut client = gateway.connect();
    client.send(GET);
    client.read_response().text().to_owned()
}

fn config(upstream: SocketAddr, process: &str) -> Config {
    Config { more: format!("[process]\n{process}\n"), ..Config::to(upstream) }
}

/// The process that the log says it is.
fn root_or_skip() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("not tested: only root can become somebody else");
    }
    root
}

#[test]
fn by_default_rights_and_system_calls_are_given_up_and_a_successor_adds_nothing() {
    let gateway = Gateway::to(says("fine"));
    gateway.wait_for_log("no_new_privs: on; seccomp: 6");
    gateway.wait_for_log("landlock: off; core dumps: off");
    let mut process = gateway.pid();
    for _ in 0..3 {
        every_thread(process, "NoNewPrivs:", "1");
        every_thread(process, "Seccomp:", "2");
        every_thread(process, "Seccomp_filters:", "2");
        let limits = format!("/proc/{}/limits", process.as_raw_nonzero());
        let limits = line(Path::new(&limits), "Max core file size");
        assert!(limits.starts_with("0 "), "{limits}");
        if geteuid().is_root() {
            // Files of a process that may not be looked at belong to root; to prove it needs another owner.
            assert_eq!(status(process, "Uid:").split(' ').next(), Some("0"));
        }
        assert_eq!(answer(&gateway), "fine");
        process = hand_over(&gateway);
    }
    signal(&gateway, Signal::HUP);
}

#[test]
fn each_can_be_switched_off_and_a_reload_changes_none() {
    let upstream = says("fine");
    let off = config(upstream, "no_new_privs = false\ncore_dumps = true");
    let gateway = off.start();
    gateway.wait_for_log("no_new_privs: off; seccomp: off; landlock: off; core dumps: on");
    // What started us may have given these up before.
    let ours = rustix::process::getpid();
    for name in ["NoNewPrivs:", "Seccomp:"] {
        assert_eq!(status(gateway.pid(), name), status(ours, name), "{name}");
    }
    let limits = format!("/proc/{}/limits", gateway.pid().as_raw_nonzero());
    let limits = line(Path::new(&limits), "Max core file size");
    let (soft, hard) = limits.split_once(' ').expect("two limits");
    assert_eq!(Some(soft), hard.split(' ').next(), "all of what it may have");

    gateway.rewrite(&config(upstream, "no_new_privs = true\ncore_dumps = false").text());
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("process.no_new_privs: cannot change while the gateway runs");
    gateway.wait_for_log("process.core_dumps: cannot change while the gateway runs");
    gateway.wait_for_log("refused; generation 0 stays");
}

#[test]
fn a_program_that_is_started_has_what_the_configuration_says() {
    let script = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t'; unshare --user true; echo over; exec sleep 9";
    let wake = format!("wake = {{ command = [\"sh\", \"-c\", {script:?}], timeout = \"20s\" }}");
    for (process, expected, namespace) in [
        // `sudo` and `podman` are programs that start servers.
        ("", ["NoNewPrivs:0", "Seccomp:0"], true),
        ("seccomp = true", ["NoNewPrivs:1", "Seccomp:2"], false),
        ("no_new_privs = true", ["NoNewPrivs:1", "Seccomp:0"], true),
    ] {
        let mut config = config(([127, 0, 0, 1], 9).into(), process);
        config.upstream = format!("retry = {{}}\n{wake}");
        let gateway = config.start();
        let mut client = gateway.connect();
        client.send(GET);
        gateway.wait_for_log("| over");
        let ours = status(rustix::process::getpid(), "Seccomp:");
        if ours == "0" {
            for line in expected {
                gateway.wait_for_log(&format!("| {line}"));
            }
        }
        let denied = gateway.log().iter().any(|line| line.contains("Operation not permitted"));
        assert!(denied || namespace, "{process}: {:#?}", gateway.log());
        if geteuid().is_root() {
            assert_eq!(denied, !namespace, "{process}: {:#?}", gateway.log());
        }
    }
}

/// This binary where everybody may start it.
fn program(folder: &Folder) -> PathBuf {
    let program = folder.at("sluicegate");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_sluicegate"), &program).expect("a copy");
        folder.mode("sluicegate", 0o755);
    }
    program
}

/// A gateway that is started as this program.
fn start(folder: &Folder, config: &str) -> Gateway {
    Gateway::start_with(config, |command| *command = called(command, &program(folder)))
}

/// The same command with another program.
fn called(command: &Command, program: &Path) -> Command {
    let mut other = Command::new(program);
    other.args(command.get_args());
    other.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    other
}

#[test]
fn root_becomes_the_user_before_it_serves_and_goes_on_as_that() {
    if !root_or_skip() {
        return;
    }
    let folder = Folder::new("process-user");
    let (logs, log) = (folder.at("logs"), folder.at("logs/access.log"));
    std::fs::create_dir(&logs).expect("a folder");
    std::os::unix::fs::chown(&logs, Some(65_534), Some(65_534)).expect("we are root");
    let socket = folder.at("gate.sock");
    let key = folder.write("keys.toml", "", 0o600);
    let text = |process: &str, keys: &str, body| {
        let mut config = config(says(body), process);
        config.more += &format!("[access_log]\nto = {log:?}\n[gate]\nkeys = \"off\"\n{keys}");
        let listen = format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]", socket.display());
        config.text().replace("listen = [\"127.0.0.1:0\"]", &listen)
    };
    let user = format!("user = \"{NOBODY}\"\ngroup = \"{NOBODY}\"");
    let keys = format!("keys_file = {key:?}\n");
    let gateway = start(&folder, &text(&user, &keys, "first"));
    gateway.wait_for_log("process: user 65534 (uid 65534, gid 65534); no_new_privs: on");
    let warned = "can be no more: Permission denied";
    assert!(gateway.wait_for_log(warned).contains("keys.toml"));
    let all = [NOBODY; 4].join(" ");
    let mut process = gateway.pid();
    for body in ["first", "second", "third"] {
        every_thread(process, "Uid:", &all);
        every_thread(process, "Gid:", &all);
        every_thread(process, "Groups:", "");
        every_thread(process, "CapEff:", "0000000000000000");
        // For a moment after a hand-over the predecessor may still accept.
        let deadline = Instant::now() + PATIENCE;
        while answer(&gateway) != body {
            assert!(Instant::now() < deadline, "{body} is never said");
        }
        for path in [&log, &socket] {
            assert_eq!(path.metadata().expect("it was made").uid(), 65_534, "{}", path.display());
        }
        // What it cannot be told to hide: a process of the same user reads nothing of it.
        let memory = format!("/proc/{}/mem", process.as_raw_nonzero());
        let owner = std::fs::metadata(memory).expect("a running process").uid();
        assert_eq!(owner, 0, "the files of who may not be looked at are root's");
        match body {
            // The keys file is one that the user cannot read.
            "first" => {
                signal(&gateway, Signal::HUP);
                gateway.wait_for_log("refused; generation 0 stays");
                gateway.rewrite(&text(&user, "", "second"));
                signal(&gateway, Signal::HUP);
                gateway.wait_for_log("generation 1 is in force");
            }
            "second" => {
                gateway.rewrite(&text(&user, "", "third"));
                process = hand_over(&gateway);
            }
            _ => {}
        }
    }
}

#[test]
fn who_it_cannot_become_is_told_and_nothing_is_served() {
    let folder = Folder::new("process-refused");
    let upstream = ([127, 0, 0, 1], 9).into();
    let run = |user: &str, change: fn(&mut Command)| {
        let text = config(upstream, user).text();
        let file = folder.write("gate.toml", &text, 0o644);
        let mut command = Command::new(program(&folder));
        command.args(["run", "--config"]).arg(file).stdin(Stdio::null());
        change(&mut command);
        let output = command.output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = run("user = \"no-such-user\"", |_| {});
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("there is no user \"no-such-user\" on this machine"), "{told}");
    assert!(!told.contains("listening on"), "{told}");
    if root_or_skip() {
        let (code, told) = run("user = \"daemon\"", |command| {
            command.uid(65_534);
        });
        assert_eq!(code, Some(1), "{told}");
        assert!(
            told.contains("only root can become somebody else, and this is uid 65534"),
            "{told}"
        );
    }
    for (process, reason) in [
        ("user = \"root\"", "process.user: is root, which gives nothing up"),
        ("group = \"daemon\"", "process.group: needs process.user"),
        ("no_new_privs = false\nseccomp = true", "process.seccomp: needs no_new_privs"),
        ("no_new_privs = false\nlandlock = true", "process.landlock: needs no_new_privs"),
        ("user = \"a b\"", "process.user: must be a name, or a number in quotes"),
    ] {
        let (code, told) = run(process, |_| {});
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(reason), "{process}: {told}");
    }
}

#[test]
fn check_foresees_what_the_user_cannot_read() {
    if !root_or_skip() {
        return;
    }
    let folder = Folder::new("process-check");
    let secret = folder.write("keys.toml", "", 0o600);
    let open = folder.write("open.toml", "", 0o644);
    for (user, keys, expected) in [
        ("nobody", &secret, "keys.toml cannot be read by user nobody (uid "),
        ("nobody", &open, ""),
        ("no-such-user", &open, "there is no user \"no-such-user\""),
    ] {
        let mut config = config(([127, 0, 0, 1], 9).into(), &format!("user = \"{user}\""));
        config.more += &format!("[gate]\nkeys = \"off\"\nkeys_file = {keys:?}\n");
        let file = folder.write("gate.toml", &config.text(), 0o644);
        let output = sluicegate(&["check", "--config", file.to_str().expect("a path")]);
        let told = output.stderr;
        assert!(output.status.success(), "{told}");
        match expected {
            "" => assert!(!told.contains("warning: "), "{told}"),
            expected => assert!(told.contains(expected), "{told}"),
        }
    }
}

#[test]
fn files_that_the_configuration_does_not_name_stay_shut() {
    // The configuration is in the folder of temporary files, and so that is open, with all below it.
    let inside = Folder::new("landlock");
    let outside = Path::new(env!("CARGO_TARGET_TMPDIR")).join("landlock-keys.toml");
    std::fs::write(&outside, "").expect("cargo has made the folder");
    let programs = Folder::new("landlock-program");
    let text = |keys: &Path, body| {
        let mut config = config(says(body), "landlock = true");
        config.more += &format!("[access_log]\nto = {:?}\n", inside.at("access.log"));
        config.more += &format!("[gate]\nkeys = \"off\"\nkeys_file = {keys:?}\n");
        config.text()
    };
    inside.write("keys.toml", "", 0o644);
    inside.write("other.toml", "", 0o644);
    let gateway = start(&programs, &text(&inside.at("keys.toml"), "first"));
    if gateway.log().iter().any(|line| line.contains("landlock is not in force")) {
        return eprintln!("not tested: this kernel has no Landlock");
    }
    gateway.wait_for_log("landlock: the files of the configuration");
    assert_eq!(answer(&gateway), "first");
    gateway.rewrite(&text(&outside, "second"));
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("refused; generation 0 stays");
    assert!(gateway.wait_for_log("landlock-keys.toml").contains("denied"), "{:#?}", gateway.log());
    gateway.rewrite(&text(&inside.at("other.toml"), "third"));
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    assert_eq!(answer(&gateway), "third");
    // What is renamed away is opened anew.
    std::fs::rename(inside.at("access.log"), inside.at("access.log.1")).expect("it is there");
    signal(&gateway, Signal::USR1);
    let made = || inside.at("access.log").metadata().is_ok_and(|file| file.len() > 0);
    let deadline = Instant::now() + PATIENCE;
    while !made() {
        answer(&gateway);
        assert!(Instant::now() < deadline, "{:#?}", gateway.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut layers = 0;
    for _ in 0..2 {
        hand_over(&gateway);
        assert_eq!(answer(&gateway), "third");
        layers += 1;
    }
    gateway.expect_in_log("landlock: the files of the configuration", 1 + layers);
}
