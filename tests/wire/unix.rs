//! Unix sockets on both sides: tokens at once, large bodies whole, files of sockets, a hand-over.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Gateway, PATIENCE, Upstream, signal, sluicegate};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A folder of this test, removed when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("sluicegate-unix-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A gateway on this path, and on a port for the harness.
fn config(listen: &str, endpoint: &str, keys: &str) -> String {
    format!(
        "[server]\nlisten = [\"unix:{listen}\", \"127.0.0.1:0\"]\nworkers = 2\n\
         [limits]\nconnections = 100\n\
         [[upstream]]\nname = \"u\"\nendpoints = [\"{endpoint}\"]\nretry = \"off\"\n{keys}\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\n"
    )
}

fn connect(path: &str) -> UnixStream {
    let stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// Reads until this text stands at the end of what was read.
fn read_until(stream: &mut UnixStream, text: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(text.as_bytes()) {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => read.push(byte[0]),
            other => panic!("{other:?} behind {:?}", String::from_utf8_lossy(&read)),
        }
    }
    String::from_utf8(read).expect("text")
}

#[test]
fn a_token_passes_from_socket_to_socket_at_once() {
    let folder = Folder::new("token");
    let (front, back) = (folder.path("front"), folder.path("back"));
    let server = UnixListener::bind(&back).expect("a folder");
    let _gateway = Gateway::start(&config(&front, &format!("unix:{back}"), ""));
    let mode = std::fs::metadata(&front).expect("a socket").permissions().mode() & 0o777;
    assert_eq!(mode, 0o660);
    // Both workers accept from the one listener.
    for _ in 0..20 {
        let mut client = connect(&front);
        client.write_all(b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n").expect("it is there");
        let (mut upstream, _) = server.accept().expect("a connection");
        upstream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let request = read_until(&mut upstream, "\r\n\r\n");
        assert!(request.contains("Host: shop\r\n"), "{request}");
        assert!(!request.to_lowercase().contains("x-forwarded-for"), "{request}");
        upstream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            .expect("it is there");
        for number in 0..5 {
            let event = format!("data: {number}\n\n");
            upstream.write_all(event.as_bytes()).expect("it is there");
            // Nothing more is sent until it was seen.
            read_until(&mut client, &event);
        }
    }
}

/// Larger than any queue of a socket, so that both sides meet full queues and empty ones.
#[test]
fn large_bodies_pass_whole_both_ways() {
    const LENGTH: usize = 24 << 20;
    let folder = Folder::new("large");
    let (front, back) = (folder.path("front"), folder.path("back"));
    let server = UnixListener::bind(&back).expect("a folder");
    let _gateway = Gateway::start(&config(&front, &format!("unix:{back}"), ""));
    let body: Vec<u8> = (0..LENGTH).map(|index| (index % 251) as u8).collect();
    let sent = body.clone();
    let upstream = thread::spawn(move || {
        let (mut stream, _) = server.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        read_until(&mut stream, "\r\n\r\n");
        let mut got = vec![0; LENGTH];
        stream.read_exact(&mut got).expect("all of it");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it is there");
        stream.write_all(&got).expect("it is there");
        got
    });
    let mut client = connect(&front);
    let mut half = client.try_clone().expect("a socket");
    let writer = thread::spawn(move || {
        let head = format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n");
        half.write_all(head.as_bytes()).expect("it is there");
        half.write_all(&sent).expect("it is there");
    });
    read_until(&mut client, "\r\n\r\n");
    let mut answer = vec![0; LENGTH];
    client.read_exact(&mut answer).expect("all of it");
    assert!(answer == body, "as it was sent");
    writer.join().expect("it was written");
    assert!(upstream.join().expect("it was read") == body);
}

#[test]
fn a_server_that_is_not_there_is_told_and_comes_back() {
    let folder = Folder::new("gone");
    let (front, back) = (folder.path("front"), folder.path("back"));
    let keys = "host = \"endpoint\"\nhealth = { interval = \"100ms\", timeout = \"100ms\" }";
    let gateway = Gateway::start(&config(&front, &format!("unix:{back}"), keys));
    gateway.wait_for_log("is unwell");
    let mut client = connect(&front);
    client.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is there");
    let answer = read_until(&mut client, "}}");
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
    let server = UnixListener::bind(&back).expect("a folder");
    thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            thread::spawn(move || {
                loop {
                    let request = read_until(&mut stream, "\r\n\r\n");
                    assert!(request.contains("Host: localhost\r\n"), "{request}");
                    stream.write_all(OK.as_bytes()).expect("it is there");
                }
            });
        }
    });
    gateway.wait_for_log("is well");
    client.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is there");
    assert!(read_until(&mut client, "ok").contains("200 OK"));
}

#[test]
fn a_socket_left_behind_gives_way_and_one_that_is_served_does_not() {
    let folder = Folder::new("stale");
    let front = folder.path("front");
    let upstream = Upstream::serve(|mut peer| {
        while peer.next_request().is_some() {
            peer.send(OK);
        }
    });
    drop(UnixListener::bind(&front).expect("a folder"));
    let text = config(&front, &upstream.to_string(), "");
    let gateway = Gateway::start(&text);
    gateway.wait_for_log(&format!("listening on unix:{front}"));
    let mut client = connect(&front);
    client.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is there");
    assert!(read_until(&mut client, "ok").contains("200 OK"));
    let second = sluicegate(&["run", "--config", gateway.file().to_str().expect("UTF-8")]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(second.stderr.contains(&format!("cannot listen on unix:{front}")), "{second:?}");
}

#[test]
fn a_successor_takes_the_socket_over() {
    let folder = Folder::new("handover");
    let front = folder.path("front");
    let upstream = Upstream::serve(|mut peer| {
        while peer.next_request().is_some() {
            peer.send(OK);
        }
    });
    let gateway = Gateway::start(&config(&front, &upstream.to_string(), ""));
    let ask = || {
        let mut client = connect(&front);
        client.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is there");
        assert!(read_until(&mut client, "ok").contains("200 OK"));
    };
    ask();
    signal(&gateway, Signal::USR2);
    gateway.wait_for_log("handed over to process ");
    for _ in 0..20 {
        ask();
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_no_path_of_a_socket_is_refused() {
    let folder = Folder::new("refused");
    let file = folder.path("gate.toml");
    let long = format!("/{}", "a".repeat(120));
    for (listen, endpoint, part) in [
        ("run/x", "127.0.0.1:1", "whole path"),
        ("/tmp/", "127.0.0.1:1", "whole path"),
        (&long, "127.0.0.1:1", "at most 107"),
        ("/tmp/x", "unix:x", "whole path"),
        ("/tmp/x", "unix:/tmp/x", "forward to itself"),
        ("/tmp/x", "[100::1]:1", "100::/64"),
    ] {
        std::fs::write(&file, config(listen, endpoint, "")).expect("a file");
        let checked = sluicegate(&["check", "--config", &file]);
        assert_eq!(checked.status.code(), Some(1), "{listen} {endpoint}");
        assert!(checked.stderr.contains(part), "{listen} {endpoint}: {checked:?}");
    }
    std::fs::write(&file, config("/tmp/x", "unix:/tmp/y", "")).expect("a file");
    let checked = sluicegate(&["check", "--config", &file]);
    assert!(checked.stdout.contains("listen = [\"unix:/tmp/x\", \"127.0.0.1:0\"]"), "{checked:?}");
    assert!(checked.stdout.contains("address = \"unix:/tmp/y\""), "{checked:?}");
}
