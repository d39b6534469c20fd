//! Tokens: who comes in by a JWT, and what becomes of that when its issuer does not answer as it should.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Gateway, Message, PATIENCE, Peer, Upstream, signal};

const BODY: &str = r#"{"model":"llama-3"}"#;

pub struct Signer {
    id: &'static str,
    key: Ed25519KeyPair,
}

impl Signer {
    pub fn new(id: &'static str) -> Signer {
        Signer { id, key: Ed25519KeyPair::generate().expect("a key") }
    }

    pub fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": x})
    }

    /// Good for an hour, but for what stands in `with`.
    pub fn token(&self, with: Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let mut claims = json!({"iss": "https://corp.test", "aud": "gateway", "sub": "ann",
            "exp": now + 3_600});
        for (name, value) in with.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let header = json!({"alg": "EdDSA", "kid": self.id}).to_string();
        let message = [header, claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
        let message = message.join(".");
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// Publishes keys, or whatever it is told to answer; `None`: it closes without a word.
struct Publisher {
    address: SocketAddr,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
    asked: Arc<AtomicUsize>,
}

impl Publisher {
    fn start() -> Publisher {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let answer = Arc::<Mutex<Option<Vec<u8>>>>::default();
        let asked = Arc::<AtomicUsize>::default();
        let (given, count) = (Arc::clone(&answer), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let _ = stream.read(&mut [0; 4_096]);
                count.fetch_add(1, Ordering::SeqCst);
                let answer = given.lock().expect("nobody panics").clone();
                let _ = stream.write_all(&answer.unwrap_or_default());
            }
        });
        Publisher { address, answer, asked }
    }

    fn answers(&self, status: &str, fields: &str, body: &[u8]) {
        let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
        *self.answer.lock().expect("nobody panics") = Some([head.as_bytes(), body].concat());
    }

    fn publishes(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        self.answers("200 OK", "", json!({ "keys": keys }).to_string().as_bytes());
    }

    fn is_silent(&self) {
        *self.answer.lock().expect("nobody panics") = None;
    }

    /// Waits until it was asked once more, and has answered.
    fn wait_for_question(&self) {
        let (before, watch) = (self.asked.load(Ordering::SeqCst), Instant::now());
        while self.asked.load(Ordering::SeqCst) < before + 2 {
            assert!(watch.elapsed() < PATIENCE, "nobody asks for keys");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn config(upstream: &Upstream, jwks: &str, of_issuer: &str, more: &str) -> String {
    let address = upstream.address();
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n\
         [issuers.corp]\nissuer = \"https://corp.test\"\naudience = \"gateway\"\njwks = \"{jwks}\"\n\
         {of_issuer}\n\
         [[upstream]]\nname = \"llama\"\nendpoints = [\"{address}\"]\n\
         [[route]]\npath = \"/v1/*\"\nupstream = \"llama\"\n\
         [[route]]\npath = \"/maybe/*\"\nupstream = \"llama\"\nkeys = \"optional\"\n{more}\n"
    )
}

/// A file with the keys of these.
fn file_of(name: &str, signers: &[&Signer]) -> String {
    let path = std::env::temp_dir().join(format!("sluicegate-{name}-{}.json", std::process::id()));
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    std::fs::write(&path, json!({ "keys": keys }).to_string()).expect("a temporary folder");
    path.display().to_string()
}

fn request(path: &str, fields: &str) -> String {
    let length = BODY.len();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {length}\r\n\r\n{BODY}")
}

fn chat(token: &str) -> String {
    request("/v1/chat/completions", &format!("Authorization: Bearer {token}\r\n"))
}

/// Sends a request, which has to come to the server: what that and the client get.
fn passes(client: &mut Peer, upstream: &Upstream, request: &str) -> (Message, Message) {
    client.send(request);
    let mut server = upstream.accept();
    let seen = server.read_request();
    server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
    let answer = client.read_response();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    (seen, answer)
}

fn refused(client: &mut Peer, request: &str, status: u16, code: &str) -> Message {
    client.send(request);
    let answer = client.read_response();
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert!(answer.text().contains(code), "{code}: {}", answer.text());
    answer
}

#[test]
fn a_token_opens_and_goes_no_further() {
    let (upstream, signer) = (Upstream::listen(), Signer::new("one"));
    let jwks = file_of("opens", &[&signer]);
    let log = std::env::temp_dir().join(format!("sluicegate-tokens-{}.log", std::process::id()));
    let more = format!("[access_log]\nto = \"{}\"\n", log.display());
    let gateway = Gateway::start(&config(&upstream, &jwks, "", &more));
    let mut client = gateway.connect();
    let token = signer.token(json!({}));
    for field in ["Authorization: Bearer ", "x-api-key: ", "api-key: ", "x-goog-api-key: "] {
        let fields = format!("{field}{token}\r\n");
        let (seen, _) = passes(&mut client, &upstream, &request("/v1/chat/completions", &fields));
        for name in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
            assert_eq!(seen.field(name), None, "{field}");
        }
        assert_eq!(seen.text(), BODY);
    }
    // What is somebody else's goes on, and one of ours beside it does not, though nobody proved it.
    let second = signer.token(json!({"sub": "bob"}));
    let fields =
        format!("Authorization: Bearer {token}\r\napi-key: {second}\r\nx-api-key: sk-1\r\n");
    let (seen, _) = passes(&mut client, &upstream, &request("/v1/chat/completions", &fields));
    assert_eq!((seen.field("api-key"), seen.field("x-api-key")), (None, Some("sk-1")));
    let signature = token.rsplit('.').next().expect("a signature");
    drop(client);
    let watch = Instant::now();
    let told = loop {
        let told = std::fs::read_to_string(&log).unwrap_or_default();
        if told.lines().count() == 5 {
            break told;
        }
        assert!(watch.elapsed() < PATIENCE, "five lines in: {told}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(told.matches("corp:ann").count(), 5, "{told}");
    assert!(!told.contains(signature), "no token is in the log");
    assert_eq!(gateway.count_in_log(signature), 0, "no token is in the log");
}

#[test]
fn each_refusal_has_its_code_and_says_what_is_wrong() {
    let (upstream, signer) = (Upstream::listen(), Signer::new("one"));
    let jwks = file_of("refused", &[&signer]);
    let tier = "claims = { tier = \"plan\" }\n[tiers.gold]\nrequests_per_minute = 100\n";
    let gateway = Gateway::start(&config(&upstream, &jwks, tier, ""));
    let mut client = gateway.connect();
    let gold = |with: Value| {
        let mut with = with;
        with["plan"] = with.get("plan").cloned().unwrap_or(json!("gold"));
        signer.token(with)
    };
    let forged = Signer::new("one").token(json!({"plan": "gold"}));
    let unknown = Signer::new("two").token(json!({"plan": "gold"}));
    for (token, status, code, said) in [
        (forged.clone(), 401, "invalid_token", "its signature is wrong"),
        (unknown, 401, "token_key_unknown", "its key is not known"),
        (gold(json!({"iss": "https://evil.test"})), 401, "token_issuer_unknown", "issuer"),
        (gold(json!({"aud": ["b", "c"]})), 401, "token_audience", "audience"),
        (gold(json!({"exp": "soon"})), 401, "invalid_token", "its exp, nbf or iat is no number"),
        (gold(json!({"exp": 5})), 401, "token_expired", "it has expired"),
        (gold(json!({"nbf": 4_102_444_800_u64})), 401, "token_not_yet_valid", "not valid yet"),
        (gold(json!({"plan": "silver"})), 403, "token_claims", "insufficient_scope"),
        ("eyJhbGciOiJub25lIn0.e30.".to_owned(), 401, "token_issuer_unknown", "issuer"),
        ("eyJhbGciOiJub25lIn0.e30.AA.AA".to_owned(), 401, "invalid_token", "no signed token"),
    ] {
        let answer = refused(&mut client, &chat(&token), status, code);
        let challenge = answer.field("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer error=") && challenge.contains(said), "{challenge}");
    }
    // In the words of the path, and with the name of the field that they use.
    let anthropic = request("/v1/messages", &format!("x-api-key: {forged}\r\n"));
    let answer = refused(&mut client, &anthropic, 401, "authentication_error");
    assert_eq!(answer.json()["type"], "error");
    // A request without any is asked for one, in the plain way.
    let answer = refused(&mut client, &request("/v1/chat/completions", ""), 401, "missing_api_key");
    assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
    // Where a stranger may come in, a token of another issuer is for somebody further on.
    let foreign = gold(json!({"iss": "https://evil.test"}));
    let fields = format!("Authorization: Bearer {foreign}\r\n");
    let (seen, _) = passes(&mut client, &upstream, &request("/maybe/a", &fields));
    assert_eq!(seen.field("authorization"), Some(&*format!("Bearer {foreign}")));
    let fields = format!("Authorization: Bearer {forged}\r\n");
    refused(&mut client, &request("/maybe/a", &fields), 401, "invalid_token");
    upstream.expect_nobody();
}

#[test]
fn a_subject_has_one_limit_over_its_tokens_and_over_a_reload() {
    let (upstream, signer) = (Upstream::listen(), Signer::new("one"));
    let jwks = file_of("limits", &[&signer]);
    let tier = "tier = \"small\"\n[tiers.small]\nrequests_per_minute = 3\nmodels = [\"llama-*\"]\n";
    let text = config(&upstream, &jwks, tier, "");
    let gateway = Gateway::start(&text);
    let mut client = gateway.connect();
    for number in 0..2 {
        let token = signer.token(json!({"jti": number}));
        let (_, answer) = passes(&mut client, &upstream, &chat(&token));
        let left = (2 - number).to_string();
        assert_eq!(answer.field("x-ratelimit-remaining-requests"), Some(&*left));
    }
    gateway.rewrite(&text.replace("[tiers.small]", "# again\n[tiers.small]"));
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 1");
    passes(&mut client, &upstream, &chat(&signer.token(json!({"jti": 3}))));
    refused(&mut client, &chat(&signer.token(json!({"jti": 4}))), 429, "rate_limited");
    // Another subject has a limit of its own, and the same models.
    let bob = signer.token(json!({"sub": "bob"}));
    passes(&mut client, &upstream, &chat(&bob));
    let other = chat(&bob).replace("llama-3", "qwen-33");
    refused(&mut client, &other, 403, "key_not_allowed");
}

#[test]
fn keys_are_those_that_the_issuer_has_told_last() {
    let (upstream, publisher) = (Upstream::listen(), Publisher::start());
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let jwks = format!("http://{}/keys?of=corp", publisher.address);
    let gateway = Gateway::start(&config(&upstream, &jwks, "refresh = \"1s\"", ""));
    let mut client = gateway.connect();
    let (first, second) = (old.token(json!({})), new.token(json!({})));
    // It is away from the beginning: nobody comes in, and is told to come again.
    let answer = refused(&mut client, &chat(&first), 503, "issuer_unavailable");
    assert_eq!(answer.field("retry-after"), Some("2"));
    gateway.wait_for_log("its keys cannot be read");
    publisher.publishes(&[&old]);
    gateway.wait_for_log("its keys are read again");
    std::thread::sleep(Duration::from_millis(1_100));
    passes(&mut client, &upstream, &chat(&first));
    // Whatever it answers instead, they stay.
    let long = json!({"keys": [old.jwk()], "x": "x".repeat(2 << 20)}).to_string();
    for (status, fields, body) in [
        ("302 Found", "Location: http://127.0.0.1:1/keys\r\n", &b""[..]),
        ("500 Oops", "", b"{}"),
        ("200 OK", "", b"<html>"),
        ("200 OK", "", b"{\"keys\":[]}"),
        ("200 OK", "", long.as_bytes()),
    ] {
        publisher.answers(status, fields, body);
        publisher.wait_for_question();
        passes(&mut client, &upstream, &chat(&first));
    }
    gateway.wait_for_log("a redirect is not followed");
    publisher.is_silent();
    publisher.wait_for_question();
    passes(&mut client, &upstream, &chat(&first));
    refused(&mut client, &chat(&second), 401, "token_key_unknown");
    // Other keys: the new one opens, and the old one no more, though its token was remembered.
    publisher.publishes(&[&new]);
    let watch = Instant::now();
    loop {
        client.send(chat(&second));
        if let Some(mut server) = upstream.accept_within(Duration::from_millis(500)) {
            server.read_request();
            server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
        }
        if client.read_response().status() == 200 {
            break;
        }
        assert!(watch.elapsed() < PATIENCE, "the new key is never known");
    }
    refused(&mut client, &chat(&first), 401, "token_key_unknown");
}

#[test]
fn a_forged_key_name_has_the_issuer_asked_seldom() {
    let (upstream, publisher) = (Upstream::listen(), Publisher::start());
    let signer = Signer::new("one");
    publisher.publishes(&[&signer]);
    let jwks = format!("http://{}/keys", publisher.address);
    let gateway = Gateway::start(&config(&upstream, &jwks, "refresh = \"1h\"", ""));
    gateway.wait_for_log("1 keys");
    let mut client = gateway.connect();
    for number in 0..200 {
        let token = Signer::new("other").token(json!({"jti": number}));
        refused(&mut client, &chat(&token), 401, "token_key_unknown");
    }
    let asked = publisher.asked.load(Ordering::SeqCst);
    assert!(asked <= 3, "200 names that are not known had it asked {asked} times");
    passes(&mut client, &upstream, &chat(&signer.token(json!({}))));
}

#[test]
fn a_stream_goes_on_amid_a_storm_of_forged_tokens() {
    let (upstream, signer) = (Upstream::listen(), Signer::new("one"));
    let jwks = file_of("storm", &[&signer]);
    let gateway = Gateway::start(&config(&upstream, &jwks, "", ""));
    let mut client = gateway.connect();
    client.send(chat(&signer.token(json!({}))));
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 0\n\n");
    client.read_until("data: 0");
    let forger = Signer::new("one");
    let mut storm: Vec<Peer> = (0..300).map(|_| gateway.connect()).collect();
    for (number, peer) in storm.iter_mut().enumerate() {
        peer.send(chat(&forger.token(json!({"jti": number}))));
        if number % 30 == 0 {
            server.send(format!("data: {}\n\n", number + 1));
            client.read_until(&format!("data: {}\n", number + 1));
        }
    }
    for peer in &mut storm {
        assert_eq!(peer.read_response().status(), 401);
    }
    upstream.expect_nobody();
}
