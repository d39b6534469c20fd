//! A FIFO or a device where a file was meant.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;

use crate::harness::{Config, Gateway, PATIENCE, Upstream, signal, sluicegate};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// A folder of its own, removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-files-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("coreutils");
    assert!(made.success());
}

fn serves(gateway: &Gateway) {
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.read_response().status(), 200);
}

fn friendly() -> Config {
    Config::to(Upstream::serve(|mut peer| {
        while peer.next_request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }))
}

#[test]
fn a_recording_without_an_end_is_refused() {
    let folder = Folder::new();
    let fifo = folder.0.join("fifo");
    make_fifo(&fifo);
    for (path, kind) in [("/dev/zero", "a device"), (fifo.to_str().expect("UTF-8"), "a FIFO")] {
        let mock = sluicegate(&["mock", "--listen", "127.0.0.1:0", "--replay", path]);
        assert_eq!(mock.status.code(), Some(1));
        assert!(mock.stderr.contains(&format!("{path}: this is {kind}, not a file")), "{mock:#?}");
    }
}

#[test]
fn a_log_that_is_a_fifo_is_refused_at_the_start() {
    let folder = Folder::new();
    let fifo = folder.0.join("fifo");
    make_fifo(&fifo);
    let config = folder.0.join("gate.toml");
    let log = format!("[access_log]\nto = {:?}\n", fifo);
    std::fs::write(&config, format!("{}{log}", friendly().text())).expect("written");
    let run = sluicegate(&["run", "--config", config.to_str().expect("UTF-8")]);
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stderr.contains("access log: this is a FIFO, not a file"), "{run:#?}");
}

#[test]
fn a_log_that_becomes_a_fifo_goes_on_where_it_was() {
    let folder = Folder::new();
    let log = folder.0.join("access.log");
    let config = Config { more: format!("[access_log]\nto = {log:?}\n"), ..friendly() };
    let mut gateway = config.start();
    serves(&gateway);
    let moved = folder.0.join("access.log.1");
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    let deadline = std::time::Instant::now() + PATIENCE;
    while lines(&log) < 1 && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    std::fs::rename(&log, &moved).expect("it is there");
    make_fifo(&log);
    signal(&gateway, Signal::USR1);
    gateway.wait_for_log("cannot be opened again: this is a FIFO, not a file");
    serves(&gateway);
    gateway.terminate();
    assert_eq!(gateway.wait_exit(PATIENCE).and_then(|status| status.code()), Some(0));
    assert_eq!(lines(&moved), 2, "nothing is lost");
}

#[test]
fn a_configuration_that_becomes_a_fifo_is_refused_and_holds_nothing_up() {
    let mut gateway = friendly().start();
    std::fs::remove_file(gateway.file()).expect("it is there");
    make_fifo(gateway.file());
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("this is a FIFO");
    gateway.wait_for_log("refused; generation 0 stays");
    serves(&gateway);
    gateway.terminate();
    assert_eq!(gateway.wait_exit(PATIENCE).and_then(|status| status.code()), Some(0));
}
