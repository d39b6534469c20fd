//! Endpoints that come and go while the gateway runs: told by a file that is watched.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::handover::says;
use crate::harness::{Gateway, PATIENCE, Upstream};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// A file that lists endpoints, removed in the end.
pub struct Roster(PathBuf);

impl Roster {
    pub fn new(name: &str) -> Roster {
        let name = format!("sluicegate-members-{}-{name}.json", std::process::id());
        let roster = Roster(std::env::temp_dir().join(name));
        roster.write("[]");
        roster
    }

    /// Writes it in place, as a careless writer does.
    pub fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("a temporary file");
    }

    pub fn list(&self, servers: &[SocketAddr]) {
        let servers: Vec<_> = servers.iter().map(|server| format!("\"{server}\"")).collect();
        self.write(&format!("[{}]", servers.join(", ")));
    }

    pub fn start(&self, discover: &str, more: &str) -> Gateway {
        Gateway::start(&self.config(discover, more))
    }

    fn config(&self, discover: &str, more: &str) -> String {
        format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[limits]\nconnections = 100\n\
             [[upstream]]\nname = \"llama\"\nbalance = \"round_robin\"\n{more}\n\
             discover = {{ file = {:?}, {discover} }}\n\
             [[route]]\npath = \"/*\"\nupstream = \"llama\"\n",
            self.0
        )
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Status and body of one answer.
pub fn ask(gateway: &Gateway) -> (u16, String) {
    let mut client = gateway.connect();
    client.send(GET);
    let answer = client.read_response();
    (answer.status(), answer.text().to_owned())
}

/// Until so many answers in a row come from these servers, each at least once.
pub fn expect_answers(gateway: &Gateway, bodies: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answers: Vec<_> = (0..bodies.len() * 8).map(|_| ask(gateway).1).collect();
        let only = answers.iter().all(|answer| bodies.contains(&answer.as_str()));
        if only && bodies.iter().all(|body| answers.iter().any(|answer| answer == body)) {
            return;
        }
        assert!(Instant::now() < deadline, "{answers:?}, not {bodies:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_file_tells_who_is_asked_and_what_is_no_list_changes_nothing() {
    let (one, two) = (says("one"), says("two"));
    let roster = Roster::new("changes");
    let gateway = roster.start("", "");
    assert_eq!(ask(&gateway).0, 503, "nobody is there yet");
    roster.list(&[one]);
    expect_answers(&gateway, &["one"]);
    drop(gateway);
    let gateway = roster.start("", "");
    assert_eq!(ask(&gateway), (200, "one".to_owned()), "it was asked for before it listened");
    roster.list(&[one]);
    expect_answers(&gateway, &["one"]);
    roster.list(&[one, two]);
    expect_answers(&gateway, &["one", "two"]);
    gateway.wait_for_log("llama: 2 endpoints are in force by file:");
    roster.write(&format!("[\"{two}\", \"127.0.0"));
    gateway.wait_for_log("the endpoints it has told are kept");
    expect_answers(&gateway, &["one", "two"]);
    roster.list(&[one, two]);
    gateway.wait_for_log("answers again");
    roster.list(&[two]);
    expect_answers(&gateway, &["two"]);
    // Two servers of one are no fewer; none of one is doubted, for good.
    roster.write("[]");
    gateway.wait_for_log("it is doubted, and 1 are kept");
    expect_answers(&gateway, &["two"]);
}

#[test]
fn a_stream_of_a_server_that_leaves_goes_on_to_its_end() {
    let (leaving, staying) = (Upstream::listen(), says("stays"));
    let roster = Roster::new("drains");
    roster.list(&[leaving.address()]);
    let gateway = roster.start("", "");
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = leaving.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    client.read_until("one\r\n");
    roster.list(&[staying]);
    gateway.expect_in_log("llama: set", 1);
    // Both workers read their mail.
    thread::sleep(Duration::from_millis(300));
    expect_answers(&gateway, &["stays"]);
    server.send("3\r\ntwo\r\n0\r\n\r\n");
    client.read_until("0\r\n\r\n");
    // Nobody will use that connection again.
    server.read_end();
}

/// What can be no endpoint is nobody: a set of nothing else is an empty one, and not a smaller one.
#[test]
fn members_that_are_no_endpoints_count_as_nobody_and_are_told_once() {
    let (one, two) = (says("one"), says("two"));
    let roster = Roster::new("junk");
    roster.list(&[one, two]);
    let gateway = roster.start("", "");
    expect_answers(&gateway, &["one", "two"]);
    // Somebody forgot the ports, and more.
    let junk = format!("\"127.0.0.1\", \"localhost\", \"{}\"", "[".repeat(5_000));
    roster.write(&format!("[{junk}]"));
    gateway.wait_for_log("tells 0 endpoints, far fewer than before: it is doubted, and 2 are kept");
    expect_answers(&gateway, &["one", "two"]);
    // A name that would end a head is none.
    let hostile = r#"evil\r\nX-Inj: 1"#;
    let hostile = format!("{{\"address\": \"{two}\", \"name\": \"{hostile}\"}}");
    roster.write(&format!("[\"{one}\", {junk}, {hostile}]"));
    gateway.wait_for_log("its name is no name of a host");
    expect_answers(&gateway, &["one"]);
    assert_eq!(gateway.count_in_log("\"localhost\" is no endpoint"), 1);
    let longest = gateway.log().iter().map(String::len).max();
    assert!(longest.is_some_and(|longest| longest < 1_000), "{longest:?}");
}

#[test]
fn an_endpoint_that_comes_and_goes_is_asked_again_when_its_pause_is_over() {
    let (one, two) = (says("one"), says("two"));
    let roster = Roster::new("flaps");
    roster.list(&[one, two]);
    let gateway = roster.start("shrink = 1.0", "");
    expect_answers(&gateway, &["one", "two"]);
    for _ in 0..2 {
        roster.list(&[one]);
        expect_answers(&gateway, &["one"]);
        roster.list(&[one, two]);
        // The second time it waits for a second, and nothing more is told.
        expect_answers(&gateway, &["one", "two"]);
    }
}

#[test]
fn another_source_takes_over_when_it_has_told_something() {
    let (one, two) = (says("one"), says("two"));
    let (before, after) = (Roster::new("before"), Roster::new("after"));
    before.list(&[one]);
    after.write("no list yet");
    let gateway = before.start("", "");
    expect_answers(&gateway, &["one"]);
    gateway.rewrite(&after.config("", ""));
    rustix::process::kill_process(gateway.pid(), rustix::process::Signal::HUP).expect("it runs");
    gateway.wait_for_log("generation 1 is in force");
    gateway.wait_for_log("the endpoints it has told are kept");
    expect_answers(&gateway, &["one"]);
    after.list(&[one, two]);
    expect_answers(&gateway, &["one", "two"]);
}
