//! Secrets: whoever carries one, and whatever becomes of the request, it stands in nothing that is written
//! for others to read.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::harness::{Gateway, PATIENCE, Peer, Upstream, run, signal};
use crate::tokens::Signer;
use crate::tracing::Scratch;

/// Each tells who has it. Nothing else that is written has `-hunted-` in it.
const CLIENT: &str = "sk-client-hunted-51c2";
const WRONG: &str = "sk-wrong-hunted-51c2";
const QUERY: &str = "query-hunted-51c2";
const REFUSED: &str = "refused-hunted-51c2";
const UPSTREAM: &str = "sk-upstream-hunted-51c2";
const INLINE: &str = "sk-inline-hunted-51c2";
const ADMIN: &str = "admin-token-hunted-51c2";
const STORE: &str = "store-password-hunted-51c2";
const PROMPT: &str = "prompt-hunted-51c2";
const MARK: &str = "-hunted-";
/// The same where somebody has encoded it (`Basic`, `user:basic-hunted-51c2`).
const BASIC: &str = "dXNlcjpiYXNpYy1odW50ZWQtNTFjMg==";

/// What somebody else could read, and where.
#[derive(Default)]
struct Told(Vec<(String, String)>);

impl Told {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    /// What a command writes, however it ends.
    fn run(&mut self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        command.args(["--log-level", "debug"]).args(arguments);
        let ended = run(command.envs(environment.iter().copied()));
        let text = ended.stdout + &ended.stderr;
        assert!(!text.is_empty(), "{arguments:?} says nothing");
        // The arguments are known to whoever gave them: the place is called by the command's name alone.
        self.add(arguments[0], &*text);
        text
    }

    /// Panics where one of the secrets stands, whole or, of a token, in part.
    fn expect_none(&self, tokens: &[String]) {
        let parts = tokens.iter().flat_map(|token| token.split('.').skip(1));
        let secrets: Vec<&str> = parts.chain([MARK, BASIC]).collect();
        let mut found = Vec::new();
        for (place, text) in &self.0 {
            for line in text.lines() {
                if secrets.iter().any(|secret| line.contains(secret)) {
                    found.push(format!("{place}: {line}"));
                }
            }
        }
        assert!(found.is_empty(), "{} lines with secrets:\n{}", found.len(), found.join("\n"));
    }
}

/// Answers as the path says. What it was shown it says again where it fails, as some do.
fn serve(mut client: Peer) {
    while let Some(request) = client.next_request() {
        let shown =
            request.all("authorization").join(" ") + &request.all("x_tenant_token").join(" ");
        let whole = |status: &str, body: &str| {
            let length = body.len();
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        let error = json!({"error": {"message": format!("wrong key: {shown}"), "type": "auth"}});
        let path = request.start.split([' ', '?']).nth(1).unwrap_or_default();
        let answer = match path.rsplit('/').next().unwrap_or_default() {
            "ok" => whole(
                "200 OK",
                r#"{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
            ),
            "unauthorized" => whole("401 Unauthorized", &error.to_string()),
            "busy" => whole("503 Service Unavailable", &error.to_string()),
            "cut" => whole("200 OK", "half of it").replace("10\r\n", "99\r\n"),
            "broken" => format!("HTTP/1.1 200 OK\r\nX Key: {shown}\r\n\r\n"),
            "no-http" => format!("{shown}\r\n\r\n"),
            "stream" => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {error}\n\ndata: [DONE]\n\n"
            ),
            // Until nobody waits.
            "silent" => {
                client.wait_end();
                return;
            }
            _ => whole("404 Not Found", &error.to_string()),
        };
        client.send(answer);
        if matches!(path.rsplit('/').next(), Some("cut" | "broken" | "no-http" | "stream")) {
            return;
        }
    }
}

/// Takes what is posted to it: spans.
fn collect() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let posted = Arc::<Mutex<Vec<String>>>::default();
    let into = Arc::clone(&posted);
    let address = Upstream::serve(move |mut client| {
        while let Some(request) = client.next_request() {
            into.lock().expect("nobody panics").push(request.text().to_owned());
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
    });
    (address, posted)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a temporary file");
    path.display().to_string()
}

/// Everything that has a secret, a key or a failure in it.
fn configuration(folder: &Path, collector: SocketAddr, jwks: &serde_json::Value) -> String {
    let hash: String = Sha256::digest(CLIENT).iter().map(|byte| format!("{byte:02x}")).collect();
    let (good, dead) = (Upstream::serve(serve), Upstream::listen().address());
    let key = write(folder, "upstream.key", UPSTREAM);
    let admin = write(folder, "admin.token", ADMIN);
    let jwks = write(folder, "jwks.json", &jwks.to_string());
    let log = folder.join("access.log");
    let upstream = |name: &str, address: SocketAddr, more: &str| {
        format!(
            "[[upstream]]\nname = \"{name}\"\nendpoints = [\"{address}\"]\ntimeouts = {{ ttft = \"500ms\", response = \"500ms\" }}\n\
             api_key = {{ file = \"{key}\", prefix = \"Bearer \" }}\n\
             request_headers = {{ set = {{ x_tenant_token = \"{INLINE}\" }} }}\n{more}\n"
        )
    };
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n\
         [limits]\nhead_bytes = \"2KiB\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{admin}\"\nplayground = true\n\
         [access_log]\nto = \"{}\"\n\
         [trace]\ncontext = \"continue\"\nexport = \"http://{collector}/v1/traces?key={QUERY}\"\ninterval = \"100ms\"\n\
         [recorder]\nstreams = 4\n\
         [keys.team-a]\nhash = \"sha256:{hash}\"\n\
         [issuers.corp]\nissuer = \"https://corp.test\"\naudience = \"gateway\"\njwks = \"{jwks}\"\n\
         {}{}\
         [[route]]\npath = \"/v1/*\"\nupstream = \"good\"\n\
         [[route]]\npath = \"/dead/*\"\nupstream = [\"dead\", \"good\"]\n\
         [[route]]\npath = \"/alone/*\"\nupstream = \"dead\"\nkeys = \"off\"\n",
        log.display(),
        upstream("good", good, "retry = { attempts = 2, backoff = \"1ms\" }\nbreaker = \"off\""),
        upstream("dead", dead, "breaker = { consecutive = 1 }"),
    )
}

/// Sends this, and waits for the end: what came.
fn ask(address: SocketAddr, request: &str) -> String {
    told_by(address, request, false)
}

/// The same of a client that has said all that it will.
fn leave(address: SocketAddr, request: &str) -> String {
    told_by(address, request, true)
}

fn told_by(address: SocketAddr, request: &str, leaves: bool) -> String {
    let mut peer = Peer::connect(address);
    let _ = peer.try_send(request);
    if leaves {
        peer.finish();
    }
    peer.wait_end();
    String::from_utf8_lossy(peer.received()).into_owned()
}

/// Fields that carry a secret, well and badly.
fn credentials(tokens: &[String]) -> Vec<String> {
    let mut all = vec![
        format!("Authorization: Bearer {CLIENT}\r\n"),
        format!("x-api-key: {CLIENT}\r\n"),
        format!("api-key: {CLIENT}\r\n"),
        format!("x-goog-api-key: {CLIENT}\r\n"),
        format!("Authorization: Bearer {WRONG}\r\n"),
        format!("Authorization: Bearer {WRONG}\r\nx-api-key: {CLIENT}\r\n"),
        format!("Authorization: Basic {BASIC}\r\n"),
        format!("Authorization: {WRONG}\r\n"),
        format!("Authorization:Bearer   {WRONG} {WRONG}\r\n"),
        format!("Authorization: Bearer {WRONG}, Bearer {WRONG}\r\n"),
        format!("Cookie: session={WRONG}\r\nProxy-Authorization: Bearer {WRONG}\r\n"),
        format!(
            "Authorization: Bearer {CLIENT}\r\ntraceparent: {WRONG}\r\ntracestate: a={WRONG}\r\n"
        ),
        // Heads that are refused.
        format!("X Key: {REFUSED}\r\n"),
        format!("X-Key: {REFUSED}\u{1}\r\n"),
        format!(" {REFUSED}\r\n"),
        format!("Authorization: Bearer {REFUSED}\r\nContent-Length: {REFUSED}\r\n"),
        format!("Authorization: Bearer {REFUSED}\r\nTransfer-Encoding: {REFUSED}\r\n"),
        format!("Authorization: Bearer {REFUSED}\r\nExpect: {REFUSED}\r\n"),
        format!("Authorization: Bearer {}\r\n", REFUSED.repeat(200)),
        format!("{REFUSED}\r\n"),
    ];
    all.extend(tokens.iter().map(|token| format!("Authorization: Bearer {token}\r\n")));
    all
}

#[test]
fn what_is_secret_is_told_nowhere() {
    let scratch = Scratch::new("secrets");
    let folder = scratch.path();
    std::fs::create_dir_all(folder).expect("a temporary folder");
    let (signer, stranger) = (Signer::new("one"), Signer::new("one"));
    let tokens = [
        signer.token(json!({})),
        signer.token(json!({"exp": 1})),
        signer.token(json!({"iss": "https://other.test"})),
        signer.token(json!({"sub": 5})),
        stranger.token(json!({"jti": "forged"})),
    ];
    let (collector, spans) = collect();
    let text = configuration(folder, collector, &json!({"keys": [signer.jwk()]}));
    let mut gateway = Gateway::start(&text);
    let line = gateway.wait_for_log("admin on http://");
    let (_, admin) = line.split_once("admin on http://").expect("an address");
    let admin: SocketAddr = admin.trim().parse().expect("an address");

    let mut told = Told::default();
    let body = format!("{{\"model\":\"m\",\"messages\":[{{\"content\":\"{PROMPT}\"}}]}}");
    let length = body.len();
    let post = |path: &str, fields: &str| {
        format!(
            "POST {path}?key={QUERY}&api_key={QUERY} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    };
    // Our own answers are for whoever asked; another's secrets, and the operator's, are in none of them.
    let mut statuses = Vec::new();
    for fields in credentials(&tokens) {
        let answer = ask(gateway.address(), &post("/v1/ok", &fields));
        statuses.push(answer.get(9..12).unwrap_or("none").to_owned());
        told.add("an answer", answer);
    }
    for expected in ["200", "400", "401", "403", "431"] {
        assert!(statuses.iter().any(|status| status == expected), "{expected}: {statuses:?}");
    }
    let known = format!("Authorization: Bearer {CLIENT}\r\n");
    for path in ["unauthorized", "busy", "cut", "broken", "no-http", "stream", "silent"] {
        // What a server says is the client's: it is not looked at here.
        ask(gateway.address(), &post(&format!("/v1/{path}"), &known));
    }
    for path in ["/dead/ok", "/alone/ok", "/alone/ok", "/nowhere/ok", "/v1/../ok"] {
        let answer = ask(gateway.address(), &post(path, &known));
        told.add("an answer", answer);
    }
    for raw in [
        format!(
            "GET http://user:{REFUSED}@host/v1/ok?key={QUERY} HTTP/1.1\r\nHost: host\r\n{known}\r\n"
        ),
        format!("GET /v1/ok?key={QUERY} HTTP/3.7\r\nHost: x\r\n\r\n"),
        format!("GET /v1/ok?key={QUERY} extra HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("CONNECT user:{REFUSED}@host:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("{REFUSED}\r\n\r\n"),
        format!("PROXY TCP4 {REFUSED}\r\nGET / HTTP/1.1\r\n\r\n"),
        format!("\u{16}\u{3}\u{1}\u{0}{REFUSED}"),
        // It leaves in the middle.
        format!(
            "POST /v1/ok?key={QUERY} HTTP/1.1\r\nHost: x\r\n{known}Content-Length: 999\r\n\r\n{body}"
        ),
        format!(
            "POST /v1/ok HTTP/1.1\r\nHost: x\r\n{known}Transfer-Encoding: chunked\r\n\r\n{REFUSED}\r\n"
        ),
    ] {
        told.add("an answer", leave(gateway.address(), &raw));
    }

    let own = format!("Authorization: Bearer {ADMIN}\r\n");
    for fields in ["", &*own, &format!("Authorization: Bearer {WRONG}\r\n")] {
        for path in [
            "/",
            "/healthz",
            "/readyz",
            "/metrics",
            "/config",
            "/config/state",
            "/endpoints",
            "/recordings",
            "/usage",
            "/history",
            "/exchanges",
            "/errors",
            "/fleet",
            "/plugins",
            "/streams",
            "/loglevel",
            "/playground",
        ] {
            let get = format!(
                "GET {path}?token={WRONG} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n"
            );
            told.add(path, ask(admin, &get));
        }
        for (method, path) in [
            ("POST", "/reload"),
            ("PUT", "/loglevel"),
            ("PUT", "/endpoints"),
            ("DELETE", "/streams/7"),
            ("POST", "/playground"),
        ] {
            let put = format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: 5\r\nConnection: close\r\n\r\nwrong"
            );
            told.add(path, ask(admin, &put));
        }
    }
    // The recordings that there are, with their texts masked.
    let listed = ask(
        admin,
        &format!("GET /recordings HTTP/1.1\r\nHost: localhost\r\n{own}Connection: close\r\n\r\n"),
    );
    let listed = listed.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
    for id in listed.split('"').filter(|it| it.len() > 8 && !it.contains(' ')) {
        let get = format!(
            "GET /recordings/{id} HTTP/1.1\r\nHost: localhost\r\n{own}Connection: close\r\n\r\n"
        );
        told.add("a recording", ask(admin, &get));
    }

    // A reload that fails, one that succeeds, and the end.
    let file = gateway.file().display().to_string();
    let slip = text.replace("x_tenant_token = \"", "x_tenant_token = \"\u{7f}");
    for (wrong, said) in [
        (slip.as_str(), "generation 1 stays"),
        (&text.replace(&format!("{INLINE}\""), INLINE), "generation 1 stays"),
    ] {
        gateway.rewrite(wrong);
        let before = gateway.count_in_log(said);
        signal(&gateway, Signal::HUP);
        let deadline = std::time::Instant::now() + PATIENCE;
        while gateway.count_in_log(said) == before {
            assert!(std::time::Instant::now() < deadline, "{:?}", gateway.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        told.run(&["check", "--config", &file], &[]);
    }
    gateway.rewrite(&text);

    let address = admin.to_string();
    let token_file = folder.join("admin.token").display().to_string();
    for page in ["overview", "streams", "errors", "models"] {
        told.run(
            &["top", "--once", "--page", page, "--admin", &address, "--token-file", &token_file],
            &[],
        );
    }
    told.run(&["check", "--config", &file], &[]);
    told.run(&["doctor", "--config", &file, "--no-request"], &[]);
    told.run(&["dashboard", "--config", &file], &[("PATH", "")]);
    places_with_passwords(&mut told, folder);
    files_that_are_wrong(&mut told, folder, &text);

    // Spans go out every tenth of a second; the log and the records are written by then.
    gateway.wait_for_log("no_route");
    let deadline = std::time::Instant::now() + PATIENCE;
    while spans.lock().expect("nobody panics").len() < 2 {
        assert!(std::time::Instant::now() < deadline, "no spans were exported");
        std::thread::sleep(Duration::from_millis(5));
    }
    gateway.terminate();
    assert!(gateway.wait_exit(PATIENCE).is_some(), "it ends");
    told.add("the log", gateway.log().join("\n"));
    let records = std::fs::read_to_string(folder.join("access.log")).expect("the access log");
    assert!(records.lines().count() > 20, "{records}");
    told.add("the access log", records);
    told.add("the spans", spans.lock().expect("nobody panics").join("\n"));
    let _ = std::fs::remove_dir_all(folder);
    told.expect_none(&tokens);
}

/// Places in a store, named with a password; and the one of the environment.
fn places_with_passwords(told: &mut Told, folder: &Path) {
    let file = write(folder, "part.toml", "[server]\nworkers = 1\n");
    for place in [
        format!("etcd://root:{STORE}@127.0.0.1:1/p"),
        format!("etcd://root:{STORE}@127.0.0.1:1,127.0.0.1:2/p?ca=/nowhere"),
        "etcd://root@127.0.0.1:1/p".to_owned(),
    ] {
        let password = [("SLUICEGATE_STORE_PASSWORD", STORE)];
        told.run(&["check", "--config", &place], &password);
        told.run(&["doctor", "--config", &place, "--no-request"], &password);
        told.run(&["config", "status", "--store", &place], &password);
        told.run(&["config", "push", "--store", &place, &file], &password);
        let fleet = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\n[fleet]\nstore = \"{place}\"\n[[upstream]]\nname = \"a\"\nendpoints = [\"127.0.0.1:1\"]\n\
             discover = {{ consul = \"http://user:{STORE}@127.0.0.1:1/a\" }}\n[[route]]\npath = \"/*\"\nupstream = \"a\"\n"
        );
        told.run(&["check", "--config", &write(folder, "fleet.toml", &fleet)], &password);
    }
}

/// Files with secrets in them that are not what they should be, or stand where another belongs.
fn files_that_are_wrong(told: &mut Told, folder: &Path, text: &str) {
    for (name, content) in [
        ("upstream.key", format!("{UPSTREAM}\n{UPSTREAM}\n")),
        ("upstream.key", format!("{UPSTREAM}\u{e9}")),
        ("admin.token", format!("{ADMIN} {ADMIN}")),
        ("admin.token", "-hunted-".to_owned()),
        ("jwks.json", format!("{{\"keys\":[{{\"kty\":\"oct\",\"k\":\"{UPSTREAM}\"}}]}}")),
        ("jwks.json", UPSTREAM.to_owned()),
    ] {
        let path = folder.join(name);
        let good = std::fs::read_to_string(&path).expect("a temporary file");
        std::fs::write(&path, content).expect("a temporary file");
        let said = told.run(&["check", "--config", &write(folder, "wrong.toml", text)], &[]);
        assert!(said.contains("error:") || said.contains("warning:"), "{name}: {said}");
        std::fs::write(&path, good).expect("a temporary file");
    }
    let key = folder.join("upstream.key").display().to_string();
    let sealed = format!(
        "[server.tls]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [{{ certificate = \"{key}\", key = \"{key}\" }}]\n"
    );
    let file =
        write(folder, "sealed.toml", &text.replace("[limits]", &format!("{sealed}[limits]")));
    told.run(&["check", "--config", &file], &[]);
    let from = text.replace(&format!("file = \"{key}\""), "env = \"HUNTED_KEY\"");
    let file = write(folder, "variable.toml", &from);
    told.run(&["check", "--config", &file], &[("HUNTED_KEY", &format!("{UPSTREAM}\n"))]);
}
