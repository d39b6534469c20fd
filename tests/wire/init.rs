//! `sluicegate init`: what it writes is accepted and serves, and what it says to try works.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Gateway, Mock, Upstream, run, sluicegate};

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
