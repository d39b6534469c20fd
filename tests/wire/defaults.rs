//! What is not configured: it fits the machine, and what people expect of one server or a few.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::harness::{Gateway, PATIENCE, Peer, Upstream};

const ASK: &str = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                   Content-Length: 15\r\n\r\n{\"stream\":true}";
const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const TOKEN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
/// Longer than the minute after which other gateways give up.
const LONG: Duration = Duration::from_secs(62);

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A configuration that says what has to be said, and one worker.
fn bare(upstream: SocketAddr) -> String {
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n\
         [[upstream]]\nname = \"u\"\nendpoints = [\"{upstream}\"]\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\n"
    )
}

/// A server that gives every request a token, and nothing more.
fn begins() -> SocketAddr {
    Upstream::serve(|mut peer| {
        while peer.next_request().is_some() {
            peer.send(format!("{HEAD}{}", chunk(TOKEN)));
        }
    })
}

/// Holds so many streams at once, each with its first token.
fn hold(gateway: &Gateway, count: usize) -> Vec<Peer> {
    let mut clients: Vec<Peer> = (0..count).map(|_| gateway.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(ASK));
    for client in &mut clients {
        let head = client.read_until("\r\n\r\n");
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", client.transcript());
        client.read_until("\n\n");
    }
    clients
}

/// Whether this user can take back what a limit has taken away (CAP_SYS_RESOURCE).
fn is_mighty() -> bool {
    let mut command = Command::new("sh");
    let status = command.args(["-c", "ulimit -n 300 && ulimit -Hn 400"]).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn with_few_descriptors_it_starts_and_holds_as_many_streams_as_it_says() {
    let server = begins();
    let gateway = Gateway::start_with(&bare(server), |command| {
        let shell = "ulimit -n 300; exec \"$0\" \"$@\"";
        let mut limited = Command::new("sh");
        limited.args(["-c", shell]).arg(command.get_program()).args(command.get_args());
        limited.stdin(std::process::Stdio::null());
        limited.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        *command = limited;
    });
    if is_mighty() {
        // It has raised the limit, so nothing had to shrink.
        assert_eq!(gateway.count_in_log("limits.connections is"), 0);
        hold(&gateway, 120);
        return;
    }
    gateway.wait_for_log(
        "limits.connections is 108 for each worker, not 10000: the process may have 300 descriptors",
    );
    hold(&gateway, 108);
}

/// 200 at once and 256 in a queue were the end of it: the 457th was told 429.
#[test]
fn by_default_it_holds_a_stream_for_every_client() {
    let gateway = Gateway::start(&bare(begins()));
    hold(&gateway, 500);
}

/// A laptop that loads its model, and a server that holds a call of a tool back.
#[test]
fn a_silent_minute_ends_no_stream() {
    let server = Upstream::serve(|mut peer| {
        let Some(request) = peer.next_request() else { return };
        let slow_first = request.start.contains("slow");
        if slow_first {
            thread::sleep(LONG);
        }
        peer.send(format!("{HEAD}{}", chunk(TOKEN)));
        if !slow_first {
            thread::sleep(LONG);
        }
        peer.send(format!("{}0\r\n\r\n", chunk(DONE)));
        peer.receive(PATIENCE);
    });
    let gateway = Gateway::start(&bare(server));
    let slow = ASK.replace("/completions ", "/completions?slow ");
    let clients = [ASK, &slow].map(|request| {
        let mut client = gateway.connect();
        client.send(request);
        thread::spawn(move || {
            while !client.transcript().contains("[DONE]") && !client.has_ended() {
                client.receive(LONG + PATIENCE);
            }
            assert!(client.received().starts_with(b"HTTP/1.1 200"), "{}", client.transcript());
        })
    });
    for client in clients {
        client.join().expect("its stream is whole");
    }
}

/// The pooled connection is dead when a chat with a few pictures comes: it is sent again.
#[test]
fn a_request_with_pictures_survives_a_stale_connection() {
    const LENGTH: usize = 12 << 20;
    let upstream = Upstream::listen();
    let gateway = Gateway::start(&bare(upstream.address()));
    let mut client = gateway.connect();
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut first = upstream.accept();
    first.read_request();
    first.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.read_response();
    let head = format!("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n");
    let sender = thread::spawn(move || {
        client.send(head);
        client.send(vec![b'p'; LENGTH]);
        client
    });
    // It takes all of it, and dies without a word.
    first.read_request();
    drop(first);
    let mut second = upstream.accept();
    assert_eq!(second.read_request().body.len(), LENGTH);
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut client = sender.join().expect("it sends");
    assert_eq!(client.read_response().status(), 200);
}
