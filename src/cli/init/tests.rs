//! Which servers are found, which APIs are known, and what is written for them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::thread;

use super::configuration::{Plan, PlannedServer};
use super::looking::{Looked, Wishes, key_of_place, look_around};
use super::places::located;
use super::{apis, ask, checked, clients, in_place_of_servers, variable_name};
use crate::config::{self, Environment};

fn plan(servers: &[&str]) -> Plan {
    Plan {
        listen: ([127, 0, 0, 1], 8080).into(),
        admin: ([127, 0, 0, 1], 9090).into(),
        servers: servers.iter().map(|text| unasked(text)).collect(),
        spare: Vec::new(),
    }
}

/// One that was named and not asked.
fn unasked(text: &str) -> PlannedServer {
    match apis::at(text) {
        Some(api) => PlannedServer::of(api, api.variable),
        None => PlannedServer::at(text, None, None),
    }
}

/// What a server says to this path, with these further lines in the head, or 404.
type Documents = &'static [(&'static str, u16, &'static str, &'static str)];

/// A server with these documents, and the heads that it was sent.
fn server(documents: Documents) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let heads = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&heads);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let found = documents.iter().find(|(known, ..)| *known == path);
            let (_, status, lines, body) = found.unwrap_or(&("", 404, "", "{}"));
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\n{lines}Content-Length: {length}");
            noted.lock().expect("no test panics with it").push(request);
            let _ = write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}");
        }
    });
    (address, heads)
}

/// What is found where these are the usual places.
fn found_on(usual: &[SocketAddr], key_env: Option<&str>) -> Looked {
    let usual: Vec<String> = usual.iter().map(ToString::to_string).collect();
    let wishes = Wishes { usual: &usual, probe: &[], upstream: &[], key_env };
    look_around(&wishes).expect("each place is one")
}

/// vLLM with `--api-key`: its API is closed, and its metrics are open.
const CLOSED_VLLM: Documents = &[
    ("/v1/models", 401, "Content-Type: application/json\r\n", r#"{"error":"Unauthorized"}"#),
    ("/metrics", 200, "", "# TYPE x gauge\nvllm:num_requests_running{engine=\"0\"} 0.0\n"),
    ("/health", 200, "", ""),
];

/// A server that everybody may ask.
const OPEN: Documents =
    &[("/v1/models", 200, "", r#"{"object":"list","data":[{"id":"m","owned_by":"x"}]}"#)];

const MODELS: &str = r#"{"object":"list","data":[{"id":"m","owned_by":"vllm"}]}"#;

/// A gateway that passes everything on.
const RELAYS: Documents = &[
    ("/v1/models", 200, "Via: 1.1 sluicegate\r\n", MODELS),
    ("/sluicegate-discover", 404, "Via: 1.1 nginx, 1.1 sluicegate\r\n", "{}"),
];

/// A gateway that tells the models itself, and has no other path.
const ANSWERS: Documents = &[
    ("/v1/models", 200, "", MODELS),
    (
        "/sluicegate-discover",
        404,
        "",
        r#"{"error":{"message":"x","type":"y","code":"no_route","hint":"z"}}"#,
    ),
];

const OLLAMA: Documents = &[
    ("/api/version", 200, "", r#"{"version":"0.14.1"}"#),
    (
        "/v1/models",
        200,
        "",
        r#"{"data":[{"id":"qwen3:8b","owned_by":"library"},{"id":"llama3.2:latest","owned_by":"library"}]}"#,
    ),
];

const FRAMEWORK: Documents =
    &[("/v1/models", 401, "", r#"{"status":401,"error":"Unauthorized","path":"/v1/models"}"#)];

/// What `check` would say: a key is set, and the names need no address.
fn accepted(text: &str) {
    let variable = |_: &str| Some("a-key".to_owned());
    let environment = Environment { variable, ..Environment::current() };
    let text = text.replace("https://", "https://127.0.0.1/");
    let read = config::parse(&text, &environment);
    match read {
        Ok(loaded) => assert_eq!(loaded.warnings, [], "{text}"),
        Err(problems) => panic!("{problems:?}\n{text}"),
    }
}

/// Where a request for this model goes, by the routes as they are written: those of `/v1/*`.
fn leads(text: &str, model: &str) -> String {
    let routes =
        text.split("\n[[route]]\n").skip(1).filter(|it| it.starts_with("path = \"/v1/*\""));
    for route in routes {
        let value = |key: &str| route.lines().find_map(|line| line.strip_prefix(key));
        let takes = |pattern: &str| match pattern.strip_suffix('*') {
            Some(begin) => model.starts_with(begin),
            None => model == pattern,
        };
        let when = value("when = { model = [").map(|it| it.trim_end_matches("] }"));
        let patterns = when.map(|it| it.split(", ").map(|it| it.trim_matches('"')));
        if patterns.is_none_or(|mut patterns| patterns.any(takes)) {
            return value("upstream = ").expect("it leads somewhere").replace('"', "");
        }
    }
    panic!("nowhere: {text}");
}

#[test]
fn an_api_is_known_by_its_host_and_nothing_else() {
    for (text, name) in [
        ("https://api.anthropic.com", Some("anthropic")),
        ("https://api.anthropic.com/v1/", Some("anthropic")),
        ("api.anthropic.com:443", Some("anthropic")),
        ("https://API.OpenAI.com", Some("openai")),
        ("https://api.groq.com/openai/v1", Some("groq")),
        ("https://openrouter.ai", Some("openrouter")),
        ("https://generativelanguage.googleapis.com/v1beta", Some("gemini")),
        // Another dialect stands below these.
        ("https://generativelanguage.googleapis.com/v1beta/openai", None),
        ("https://api.deepseek.com/anthropic", None),
        ("https://api.anthropic.com.example.org", None),
        ("https://api.anthropic.com:8443", None),
        ("http://api.anthropic.com", None),
        ("https://nobody.invalid/v1", None),
        ("127.0.0.1:8000", None),
    ] {
        assert_eq!(apis::at(text).map(|api| api.name), name, "{text}");
    }
}

#[test]
fn each_known_api_gets_its_dialect_and_its_key() {
    let all = apis::with_key(|_| true);
    for api in &all {
        let plan = plan(&[&api.url()]);
        let text = plan.text();
        accepted(&text);
        let key = format!("api_key = {{ env = \"{}\" }}", api.variable);
        for part in [&key, &format!("endpoints = [\"{}\"]", api.url())] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("did not answer"), "{text}");
    }
    let text = plan(&["https://api.anthropic.com"]).text();
    assert!(text.contains("\nservice = \"anthropic\"\ntranslate_to = \"anthropic\"\n"), "{text}");
    let text = plan(&["https://generativelanguage.googleapis.com"]).text();
    assert!(text.contains("\nservice = \"gemini\"\ntranslate_to = \"gemini\"\n"), "{text}");
    assert!(text.contains("path = \"/v1beta/*\""), "{text}");
    // Of a host that is not known nothing is said.
    let text = plan(&["https://nobody.invalid/v1"]).text();
    assert!(!text.contains("service =") && !text.contains("api_key"), "{text}");
    assert!(text.contains("# Nothing is known of it"), "{text}");
}

#[test]
fn several_apis_are_told_apart_by_the_models_names() {
    let text = plan(&["https://api.openai.com", "https://api.anthropic.com"]).text();
    accepted(&text);
    let part = "when = { model = [\"claude-*\"] }\nupstream = \"anthropic\"";
    assert!(text.contains(part), "{text}");
}

#[test]
fn an_api_with_a_key_stands_in_for_servers_or_beside_them_as_a_comment() {
    let set = apis::with_key(|name| ["ANTHROPIC_API_KEY", "GROQ_API_KEY"].contains(&name));
    let nobody = Looked::default();
    let name = |key_env| in_place_of_servers(&nobody, &set, key_env).map(|api| api.name);
    assert_eq!(name(None), Some("anthropic"));
    assert_eq!(name(Some("GROQ_API_KEY")), Some("groq"));
    // It is the key of somebody else.
    assert_eq!(name(Some("MY_KEY")), None);
    let servers = vec![unasked("127.0.0.1:8000")];
    let looked = Looked { servers, ..Looked::default() };
    assert_eq!(in_place_of_servers(&looked, &set, None), None);
    // It may be the one that is meant, and the API costs money.
    let closed = vec!["127.0.0.1:8000".to_owned()];
    let looked = Looked { closed, ..Looked::default() };
    assert_eq!(in_place_of_servers(&looked, &set, None), None);

    let beside = Plan { spare: apis::with_key(|_| true), ..plan(&["127.0.0.1:8000"]) };
    let text = beside.text();
    accepted(&text);
    let (_, comments) = text.split_once("\n# OPENAI_API_KEY is set.").expect("it is told");
    assert!(comments.lines().skip(1).all(|line| line.is_empty() || line.starts_with("# ")));
    // Without the marks it is part of the configuration.
    let marks = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with("[[") || rest.contains(" = ") => format!("{rest}\n"),
        _ => String::new(),
    };
    let taken: String = comments.lines().skip(1).map(marks).collect();
    let whole = format!("{}\n{taken}", text.split_once("\n# OPENAI_API_KEY").expect("it is").0);
    assert!(whole.contains("\n[[upstream]]\nname = \"together\"\n"), "{whole}");
    accepted(&whole);
}

#[test]
fn the_examples_fit_what_is_written() {
    let file = std::path::Path::new("gate.toml");
    let guide = clients::guide(&plan(&["https://api.anthropic.com"]), file);
    assert!(guide.contains("MODEL stands for the name of a model"), "{guide}");
    assert!(!guide.contains("with translate_to"), "{guide}");
    let guide = clients::guide(&plan(&["https://api.openai.com"]), file);
    assert!(guide.contains("(with translate_to = \"openai\" in its upstream)"), "{guide}");
}

#[test]
fn a_place_is_http_or_https() {
    let plain = located("http://127.0.0.1/base/").expect("a place");
    assert_eq!(
        (plain.addresses[0].port(), plain.tls.is_some(), &*plain.base),
        (80, false, "/base")
    );
    // A machine without a list of authorities says so.
    if let Ok(sealed) = located("https://127.0.0.1") {
        assert_eq!((sealed.addresses[0].port(), sealed.tls.is_some()), (443, true));
    }
    let why = located("ftp://127.0.0.1").err();
    assert_eq!(why.as_deref(), Some("ftp:// is neither http:// nor https://"));
}

/// A vLLM with a key was not seen, and a paid API taken in its place.
#[test]
fn a_server_that_wants_a_key_is_one_and_what_may_be_one_is_told() {
    let vllm = server(CLOSED_VLLM).0;
    let another = server(&[("/v1/models", 401, "WWW-Authenticate: Bearer\r\n", "no")]).0;
    // Pages for people, and a framework that closes every path.
    let pages = server(&[("/v1/models", 403, "", "<html>Sign in</html>")]).0;
    let basic = server(&[("/v1/models", 401, "WWW-Authenticate: Basic realm=\"x\"\r\n", "no")]).0;
    let framework = server(FRAMEWORK).0;
    let web = server(&[("/v1/models", 200, "", "<html>")]).0;
    let looked = found_on(&[pages, vllm, basic, another, framework, web], None);
    let servers = looked.servers.iter().map(|server| server.written.clone());
    assert_eq!(Vec::from_iter(servers), [vllm, another].map(|it| it.to_string()));
    assert_eq!(looked.closed, [pages, basic, framework].map(|it| it.to_string()));
    let servers = looked.servers;
    let text = Plan { servers, ..plan(&[]) }.text();
    accepted(&text);
    assert!(text.contains("\nname = \"vllm\"\n"), "{text}");
    assert!(text.contains("# api_key = { env = \"VLLM_API_KEY\" }"), "{text}");
}

#[test]
fn a_key_is_one_places_and_a_known_api_has_its_own() {
    const OPENAI: &str = "https://api.openai.com/v1";
    const CLAUDE: &str = "https://api.anthropic.com";
    const HERE: &str = "127.0.0.1:8000";
    for (named, said, keys) in [
        (&[HERE][..], None, &[None][..]),
        (&[HERE], Some("MY_KEY"), &[Some("MY_KEY")]),
        (&[HERE, CLAUDE], Some("MY_KEY"), &[Some("MY_KEY"), Some("ANTHROPIC_API_KEY")]),
        (&[CLAUDE], Some("MY_KEY"), &[Some("MY_KEY")]),
        (&[CLAUDE], None, &[Some("ANTHROPIC_API_KEY")]),
        // It is the one's, so it is not the other's.
        (&[HERE, OPENAI], Some("OPENAI_API_KEY"), &[None, Some("OPENAI_API_KEY")]),
        (
            &[CLAUDE, OPENAI],
            Some("OPENAI_API_KEY"),
            &[Some("ANTHROPIC_API_KEY"), Some("OPENAI_API_KEY")],
        ),
        // A server here may have it where that API is not named.
        (&[HERE], Some("OPENAI_API_KEY"), &[Some("OPENAI_API_KEY")]),
    ] {
        let found = named.iter().map(|text| key_of_place(text, named, said));
        assert_eq!(Vec::from_iter(found), keys, "{named:?} {said:?}");
    }
    let upstream = [OPENAI, CLAUDE].map(str::to_owned);
    let wishes = Wishes { usual: &[], probe: &[], upstream: &upstream, key_env: Some("MY_KEY") };
    let why = look_around(&wishes).expect_err("nobody has it");
    assert_eq!(why, "MY_KEY is the key of nobody: each of these APIs has a variable of its own");
    let text = plan(&[HERE, CLAUDE]).text();
    assert_eq!(text.matches("api_key = ").count(), 1, "{text}");
}

/// It was sent to everybody on a usual port, and written for everybody.
#[test]
fn a_key_is_sent_to_nobody_who_has_not_asked_for_one() {
    // Cargo sets it: this key is no secret.
    const KEY: &str = "CARGO_PKG_NAME";
    assert_eq!(std::env::var(KEY).as_deref(), Ok("sluicegate"));
    let (vllm, vllm_heads) = server(CLOSED_VLLM);
    let (twin, twin_heads) = server(CLOSED_VLLM);
    let (open, open_heads) = server(OPEN);
    let with_key = |heads: &Mutex<Vec<String>>| {
        let heads = std::mem::take(&mut *heads.lock().expect("no test panics with it"));
        assert!(!heads.is_empty(), "it was asked");
        heads.iter().filter(|head| head.contains("Bearer sluicegate")).count()
    };
    let keys = |looked: &Looked| -> Vec<Option<String>> {
        looked.servers.iter().map(|server| server.key_env.clone()).collect()
    };
    // One wants it.
    let looked = found_on(&[open, vllm], Some(KEY));
    assert_eq!(keys(&looked), [None, Some(KEY.to_owned())]);
    assert_eq!(with_key(&open_heads), 0);
    assert!(with_key(&vllm_heads) > 0);
    // Two do, so nobody knows whose it is.
    let looked = found_on(&[open, vllm, twin], Some(KEY));
    assert_eq!(keys(&looked), [None, None, None]);
    assert_eq!([&open_heads, &vllm_heads, &twin_heads].map(|heads| with_key(heads)), [0, 0, 0]);
    // It is OpenAI's, set or not.
    let looked = found_on(&[open, vllm], Some("OPENAI_API_KEY"));
    assert_eq!(keys(&looked), [None, None]);
    // Whoever was named gets it.
    let probe = [open.to_string()];
    let wishes = Wishes { usual: &[], probe: &probe, upstream: &[], key_env: Some(KEY) };
    let looked = look_around(&wishes).expect("it is a place");
    assert_eq!(keys(&looked), [Some(KEY.to_owned())]);
    assert!(with_key(&open_heads) > 0);
}

#[test]
fn a_running_gateway_is_no_server_of_models() {
    let relays = server(RELAYS).0;
    let answers = server(ANSWERS).0;
    let server = server(OPEN).0;
    let looked = found_on(&[relays, answers, server], None);
    let servers = looked.servers.iter().map(|server| server.written.clone());
    assert_eq!(Vec::from_iter(servers), [server.to_string()]);
    assert!(looked.closed.is_empty());
    // Whoever names it means it.
    let probe = [relays.to_string()];
    let wishes = Wishes { usual: &[], probe: &probe, upstream: &[], key_env: None };
    assert_eq!(look_around(&wishes).expect("it is a place").servers.len(), 1);
}

/// All requests went to the first, and the others had no route.
#[test]
fn every_upstream_is_reached() {
    // What nobody has asked may be replicas.
    let text = plan(&["10.0.0.1:8000", "http://10.0.0.2:8000"]).text();
    accepted(&text);
    assert!(text.contains("endpoints = [\"10.0.0.1:8000\", \"http://10.0.0.2:8000\"]"), "{text}");
    for (servers, nameless, routes) in [
        (
            &["https://openrouter.ai", "https://api.groq.com"][..],
            &["groq"][..],
            &[("m", "openrouter"), ("MODEL-of-groq", "groq")][..],
        ),
        // What nobody knows goes where nobody knows the names.
        (
            &["https://api.anthropic.com", "https://openrouter.ai"],
            &[],
            &[("claude-1", "anthropic"), ("m", "openrouter")],
        ),
        // What was meant for a server here goes to no API.
        (&["127.0.0.1:8000", "https://api.groq.com"], &["groq"], &[("m", "models")]),
        // Nor do two APIs share what only one of them has.
        (&["https://one.invalid/v1", "https://two.invalid/v1"], &["models-2"], &[("m", "models")]),
    ] {
        let plan = plan(servers);
        let text = plan.text();
        accepted(&text);
        assert_eq!(plan.nameless(), nameless, "{text}");
        for (model, upstream) in routes {
            assert_eq!(leads(&text, model), *upstream, "{model}\n{text}");
        }
    }
    let (up, down) = (server(OPEN).0, unasked("127.0.0.1:1"));
    let found = found_on(&[up], None).servers.into_iter().chain([down]).collect();
    let plan = Plan { servers: found, ..plan(&[]) };
    let text = plan.text();
    accepted(&text);
    assert_eq!([leads(&text, "m"), leads(&text, "other")], ["models", "models-2"], "{text}");
}

#[test]
fn a_place_that_is_named_twice_is_taken_once() {
    let probe = ["127.0.0.1:1".to_owned()];
    let upstream = [
        "localhost:1",
        "http://127.0.0.1:1/v1/",
        "127.0.0.2:1",
        "https://api.openai.com",
        "https://api.openai.com/v1",
    ];
    let upstream = upstream.map(str::to_owned);
    let wishes = Wishes { usual: &[], probe: &probe, upstream: &upstream, key_env: None };
    let servers = look_around(&wishes).expect("places").servers;
    let servers = servers.iter().map(|server| &*server.written);
    let expected = ["127.0.0.1:1", "127.0.0.2:1", "https://api.openai.com/v1"];
    assert_eq!(Vec::from_iter(servers), expected);
}

/// It was asked for nothing, and written as something of which nothing is known.
#[test]
fn what_is_answered_is_looked_at() {
    let asked = |answers: &[&str], found| {
        let mut answers = answers.iter();
        let mut told = |_: &str| Ok(answers.next().expect("one question more").to_string());
        let servers = ask(found, None, &mut told).expect("answers that can be taken");
        assert_eq!(answers.next(), None, "each question was put");
        Plan { servers, ..plan(&[]) }
    };
    let ollama = server(OLLAMA).0.to_string();
    let plan = asked(&[&ollama], Vec::new());
    let text = plan.text();
    accepted(&text);
    for part in ["name = \"ollama\"", "host = \"endpoint\"", "path = \"/api/*\"", "translate_to"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(plan.model(), "qwen3:8b");
    let text = asked(&["https://api.groq.com"], Vec::new()).text();
    assert!(text.contains("api_key = { env = \"GROQ_API_KEY\" }"), "{text}");
    // Nobody is there, and the key is asked for; who has said who he is and wants none is not asked.
    let text = asked(&["127.0.0.1:1", "MY_KEY"], Vec::new()).text();
    assert!(text.contains("api_key = { env = \"MY_KEY\" }"), "{text}");
    let (open, (vllm, heads)) = (server(OPEN).0, server(CLOSED_VLLM));
    let found = found_on(&[open, vllm], None).servers;
    let before = heads.lock().expect("no test panics with it").len();
    let text = asked(&["n", "", "CARGO_PKG_NAME"], found).text();
    assert!(text.contains("api_key = { env = \"CARGO_PKG_NAME\" }"), "{text}");
    assert!(!text.contains(&open.to_string()), "{text}");
    let heads = heads.lock().expect("no test panics with it");
    assert!(heads[before..].iter().any(|head| head.contains("Bearer sluicegate")), "{heads:?}");
}

/// Beside another server only the name with its tag got to Ollama.
#[test]
fn ollamas_latest_is_known_without_its_tag() {
    let (open, ollama) = (server(OPEN).0, server(OLLAMA).0);
    let servers = found_on(&[open, ollama], None).servers;
    let text = Plan { servers, ..plan(&[]) }.text();
    accepted(&text);
    for (model, upstream) in [
        ("llama3.2", "ollama"),
        ("llama3.2:latest", "ollama"),
        ("qwen3:8b", "ollama"),
        // The latest is another one than that, and is not here.
        ("qwen3", "models"),
        ("m", "models"),
    ] {
        assert_eq!(leads(&text, model), upstream, "{model}\n{text}");
    }
}

#[test]
fn a_unix_socket_is_a_place() {
    let path = std::env::temp_dir().join(format!("sluicegate-init-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a socket in a temporary folder");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let length = MODELS.len();
            let _ = write!(stream, "HTTP/1.1 200 X\r\nContent-Length: {length}\r\n\r\n{MODELS}");
        }
    });
    let probe = [format!("unix:{}", path.display())];
    let wishes = Wishes { usual: &[], probe: &probe, upstream: &probe, key_env: None };
    let servers = look_around(&wishes).expect("it is a place").servers;
    let _ = std::fs::remove_file(&path);
    let text = Plan { servers, ..plan(&[]) }.text();
    accepted(&text);
    assert!(text.contains(&format!("name = \"vllm\"\nendpoints = [\"{}\"]\n", probe[0])), "{text}");
    for wrong in ["unix:", "unix:relative", &format!("unix:/{}", "x".repeat(200))] {
        let why = located(wrong).err().expect("no path");
        assert!(why.starts_with("a Unix socket is unix: and the whole path"), "{why}");
    }
}

#[test]
fn a_variable_has_a_name_and_a_refusal_no_line() {
    for good in ["A", "MY_KEY", "_x9"] {
        assert_eq!(variable_name(good).as_deref(), Ok(good));
    }
    for wrong in ["", "BAD NAME", "9A", "A-B", "$A", "A=b"] {
        assert!(variable_name(wrong).is_err(), "{wrong:?}");
    }
    // The gateway would be in front of itself: of a text that nobody has seen.
    let plan = plan(&["127.0.0.1:8080"]);
    let why = checked(&plan.text(), &plan).expect_err("it is refused");
    assert!(why.contains("the gateway would forward to itself"), "{why}");
    assert!(!why.contains("line "), "{why}");
}
