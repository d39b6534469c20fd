//! `sluicegate init`: what it writes is accepted and serves, and what it says to try works.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use sluicegate::control::identify::{self, ServerPlace};

use crate::harness::{Config, Gateway, Mock, Upstream, run, sluicegate};
use crate::tls::{Authority, Sealed};

/// A folder of this test, removed when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("sluicegate-init-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn file(&self) -> String {
        self.0.join("gate.toml").display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An address that nobody listens on.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// A server that has these documents, and nothing else.
fn server(documents: &'static [(&'static str, &'static str)]) -> SocketAddr {
    Upstream::serve(move |mut peer| {
        while let Some(request) = peer.next_request() {
            let path = request.start.split(' ').nth(1).unwrap_or_default().to_owned();
            let found = documents.iter().find(|(known, _)| *known == path);
            let (status, body) = found.map_or((404, "{}"), |(_, body)| (200, *body));
            let length = body.len();
            peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}"));
        }
    })
}

#[test]
fn from_nothing_to_the_first_token() {
    let mock = Mock::start(&[]);
    let folder = Folder::new("first");
    let (file, listen, admin) = (folder.file(), free(), free());
    let server = mock.address().to_string();
    let ended = sluicegate(&[
        "init",
        "--probe",
        &server,
        "--listen",
        &listen,
        "--admin-listen",
        &admin,
        "--output",
        &file,
    ]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let text = fs::read_to_string(&file).expect("it was written");
    let checked = sluicegate(&["check", "--config", &file]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}\n{text}");
    assert!(!checked.stderr.contains("warning"), "{checked:?}");
    let _gateway = Gateway::start(&text);
    let curl = ended.stdout.lines().find(|line| line.starts_with("  curl ")).expect("a request");
    let answer = run(Command::new("sh").args(["-c", curl]));
    assert!(answer.stdout.contains("chat.completion.chunk"), "{curl}: {answer:?}");
    assert!(answer.stdout.trim_end().ends_with("data: [DONE]"), "{answer:?}");
    for client in ["Open WebUI", "Claude Code", "Codex", "Continue", "LangChain", "npm install"] {
        assert!(ended.stdout.contains(client), "{client}");
    }
    assert!(ended.stdout.contains(&format!("http://{listen}/v1")));
}

#[test]
fn each_kind_of_server_gets_what_it_needs_and_check_accepts_it() {
    let vllm = server(&[
        ("/v1/models", r#"{"object":"list","data":[{"id":"meta/llama","owned_by":"vllm"}]}"#),
        ("/health", ""),
    ]);
    let twin = server(&[
        ("/v1/models", r#"{"object":"list","data":[{"id":"meta/llama","owned_by":"vllm"}]}"#),
        ("/health", ""),
    ]);
    let ollama = server(&[
        ("/api/version", r#"{"version":"0.14.1"}"#),
        ("/v1/models", r#"{"object":"list","data":[{"id":"qwen3:8b","owned_by":"library"}]}"#),
    ]);
    let folder = Folder::new("kinds");
    let file = folder.file();
    let servers = [vllm, twin, ollama].map(|address| address.to_string());
    let mut arguments = vec!["init", "--output", &file];
    servers.iter().for_each(|server| arguments.extend(["--probe", server]));
    let ended = sluicegate(&arguments);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let text = fs::read_to_string(&file).expect("it was written");
    for part in [
        format!("name = \"vllm\"\nendpoints = [\"{vllm}\", \"{twin}\"]\n"),
        "health = { path = \"/health\" }".to_owned(),
        "health = { path = \"/api/version\" }".to_owned(),
        "host = \"endpoint\"".to_owned(),
        "when = { model = [\"meta/llama\"] }\nupstream = \"vllm\"".to_owned(),
        "when = { model = [\"qwen3:8b\"] }\nupstream = \"ollama\"".to_owned(),
        "path = \"/v1/models\"\nmodels = \"all\"".to_owned(),
        "path = \"/api/*\"\nupstream = \"ollama\"".to_owned(),
        "translate_to = \"openai\"".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}\n{text}");
    }
    let checked = sluicegate(&["check", "--config", &file]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}\n{text}");
}

#[test]
fn a_file_that_is_there_stays_and_one_without_servers_is_not_written() {
    let folder = Folder::new("stays");
    let file = folder.file();
    let nobody = free();
    let arguments = ["init", "--probe", &nobody, "--output", &file];
    let ended = sluicegate(&arguments);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no server of models answers there"), "{ended:?}");
    assert!(!fs::exists(&file).expect("a folder"));
    fs::write(&file, "mine").expect("a file");
    let trusted = ["init", "--upstream", &nobody, "--output", &file];
    let ended = sluicegate(&trusted);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");
    let forced = sluicegate(&[&trusted[..], &["--force"]].concat());
    assert_eq!(forced.status.code(), Some(0), "{forced:?}");
    assert!(fs::read_to_string(&file).expect("it is there").contains(&nobody));
    let tls = ["init", "--upstream", "https://nobody.invalid/v1", "--output", "-"];
    let ended = sluicegate(&tls);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stdout.contains("endpoints = [\"https://nobody.invalid/v1\"]"), "{ended:?}");
}

#[test]
fn a_key_is_named_and_never_written() {
    let refuses = Upstream::serve(|mut peer| {
        while let Some(request) = peer.next_request() {
            let (status, body) = match request.field("authorization") {
                Some("Bearer s3cret-key") => {
                    (200, "{\"data\":[{\"id\":\"m\",\"owned_by\":\"vllm\"}]}")
                }
                _ => (401, "{}"),
            };
            let length = body.len();
            peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}"));
        }
    });
    let server = refuses.to_string();
    let with = ["init", "--probe", &server, "--api-key-env", "MY_KEY", "--output", "-"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    let ended = run(command.args(with).env("MY_KEY", "s3cret-key"));
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stdout.contains("name = \"vllm\""), "{ended:?}");
    assert!(ended.stdout.contains("api_key = { env = \"MY_KEY\" }"), "{ended:?}");
    assert!(!format!("{ended:?}").contains("s3cret"), "{ended:?}");
    let without = sluicegate(&["init", "--probe", &server, "--output", "-"]);
    assert!(without.stdout.contains("# It wants a key"), "{without:?}");
}

#[test]
fn a_known_api_is_asked_in_its_dialect_with_its_key() {
    let (sender, asked) = mpsc::channel();
    let api = Upstream::serve(move |mut peer| {
        while let Some(request) = peer.next_request() {
            let key = request.field("x-api-key").unwrap_or_default().to_owned();
            let _ =
                sender.send((request.start.clone(), key, request.field("authorization").is_some()));
            let body = concat!(
                r#"{"type":"message","id":"m","role":"assistant","model":"c","stop_reason":"end_turn","#,
                r#""content":[{"type":"text","text":"hello"}],"usage":{"input_tokens":1,"output_tokens":1}}"#
            );
            let length = body.len();
            let head = format!("Content-Type: application/json\r\nContent-Length: {length}");
            peer.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}"));
        }
    });
    let folder = Folder::new("api");
    let (file, listen, admin) = (folder.file(), free(), free());
    let url = "https://api.anthropic.com";
    let places = ["--listen", &listen, "--admin-listen", &admin, "--output", &file];
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    let key = "s3cret-key";
    command.args(["init", "--upstream", url]).args(places);
    let ended = run(command.env("ANTHROPIC_API_KEY", key).env("OPENAI_API_KEY", key));
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("taken without being asked"), "{ended:?}");
    assert!(ended.stderr.contains("OPENAI_API_KEY is set"), "{ended:?}");
    assert!(!ended.stderr.contains("does not answer"), "{ended:?}");
    let text = fs::read_to_string(&file).expect("it was written");
    assert!(!format!("{ended:?}{text}").contains("s3cret"), "{ended:?}\n{text}");
    let mut check = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    let checked = run(check.args(["check", "--config", &file]).env("ANTHROPIC_API_KEY", key));
    assert_eq!(checked.status.code(), Some(0), "{checked:?}\n{text}");
    // The same, with the API on this machine.
    let here = text.replace(url, &format!("http://{api}"));
    let _gateway = Gateway::start_with(&here, |command| {
        command.env("ANTHROPIC_API_KEY", key);
    });
    let curl = ended.stdout.lines().find(|line| line.starts_with("  curl ")).expect("a request");
    let curl = curl.replace("\"stream\":true", "\"stream\":false");
    let answer = run(Command::new("sh").args(["-c", &curl]));
    assert!(answer.stdout.contains("chat.completion"), "{curl}: {answer:?}");
    assert!(answer.stdout.contains("hello"), "{answer:?}");
    let (start, sent, bearer) = asked.recv_timeout(Duration::from_secs(30)).expect("it is asked");
    assert_eq!((&*start, &*sent, bearer), ("POST /v1/messages HTTP/1.1", key, false));
}

#[test]
fn a_key_in_the_environment_is_enough() {
    let folder = Folder::new("environment");
    let file = folder.file();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.args(["init", "--yes", "--output", &file]).env("GROQ_API_KEY", "s3cret-key");
    let ended = run(command.env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY"));
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("GROQ_API_KEY is set"), "{ended:?}");
    let text = fs::read_to_string(&file).expect("it was written");
    // As a comment, where this machine has a server.
    assert!(text.contains("endpoints = [\"https://api.groq.com/openai/v1\"]\n"), "{text}");
    assert!(text.contains("api_key = { env = \"GROQ_API_KEY\" }\n"), "{text}");
    assert!(!format!("{ended:?}{text}").contains("s3cret"), "{ended:?}\n{text}");
}

#[test]
fn a_server_is_probed_under_tls() {
    let mock = Mock::start(&[]);
    let authority = Authority::new();
    let pair = authority.issue(&["127.0.0.1"]);
    let config = Config::to(mock.address());
    let sealed = Sealed::start(&config, &format!("certificates = [{}]", pair.entry()));
    let url = format!("https://127.0.0.1:{}", sealed.port);
    let probe = |believed: &Authority| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        command.args(["init", "--probe", &url, "--output", "-"]);
        run(command.env("SSL_CERT_FILE", &believed.ca))
    };
    let ended = probe(&authority);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stdout.contains(&format!("endpoints = [\"{url}\"]")), "{ended:?}");
    assert!(ended.stderr.contains("found "), "{ended:?}");
    // Who is not believed is not asked, and that is said.
    let ended = probe(&Authority::new());
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no TLS session"), "{ended:?}");
}

/// A second `init` took a gateway on port 8080 for the server behind it.
#[test]
fn a_running_gateway_is_known_by_what_it_answers() {
    let mock = Mock::start(&[]);
    let vllm = server(&[("/v1/models", r#"{"data":[{"id":"m","owned_by":"vllm"}]}"#)]);
    let is_gateway = |address: SocketAddr| {
        let host = address.to_string();
        let place =
            ServerPlace { address, tls: None, host: &host, base: "", key_lines: "", rules: None };
        identify::is_gateway(place)
    };
    assert!(!is_gateway(mock.address()), "a mock stands for a server");
    let to_all = Gateway::to(mock.address());
    assert!(is_gateway(to_all.address()), "it passes everything on");
    // As `init` writes it for several servers: the list is its own, and nobody has the other paths.
    let lists = Config {
        route: "path = \"/v1/*\"".into(),
        more: "[[route]]\npath = \"/v1/models\"\nmodels = \"all\"".into(),
        ..Config::to(vllm)
    };
    assert!(is_gateway(lists.start().address()), "it answers itself");
    let closed = format!("[keys.k]\nhash = \"sha256:{}\"", "0".repeat(64));
    let closed = Config { more: closed, ..Config::to(mock.address()) };
    assert!(is_gateway(closed.start().address()), "it lets nobody in");
}

/// Beside another server `llama3.2` was asked of that one.
#[test]
fn a_model_of_ollamas_is_asked_for_without_its_tag() {
    let vllm = server(&[("/v1/models", r#"{"data":[{"id":"m","owned_by":"vllm"}]}"#)]);
    let ollama = server(&[
        ("/api/version", r#"{"version":"0.14.1"}"#),
        ("/v1/models", r#"{"data":[{"id":"llama3.2:latest","owned_by":"library"}]}"#),
        ("/v1/chat/completions", r#"{"object":"chat.completion","choices":[]}"#),
    ]);
    let folder = Folder::new("tag");
    let (file, listen, admin) = (folder.file(), free(), free());
    let (vllm, ollama) = (vllm.to_string(), ollama.to_string());
    let places = ["--listen", &listen, "--admin-listen", &admin, "--output", &file];
    let ended =
        sluicegate(&[&["init", "--probe", &vllm, "--probe", &ollama][..], &places].concat());
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let _gateway = Gateway::start(&fs::read_to_string(&file).expect("it was written"));
    let curl = |arguments: &[&str]| run(Command::new("curl").arg("-sS").args(arguments));
    let url = format!("http://{listen}/v1/chat/completions");
    for model in ["llama3.2", "llama3.2:latest"] {
        let body = format!(r#"{{"model":"{model}"}}"#);
        let answer = curl(&[&url, "-H", "Content-Type: application/json", "-d", &body]);
        assert!(answer.stdout.contains("chat.completion"), "{model}: {answer:?}");
        let answer = curl(&[&format!("http://{listen}/v1/models/{model}")]);
        assert!(answer.stdout.contains(&format!("\"id\":\"{model}\"")), "{model}: {answer:?}");
    }
}
