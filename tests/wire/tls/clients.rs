//! What clients see: versions, names, tickets, certificates of their own, and the end of a body.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::{Authority, LAST, Sealed, python_reads, s_client};
use crate::harness::{Config, Peer, Upstream, run};
use crate::reload::streams;

/// A server that answers every request with what it was asked.
fn echo() -> std::net::SocketAddr {
    Upstream::serve(|mut peer| {
        while let Some(request) = peer.next_request() {
            let told = request.field("x-forwarded-proto").unwrap_or("none").to_owned();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len()));
        }
    })
}

#[test]
fn curl_is_answered_in_both_versions_and_the_server_told_of_https() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let sealed = Sealed::start(&Config::to(echo()), &format!("certificates = [{}]", own.entry()));
    for version in ["1.2", "1.3"] {
        let flags = ["--tls-max", version, &format!("--tlsv{version}"), "-w", " %{http_version}"];
        let answer = sealed.curl(&authority, &[&flags[..], &[&sealed.url("/a")]].concat());
        assert_eq!(answer.as_deref(), Ok("https 1.1"), "{version}");
    }
    // Whoever does not know the authority does not believe.
    let stranger = Authority::new();
    let refused = sealed.curl(&stranger, &[&sealed.url("/a")]).expect_err("not believed");
    assert!(refused.contains("certificate"), "{refused}");
    // The plain port goes on as ever.
    let mut client = sealed.gateway.connect();
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_response().text(), "http");
    let strict = format!("certificates = [{}]\nmin_version = \"1.3\"", own.entry());
    let strict = Sealed::start(&Config::to(echo()), &strict);
    let old = strict.curl(&authority, &["--tls-max", "1.2", &strict.url("/a")]);
    assert!(old.is_err_and(|error| error.contains("alert")), "1.2 is refused");
}

#[test]
fn the_certificate_is_the_one_for_the_name_that_is_asked_for() {
    let authority = Authority::new();
    let names = [&["a.test", "localhost"][..], &["*.b.test"], &["x.b.test"]];
    let pairs = names.map(|names| authority.issue(names).entry());
    let sealed =
        Sealed::start(&Config::to(echo()), &format!("certificates = [{}]", pairs.join(", ")));
    for (name, subject) in [
        (Some("a.test"), "CN = a.test"),
        (Some("y.b.test"), "CN = *.b.test"),
        (Some("x.b.test"), "CN = x.b.test"),
        (Some("unknown.test"), "CN = a.test"),
        (None, "CN = a.test"),
    ] {
        let flags = match name {
            Some(name) => vec!["-servername", name, "-alpn", "h2,http/1.1"],
            None => vec!["-noservername", "-alpn", "h2,http/1.1"],
        };
        let said = s_client(sealed.port, &flags, LAST);
        assert!(said.contains(&format!("subject={subject}\n")), "{name:?}: {said}");
        assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
    }
    let said = s_client(sealed.port, &["-alpn", "h2"], LAST);
    assert!(said.contains("alert"), "a client without HTTP/1.1 is sent away: {said}");
}

#[test]
fn sessions_are_resumed_with_any_worker_and_end_with_a_farewell() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let text = Sealed::text(&Config::to(echo()), &format!("certificates = [{}]", own.entry()));
    let sealed =
        Sealed::of(crate::harness::Gateway::start(&text.replace("workers = 1", "workers = 2")));
    for version in ["-tls1_2", "-tls1_3"] {
        let file = authority.write(&format!("session{version}"), "");
        let file = file.to_str().expect("a path");
        let first = s_client(sealed.port, &[version, "-sess_out", file], LAST);
        assert!(first.contains("New, TLSv1"), "{version}: {first}");
        assert!(!first.contains("unexpected eof"), "{version}: {first}");
        for _ in 0..6 {
            // Workers are chosen by the kernel: six connections meet both.
            let again = s_client(sealed.port, &[version, "-sess_in", file], LAST);
            assert!(again.contains("Reused, TLSv1"), "{version}: {again}");
        }
    }
    let off = format!("certificates = [{}]\ntickets = false", own.entry());
    let off = Sealed::start(&Config::to(echo()), &off);
    let said = s_client(off.port, &["-tls1_2"], LAST);
    assert!(!said.contains("TLS session ticket:"), "{said}");
}

#[test]
fn every_token_is_at_a_python_client_when_it_was_sent() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let sealed =
        Sealed::start(&Config::to(streams(20)), &format!("certificates = [{}]", own.entry()));
    let lines = python_reads(&sealed, &authority, "1.1");
    assert_eq!(lines.len(), 21, "{lines:?}");
    assert_eq!(lines[20], "end: close_notify");
    for (number, line) in lines[..20].iter().enumerate() {
        let (came, event) = line.split_once(' ').expect("a time");
        assert_eq!(event, format!("{number}."));
        let (came, due) = (came.parse::<i64>().expect("a time"), 20_000 * number as i64);
        // One that was held for the next would be 20 ms late.
        assert!((came - due).abs() < 15_000 || came - due < 60_000 && number > 0, "{lines:?}");
    }
}

#[test]
fn a_body_that_is_cut_ends_without_a_farewell() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    // A client of HTTP/1.0 gets a body that ends with its connection.
    for (reset, end) in [(false, "end: close_notify"), (true, "end: cut")] {
        let upstream = Upstream::serve(move |mut peer| {
            peer.read_request();
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            peer.send("a\r\ndata: 0.\n\n\r\n");
            thread::sleep(Duration::from_millis(50));
            if reset {
                return peer.reset();
            }
            peer.send("0\r\n\r\n");
        });
        let tls = format!("certificates = [{}]", own.entry());
        let sealed = Sealed::start(&Config::to(upstream), &tls);
        assert_eq!(python_reads(&sealed, &authority, "1.0"), ["0 0.", end]);
    }
}

#[test]
fn a_client_is_known_by_its_certificate() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let own = authority.issue(&["localhost"]);
    let alice = clients.issue(&["alice"]);
    let mallory = Authority::new().issue(&["mallory"]);
    let tls = |auth: &str| {
        format!(
            "certificates = [{}]\nclient_ca = {:?}\nclient_auth = \"{auth}\"",
            own.entry(),
            clients.ca
        )
    };
    let flags = |pair: &super::Pair| {
        let path = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
        [String::from("--cert"), path(&pair.certificate), String::from("--key"), path(&pair.key)]
    };
    for auth in ["required", "optional"] {
        let sealed = Sealed::start_logging(&Config::to(echo()), &tls(auth));
        let ask = |flags: &[String]| {
            let mut arguments: Vec<&str> = flags.iter().map(String::as_str).collect();
            let url = sealed.url("/a");
            arguments.push(&url);
            sealed.curl(&authority, &arguments)
        };
        assert_eq!(ask(&flags(&alice)).as_deref(), Ok("https"), "{auth}");
        sealed.gateway.wait_for_log("\"client_certificate\":\"alice\"");
        assert!(ask(&flags(&mallory)).is_err(), "{auth}");
        assert_eq!(ask(&[]).is_ok(), auth == "optional", "{auth}");
    }
}

#[test]
fn whoever_takes_the_wrong_port_is_told() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let sealed = Sealed::start(&Config::to(echo()), &format!("certificates = [{}]", own.entry()));
    let stream = TcpStream::connect(("127.0.0.1", sealed.port)).expect("it listens");
    let mut client = Peer::of(stream);
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.read_response();
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (400, &"tls_required".into()));
    let plain = sealed.gateway.address().port();
    let said = s_client(plain, &[], LAST);
    assert!(said.contains("wrong version number") || said.contains("packet length"), "{said}");
    sealed.gateway.wait_for_log("tls_on_plain_port");
}

#[test]
fn who_does_not_go_on_with_a_handshake_gives_way() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let config = Config { limits: "handshakes = 2".into(), ..Config::to(echo()) };
    let sealed = Sealed::start(&config, &format!("certificates = [{}]", own.entry()));
    let silent: Vec<TcpStream> = (0..2)
        .map(|_| TcpStream::connect(("127.0.0.1", sealed.port)).expect("it listens"))
        .collect();
    thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    // Plain clients do not wait for them.
    let mut client = sealed.gateway.connect();
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_response().text(), "http");
    let plain = began.elapsed();
    let answer = sealed.curl(&authority, &[&sealed.url("/a")]);
    let waited = began.elapsed();
    assert_eq!(answer.as_deref(), Ok("https"));
    assert!(
        plain < Duration::from_millis(500) && waited > Duration::from_millis(500),
        "{waited:?}"
    );
    assert!(waited < Duration::from_secs(8), "{waited:?}");
    drop(silent);
}

#[test]
fn a_certificate_for_trying_is_made_with_safe_permissions() {
    use std::os::unix::fs::PermissionsExt;

    let authority = Authority::new();
    let path = |name: &str| authority.ca.with_file_name(name);
    let (certificate, key) = (path("made.pem"), path("made.key"));
    let command = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        command.args(["cert", "--self-signed", "--certificate"]).arg(&certificate);
        command.arg("--key").arg(&key);
        run(&mut command)
    };
    let made = command();
    assert!(made.status.success(), "{}", made.stderr);
    let mode = std::fs::metadata(&key).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let pair = super::Pair { certificate: certificate.clone(), key: key.clone() };
    let sealed = Sealed::start(&Config::to(echo()), &format!("certificates = [{}]", pair.entry()));
    let own = certificate.to_str().expect("a path");
    let answer = sealed.curl(&authority, &["--cacert", own, &sealed.url("/a")]);
    assert_eq!(answer.as_deref(), Ok("https"));
    let again = command();
    assert!(!again.status.success() && again.stderr.contains("exists"), "{}", again.stderr);
}

/// Something in front of the gateway that says whose connections it brings, in two pieces. Its port.
fn balancer(gateway: u16, preamble: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut server = TcpStream::connect(("127.0.0.1", gateway)).expect("it listens");
            let (first, rest) = preamble.split_at(preamble.len() / 2);
            if server.write_all(first).is_err() {
                continue;
            }
            thread::sleep(Duration::from_millis(20));
            let _ = server.write_all(rest);
            let (mut up, mut down) =
                (client.try_clone().expect("a clone"), server.try_clone().expect("a clone"));
            thread::spawn(move || std::io::copy(&mut up, &mut server));
            thread::spawn(move || std::io::copy(&mut down, &mut client));
        }
    });
    port
}

#[test]
fn a_balancer_says_whose_handshake_follows() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let upstream = Upstream::serve(|mut peer| {
        while let Some(request) = peer.next_request() {
            let told = request.all("x-forwarded-for").join(",");
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len()));
        }
    });
    let gate = "[gate]\nproxy_protocol = [\"127.0.0.1\"]\ndeny = [\"203.0.113.9\"]";
    let config = Config { more: gate.into(), ..Config::to(upstream) };
    let sealed = Sealed::start(&config, &format!("certificates = [{}]", own.entry()));
    let through = |preamble: &'static [u8]| {
        let port = balancer(sealed.port, preamble);
        let url = format!("https://localhost:{port}/a");
        let ca = authority.ca.to_str().expect("a path");
        let told =
            run(Command::new("curl").args(["-sS", "--max-time", "15", "--cacert", ca, &url]));
        if told.status.success() { Ok(told.stdout) } else { Err(told.stderr) }
    };
    let v1: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 8443\r\n";
    let v2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x08\x0a\0\0\x01\xc8\x22\x1f\x90";
    let local: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for (preamble, client) in [(v1, "203.0.113.7"), (v2, "203.0.113.8"), (local, "127.0.0.1")] {
        assert_eq!(through(preamble).as_deref(), Ok(client));
    }
    let denied: &[u8] = b"PROXY TCP4 203.0.113.9 10.0.0.1 51234 8443\r\n";
    for refused in [denied, b"PROXY TCP4 x\r\n"] {
        assert!(through(refused).is_err(), "{refused:?}");
    }
    // Whoever leaves it out could be anybody.
    let bare = sealed.curl(&authority, &[&sealed.url("/a")]);
    assert!(bare.is_err(), "{bare:?}");
    // Its places among the handshakes are free again.
    assert_eq!(through(v1).as_deref(), Ok("203.0.113.7"));
}
