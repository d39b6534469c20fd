//! What a client's certificate opens, what is shown with the gateway's own, and the admin address under TLS.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Authority, LAST, Pair, Sealed, s_client};
use crate::harness::{Config, PATIENCE, Upstream, run, signal, sluicegate};

/// A server that tells its name.
fn named(name: &'static str) -> std::net::SocketAddr {
    Upstream::serve(move |mut peer| {
        while peer.next_request().is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()));
        }
    })
}

/// curl's flags of a client with this certificate.
fn with(pair: &Pair) -> [&str; 4] {
    let (certificate, key) = (pair.certificate.to_str(), pair.key.to_str());
    ["--cert", certificate.expect("a path"), "--key", key.expect("a path")]
}

#[test]
fn a_certificate_decides_about_the_route_and_the_key() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let own = authority.issue(&["localhost"]);
    let (agent, guest) = (clients.issue(&["agent-7"]), clients.issue(&["guest"]));
    let digest = run(Command::new("sh").args(["-c", "printf for-agents | sha256sum | cut -c1-64"]));
    let digest = digest.stdout.trim().to_owned();
    assert_eq!(digest.len(), 64);
    let more = format!(
        "[gate]\nkeys = \"optional\"\n\
         [[upstream]]\nname = \"agents\"\nendpoints = [\"{}\"]\n\
         [[route]]\npath = \"/keyed\"\nupstream = \"agents\"\nkeys = \"required\"\n\
         [[route]]\npath = \"/models\"\nupstream = \"agents\"\n\
         when = {{ model = \"m\", client_certificate = \"agent-*\" }}\n\
         [[route]]\npath = \"/models\"\nupstream = \"scripted\"\nwhen = {{ model = \"*\" }}\n\
         [[route]]\npath = \"/*\"\nupstream = \"agents\"\n\
         when = {{ client_certificate = [\"agent-*\", \"nobody\"] }}\n\
         [keys.agents]\nhash = \"sha256:{digest}\"\nclient_certificate = \"agent-*\"\n",
        named("agents")
    );
    let config = Config { more, ..Config::to(named("all")) };
    let tls = format!(
        "certificates = [{}]\nclient_ca = {:?}\nclient_auth = \"optional\"",
        own.entry(),
        clients.ca
    );
    let sealed = Sealed::start(&config, &tls);
    let ask = |flags: &[&str], path: &str| {
        sealed.curl(&authority, &[flags, &[&sealed.url(path)]].concat()).expect("an answer")
    };
    assert_eq!(ask(&with(&agent), "/a"), "agents");
    assert_eq!(ask(&with(&guest), "/a"), "all");
    assert_eq!(ask(&[], "/a"), "all");
    // The body decides, and the certificate is still known by then.
    let body = ["--json", "{\"model\":\"m\"}"];
    assert_eq!(ask(&[&with(&agent)[..], &body].concat(), "/models"), "agents");
    assert_eq!(ask(&body, "/models"), "all");
    // A key that is for certificates opens nothing without.
    let key = ["-H", "Authorization: Bearer for-agents"];
    assert_eq!(ask(&[&with(&agent)[..], &key].concat(), "/keyed"), "agents");
    for flags in [&with(&guest)[..], &[]] {
        let refused = ask(&[flags, &key].concat(), "/keyed");
        assert!(refused.contains("key_not_allowed"), "{refused}");
    }
}

#[test]
fn a_certificate_alone_is_a_key_where_the_request_shows_none() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let own = authority.issue(&["localhost"]);
    let (agent, once) = (clients.issue(&["agent-7"]), clients.issue(&["once"]));
    let guest = clients.issue(&["guest"]);
    let file = authority.write("keys.toml", "");
    let keys = |arguments: &[&str]| {
        let file = file.to_str().expect("a path");
        sluicegate(&[&["key"], arguments, &["--file", file]].concat())
    };
    let made = keys(&["new", "agents", "--certificate", "agent-*", "--model", "m"]);
    assert!(made.status.success() && made.stdout.is_empty(), "{made:?}");
    assert!(
        keys(&["new", "few", "--certificate", "once", "--requests-per-minute", "1"])
            .status
            .success()
    );
    let secret = keys(&["new", "holder"]).stdout.trim_end().to_owned();
    let list = keys(&["list"]).stdout;
    assert!(list.lines().any(|it| it.starts_with("agents ") && it.contains("certificate agent-*")));
    let rotated = keys(&["rotate", "agents"]);
    assert!(!rotated.status.success() && rotated.stderr.contains("has no secret"), "{rotated:?}");

    let more = format!(
        "[gate]\nkeys_file = {file:?}\n\
         [[route]]\npath = \"/maybe\"\nupstream = \"scripted\"\nkeys = \"optional\"\n"
    );
    let config = Config { server: "watch = \"100ms\"".into(), more, ..Config::to(named("all")) };
    let tls = format!(
        "certificates = [{}]\nclient_ca = {:?}\nclient_auth = \"optional\"",
        own.entry(),
        clients.ca
    );
    let sealed = Sealed::start_logging(&config, &tls);
    let ask = |pair: Option<&Pair>, path: &str, flags: &[&str]| {
        let shown = pair.map(with);
        let shown = shown.as_ref().map_or(&[][..], |flags| &flags[..]);
        sealed
            .curl(&authority, &[&["-i"], shown, flags, &[&sealed.url(path)]].concat())
            .expect("an answer")
    };
    let model = ["--json", "{\"model\":\"m\"}"];
    let answer = ask(Some(&agent), "/a", &model);
    assert!(answer.ends_with("all") && !answer.contains("x-ratelimit"), "{answer}");
    sealed.gateway.wait_for_log("\"key\":\"agents\"");
    let answer = ask(Some(&agent), "/a", &["--json", "{\"model\":\"n\"}"]);
    assert!(answer.contains("key_not_allowed"), "{answer}");
    // Limits are those of the key.
    let answer = ask(Some(&once), "/a", &[]);
    assert!(
        answer.contains("x-ratelimit-remaining-requests: 0") && answer.ends_with("all"),
        "{answer}"
    );
    let answer = ask(Some(&once), "/maybe", &[]);
    assert!(answer.contains(" 429 ") && answer.contains("rate_limited"), "{answer}");
    // What is shown is judged: a wrong key is none, and a good one is another.
    for wrong in ["Authorization: Bearer sg-wrong", "x-api-key: none"] {
        let answer = ask(Some(&agent), "/a", &["-H", wrong]);
        assert!(answer.contains(" 401 ") && answer.contains("invalid_api_key"), "{answer}");
    }
    let header = format!("Authorization: Bearer {secret}");
    assert!(ask(Some(&agent), "/a", &["-H", &header]).ends_with("all"));
    sealed.gateway.wait_for_log("\"key\":\"holder\"");
    for nobody in [None, Some(&guest)] {
        let answer = ask(nobody, "/a", &[]);
        assert!(answer.contains(" 401 ") && answer.contains("missing_api_key"), "{answer}");
    }
    assert!(keys(&["revoke", "agents"]).status.success());
    let deadline = Instant::now() + PATIENCE;
    while !ask(Some(&agent), "/a", &model).contains("missing_api_key") {
        assert!(Instant::now() < deadline, "it is revoked");
    }
}

/// A response of an OCSP responder of this authority about a certificate, whose state is a letter.
fn responded(authority: &Authority, pair: &Pair, state: &str, name: &str) -> std::path::PathBuf {
    let serial = run(Command::new("openssl")
        .args(["x509", "-noout", "-serial", "-in"])
        .arg(&pair.certificate));
    let serial = serial.stdout.trim().trim_start_matches("serial=").to_owned();
    let revoked = if state == "R" { "250101000000Z" } else { "" };
    let line = format!("{state}\t900101000000Z\t{revoked}\t{serial}\tunknown\t/CN=localhost\n");
    let index = authority.write("index.txt", &line);
    let file = authority.write(name, "");
    let made = run(Command::new("openssl")
        .args(["ocsp", "-ndays", "7", "-index"])
        .arg(&index)
        .arg("-CA")
        .arg(&authority.ca)
        .arg("-rsigner")
        .arg(&authority.ca)
        .arg("-rkey")
        .arg(authority.key_file())
        .arg("-issuer")
        .arg(&authority.ca)
        .arg("-cert")
        .arg(&pair.certificate)
        .arg("-respout")
        .arg(&file));
    assert!(made.status.success(), "{}", made.stderr);
    file
}

#[test]
fn an_ocsp_response_is_shown_with_the_certificate() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let other = authority.issue(&["other.test"]);
    let staple = responded(&authority, &own, "V", "own.ocsp");
    let entry = |file: &std::path::Path| {
        let pair = own.entry();
        format!("certificates = [{}, ocsp = {file:?} }}]", pair.trim_end_matches(" }"))
    };
    let config = Config { server: "watch = \"100ms\"".into(), ..Config::to(named("a")) };
    let sealed = Sealed::start(&config, &entry(&staple));
    let ca = authority.ca.to_str().expect("a path").to_owned();
    let shown = || s_client(sealed.port, &["-status", "-CAfile", &ca], LAST);
    let said = shown();
    assert!(said.contains("OCSP Response Status: successful"), "{said}");
    assert!(said.contains("Cert Status: good"), "{said}");
    // A file that is no good changes nothing, and one that is renewed is taken up.
    std::fs::write(&staple, "garbage").expect("written");
    sealed.gateway.wait_for_log("is no OCSP response");
    assert!(shown().contains("Cert Status: good"));
    responded(&authority, &own, "V", "own.ocsp");
    sealed.gateway.wait_for_log("generation 1 is in force");
    assert!(shown().contains("Cert Status: good"));
    // `check` says what is wrong.
    for (file, sentence) in [
        (responded(&authority, &own, "R", "revoked.ocsp"), "the certificate is revoked"),
        (responded(&authority, &other, "V", "other.ocsp"), "is of another certificate"),
        (authority.write("text.ocsp", "text"), "is no OCSP response"),
        ("/nowhere/at.all".into(), "there is no such file"),
    ] {
        let text = Sealed::text(&Config::to(named("a")), &entry(&file));
        let path = authority.write("gate.toml", &text);
        let told = sluicegate(&["check", "--config", path.to_str().expect("a path")]);
        assert!(!told.status.success(), "{sentence}");
        assert!(told.stderr.contains(sentence), "{sentence}: {}", told.stderr);
        assert!(told.stderr.contains("server.tls.certificates[0].ocsp"), "{}", told.stderr);
    }
}

#[test]
fn the_admin_address_speaks_tls_and_is_reached_by_ours() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let own = authority.issue(&["localhost"]);
    let alice = clients.issue(&["alice"]);
    let token = authority.write("token", "a-token-for-the-tests\n");
    let start = |more: &str| {
        let admin = format!(
            "[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = {token:?}\n[admin.tls]\n\
             certificate = {:?}\nkey = {:?}\n{more}",
            own.certificate, own.key
        );
        let gateway = Config { more: admin, ..Config::to(named("a")) }.start();
        let line = gateway.wait_for_log("admin on https://");
        let (_, port) = line.trim().rsplit_once(':').expect("a port");
        let port: u16 = port.parse().expect("a port");
        (gateway, port)
    };
    let (gateway, port) = start("");
    let ca = authority.ca.to_str().expect("a path");
    let curl = |port: u16, flags: &[&str]| {
        let url = format!("https://localhost:{port}/metrics");
        let told = run(Command::new("curl")
            .args(["-sS", "--max-time", "15", "--cacert", ca])
            .args(["-H", "Authorization: Bearer a-token-for-the-tests"])
            .args(flags)
            .arg(url));
        if told.status.success() { Ok(told.stdout) } else { Err(told.stderr) }
    };
    assert!(curl(port, &[]).is_ok_and(|page| page.contains("sluicegate_")), "metrics");
    let plain = run(Command::new("curl").args(["-sS", &format!("http://127.0.0.1:{port}/")]));
    assert!(plain.stdout.contains("tls_required"), "{}", plain.stdout);
    let place = format!("https://localhost:{port}");
    let token = token.to_str().expect("a path");
    let top = |place: &str, more: &[&str]| {
        let flags = ["top", "--once", "--admin", place, "--token-file", token];
        sluicegate(&[&flags[..], more].concat())
    };
    let seen = top(&place, &["--ca", ca]);
    assert!(seen.status.success() && seen.stdout.contains("serving"), "{}", seen.stderr);
    let stranger = Authority::new();
    let seen = top(&place, &["--ca", stranger.ca.to_str().expect("a path")]);
    assert!(seen.stderr.contains("nobody"), "{}", seen.stderr);
    drop(gateway);
    // Whoever has no certificate does not come as far as a token.
    let (_gateway, port) = start(&format!("client_ca = {:?}\n", clients.ca));
    assert!(curl(port, &[]).is_err());
    assert!(curl(port, &with(&alice)).is_ok());
    let place = format!("https://localhost:{port}");
    let [_, certificate, _, key] = with(&alice);
    let seen = top(&place, &["--ca", ca, "--certificate", certificate, "--key", key]);
    assert!(seen.status.success(), "{}", seen.stderr);
}

/// `openssl s_client` as whom a certificate says, on a connection that stays until somebody ends it.
struct Held(Child);

impl Held {
    fn open(port: u16, pair: &Pair) -> Held {
        let process = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}"), "-cert"])
            .arg(&pair.certificate)
            .arg("-key")
            .arg(&pair.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Held(process.expect("openssl is installed"))
    }

    /// Asks for a path, and reads the answer up to and including `end`.
    fn ask(&mut self, path: &str, end: &str) {
        self.ask_with(path, "", end);
    }

    fn ask_with(&mut self, path: &str, fields: &str, end: &str) {
        self.say(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        self.read_until(end);
    }

    fn say(&mut self, text: &str) {
        let input = self.0.stdin.as_mut().expect("a pipe");
        input.write_all(text.as_bytes()).expect("it reads");
    }

    fn read_until(&mut self, end: &str) {
        let output = self.0.stdout.as_mut().expect("a pipe");
        let (mut seen, mut byte) = (Vec::new(), [0]);
        while !seen.ends_with(end.as_bytes()) {
            let count = output.read(&mut byte).expect("a pipe");
            assert!(count > 0, "no {end:?} in {}", String::from_utf8_lossy(&seen));
            seen.push(byte[0]);
        }
    }

    /// Whether the connection ends before somebody's patience does.
    fn ends(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.0.try_wait().expect("a child").is_some() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection would be served for as long as it likes as whom an authority said it was, which is not
/// believed any more.
#[test]
fn who_was_let_in_by_an_authority_goes_with_it() {
    let (authority, first, second) = (Authority::new(), Authority::new(), Authority::new());
    let own = authority.issue(&["localhost"]);
    let (alice, bob) = (first.issue(&["alice"]), second.issue(&["bob"]));
    let released = Arc::new(AtomicBool::new(false));
    let upstream = Upstream::serve({
        let released = Arc::clone(&released);
        move |mut peer| {
            while let Some(request) = peer.next_request() {
                if request.start.contains("/tunnel") {
                    peer.send(
                        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                    );
                    while peer.wait_end().is_none() {}
                    return;
                }
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n");
                let deadline = Instant::now() + PATIENCE;
                while request.start.contains("/slow")
                    && !released.load(Ordering::Relaxed)
                    && Instant::now() < deadline
                {
                    thread::sleep(Duration::from_millis(10));
                }
                peer.send("3\r\nend\r\n0\r\n\r\n");
            }
        }
    });
    let believe = |whom: &Authority| {
        let text = std::fs::read_to_string(&whom.ca).expect("it is there");
        authority.write("clients.pem", &text)
    };
    let tls = format!("certificates = [{}]\nclient_ca = {:?}", own.entry(), believe(&first));
    let config = Config { limits: "requests_per_connection = 100".into(), ..Config::to(upstream) };
    let sealed = Sealed::start(&config, &tls);
    let mut idle = Held::open(sealed.port, &alice);
    idle.ask("/quick", "0\r\n\r\n");
    let mut half = Held::open(sealed.port, &alice);
    half.ask("/quick", "0\r\n\r\n");
    half.say("GET /quick HTTP/1.1\r\n");
    let mut slow = Held::open(sealed.port, &alice);
    slow.ask("/slow", "begin\r\n");
    let mut tunnel = Held::open(sealed.port, &alice);
    tunnel.ask_with("/tunnel", "Connection: upgrade\r\nUpgrade: x\r\n", "\r\n\r\n");

    believe(&second);
    signal(&sealed.gateway, rustix::process::Signal::HUP);
    sealed.gateway.wait_for_log("generation 1 is in force");
    assert!(idle.ends(), "nothing was under way");
    assert!(tunnel.ends(), "it has no end of its own");
    // What is under way goes on to its end.
    assert!(slow.0.try_wait().expect("a child").is_none());
    released.store(true, Ordering::Relaxed);
    slow.read_until("0\r\n\r\n");
    assert!(slow.ends(), "its answer is over");
    let mut stays = Held::open(sealed.port, &bob);
    stays.ask("/quick", "0\r\n\r\n");
    assert!(
        sealed.curl(&authority, &[&with(&alice)[..], &[&sealed.url("/quick")]].concat()).is_err()
    );

    // Whoever is believed as before is left alone: another certificate of ours is for who comes now.
    authority.issue(&["localhost"]);
    signal(&sealed.gateway, rustix::process::Signal::HUP);
    sealed.gateway.wait_for_log("generation 2 is in force");
    stays.ask("/quick", "0\r\n\r\n");

    // Whose request was half there is answered to it, and parted from. It stays so where more requests of a
    // connection are allowed in between.
    let config = Config { limits: "requests_per_connection = 200".into(), ..config };
    sealed.gateway.rewrite(&Sealed::text(&config, &tls));
    signal(&sealed.gateway, rustix::process::Signal::HUP);
    sealed.gateway.wait_for_log("generation 3 is in force");
    half.say("Host: a\r\n\r\n");
    half.read_until("0\r\n\r\n");
    assert!(half.ends(), "nobody believes it any more");
    stays.ask("/quick", "0\r\n\r\n");
}
