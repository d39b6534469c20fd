//! What an address to listen on takes.

use std::net::{SocketAddr, TcpListener};

use crate::harness::{Config, Gateway, Peer, Upstream, sluicegate};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn everywhere_is_both_families_whatever_the_system_says() {
    if TcpListener::bind("[::]:0").is_err() {
        return eprintln!("SKIPPED: this machine has no IPv6");
    }
    let upstream = Upstream::listen();
    let text = Config::to(upstream.address()).text();
    let gateway = Gateway::start(&text.replace("\"127.0.0.1:0\"", "\"[::]:0\""));
    let port = gateway.address().port();
    for (host, told) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        if host == "[::1]" && TcpListener::bind("[::1]:0").is_err() {
            eprintln!("SKIPPED: the half about ::1, which this machine does not have");
            continue;
        }
        let address: SocketAddr = format!("{host}:{port}").parse().expect("an address");
        let mut client = Peer::connect(address);
        client.send(GET);
        let mut server = upstream.accept();
        let request = server.read_request();
        assert_eq!(request.field("x-forwarded-for"), Some(told), "as what it is");
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        assert_eq!(client.read_response().text(), "ok");
    }
}

#[test]
fn check_says_what_everywhere_takes() {
    let config = Config::to(([10, 0, 0, 1], 1).into()).text();
    for (listen, said) in [
        ("\"[::]:8080\"", "# [::]:8080: IPv6 and IPv4\n"),
        ("\"[::]:8080\", \"0.0.0.0:8080\"", "# [::]:8080: IPv6 only\n"),
        ("\"[::]:8080\", \"127.0.0.1:8080\"", "# [::]:8080: IPv6 only\n"),
        ("\"[::]:8080\", \"0.0.0.0:8081\"", "# [::]:8080: IPv6 and IPv4\n"),
    ] {
        let name = format!("sluicegate-listen-{}.toml", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, config.replace("\"127.0.0.1:0\"", listen)).expect("written");
        let checked = sluicegate(&["check", "--config", file.to_str().expect("UTF-8")]);
        std::fs::remove_file(&file).expect("it was there");
        assert!(checked.stdout.contains(said), "{listen}: {checked:#?}");
    }
}
