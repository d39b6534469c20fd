//! Programs that look at TLS from outside: scanners, a browser, `openssl` that asks for what is not given;
//! and nginx as the server behind it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Authority, Pair, Sealed, s_client};
use crate::harness::{Config, Gateway, Upstream, run};

fn page() -> std::net::SocketAddr {
    Upstream::serve(|mut peer| {
        while peer.next_request().is_some() {
            let body = "<!doctype html><p id=told>seen under TLS</p>";
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
    })
}

fn sealed(authority: &Authority) -> Sealed {
    let own = authority.issue(&["localhost"]);
    Sealed::start(&Config::to(page()), &format!("certificates = [{}]", own.entry()))
}

#[test]
fn a_scanner_finds_nothing_that_is_old_or_weak() {
    let authority = Authority::new();
    let sealed = sealed(&authority);
    let place = format!("localhost:{}", sealed.port);
    let told = run(Command::new("sslscan").args(["--no-colour", "--show-certificate", &place]));
    assert!(told.status.success(), "{}", told.stderr);
    let said = &told.stdout;
    let line = |start: &str| {
        let found = said.lines().map(str::trim).find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start:?} in {said}"))
    };
    for old in ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"] {
        assert!(line(old).ends_with("disabled"), "{said}");
    }
    for spoken in ["TLSv1.2", "TLSv1.3"] {
        assert!(line(spoken).ends_with("enabled"), "{said}");
    }
    assert!(said.contains("Session renegotiation not supported"), "{said}");
    assert!(!said.contains("Compression enabled"), "{said}");
    for version in ["TLSv1.2", "TLSv1.3"] {
        assert!(said.contains(&format!("{version} not vulnerable to heartbleed")), "{said}");
    }
    for weak in ["RC4", "3DES", "CBC", "NULL", "EXP", "DHE-RSA", " 112 bits", " 56 bits"] {
        let accepted =
            said.lines().filter(|line| line.contains("ccepted") || line.contains("referred"));
        assert!(!accepted.clone().any(|line| line.contains(weak)), "{weak}: {said}");
    }
    // What it has tried held nobody up.
    assert!(sealed.curl(&authority, &[&sealed.url("/")]).is_ok_and(|page| page.contains("seen")));
}

/// `R` has `openssl` ask for another handshake inside the session.
#[test]
fn a_session_is_not_negotiated_again() {
    let authority = Authority::new();
    let sealed = sealed(&authority);
    let mut process = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", &format!("127.0.0.1:{}", sealed.port)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    let mut input = process.stdin.take().expect("a pipe");
    thread::sleep(Duration::from_millis(300));
    input.write_all(b"R\n").expect("it reads");
    let ended = process.wait_with_output().expect("it ends");
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("RENEGOTIATING"), "{said}");
    assert!(said.contains("no renegotiation") || said.contains("alert"), "{said}");
    drop(input);
    assert!(sealed.curl(&authority, &[&sealed.url("/")]).is_ok());
}

/// Records of the smallest size, records cut by the network, and one that is longer than any may be.
#[test]
fn small_cut_and_oversized_records() {
    let authority = Authority::new();
    let sealed = sealed(&authority);
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // Every record of the client's has at most 512 bytes of plaintext, its handshake's too.
    for flags in [&["-max_send_frag", "512"][..], &["-split_send_frag", "512", "-tls1_2"]] {
        let said = s_client(sealed.port, flags, request);
        assert!(said.contains("seen under TLS"), "{flags:?}: {said}");
    }
    // Byte by byte.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let between = listener.local_addr().expect("an address").port();
    let port = sealed.port;
    thread::spawn(move || {
        let Ok((mut client, _)) = listener.accept() else { return };
        let mut server = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        server.set_nodelay(true).expect("a socket");
        let (mut up, mut down) =
            (client.try_clone().expect("a clone"), server.try_clone().expect("a clone"));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = up.read(&mut bytes) {
                if !bytes[..count].chunks(1).all(|byte| server.write_all(byte).is_ok()) {
                    return;
                }
            }
        });
        let _ = std::io::copy(&mut down, &mut client);
    });
    let said = s_client(between, &[], request);
    assert!(said.contains("seen under TLS"), "{said}");
    // A header that announces more than 16 KiB and what may be around it.
    let mut stream = TcpStream::connect(("127.0.0.1", sealed.port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream.write_all(&[22, 3, 1, 0xff, 0xff]).expect("taken");
    let _ = stream.write_all(&[0; 40_000]);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    // An alert of a fatal error, if the reset has not thrown it away.
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    assert!(sealed.curl(&authority, &[&sealed.url("/")]).is_ok());
}

#[test]
fn a_browser_shows_a_page() {
    let authority = Authority::new();
    let sealed = sealed(&authority);
    let folder = std::env::temp_dir().join(format!("sluicegate-browser-{}", std::process::id()));
    let told = run(Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        // The authority is the test's own; what is looked at is whether the two understand each other.
        .args(["--ignore-certificate-errors", "--dump-dom", "--timeout=20000"])
        .arg(format!("--user-data-dir={}", folder.display()))
        .arg(sealed.url("/")));
    let _ = std::fs::remove_dir_all(&folder);
    assert!(told.stdout.contains("seen under TLS"), "{}{}", told.stdout, told.stderr);
}

/// nginx with TLS, in a folder of its own.
struct Nginx {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Nginx {
    fn start(own: &Pair, clients: &Authority) -> Nginx {
        let probe = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = probe.local_addr().expect("an address").port();
        drop(probe);
        let folder = std::env::temp_dir().join(format!("sluicegate-nginx-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let at = folder.display();
        let text = format!(
            "daemon off; pid {at}/pid; error_log stderr error;\nevents {{}}\n\
             http {{ access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b;\n\
             fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {}; ssl_certificate_key {};\n\
             ssl_client_certificate {}; ssl_verify_client on;\n\
             location / {{ return 200 \"$ssl_protocol $ssl_session_reused $ssl_client_s_dn $ssl_server_name\"; }} }} }}\n",
            own.certificate.display(),
            own.key.display(),
            clients.ca.display()
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, text).expect("written");
        let process = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/bin")
            .arg("-p")
            .arg(&folder)
            .args(["-e", "stderr", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(since.elapsed() < Duration::from_secs(20), "nginx does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Nginx { process, folder, port }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn nginx_is_asked_under_tls_and_sessions_are_resumed() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (own, gate) = (authority.issue(&["nginx.test"]), clients.issue(&["gate"]));
    let nginx = Nginx::start(&own, &clients);
    // Each request has a connection of its own, so that sessions have to be resumed.
    let upstream = format!(
        "pool = {{ max_requests = 1 }}\n\
         tls = {{ ca = {:?}, server_name = \"nginx.test\", certificate = {:?}, key = {:?} }}",
        authority.ca, gate.certificate, gate.key
    );
    let endpoint = format!("https://127.0.0.1:{}", nginx.port);
    let gateway = Gateway::start(&Config { upstream, endpoint, ..Config::default() }.text());
    let ask = || {
        let mut client = gateway.connect();
        client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        client.read_response().text().to_owned()
    };
    let first = ask();
    assert_eq!(first, "TLSv1.3 . CN=gate nginx.test");
    let resumed = (0..20).map(|_| ask()).any(|told| told == "TLSv1.3 r CN=gate nginx.test");
    assert!(resumed, "a session is resumed");
}
