//! `sluicegate doctor`: what it finds of servers and ports, and how it ends.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Gateway, Mock, Upstream, sluicegate};

/// A configuration in a file of this test.
struct File(std::path::PathBuf);

impl File {
    fn of(name: &str, text: &str) -> File {
        let name = format!("sluicegate-doctor-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("a temporary file");
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn config(endpoint: &str, keys: &str) -> String {
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 10\n\
         [[upstream]]\nname = \"u\"\nendpoints = [\"{endpoint}\"]\n{keys}\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\n"
    )
}

/// The exit code, and the findings of an area: level and text.
fn doctor(config: &str, name: &str, area: &str) -> (Option<i32>, Vec<(String, String)>) {
    let file = File::of(name, config);
    let ended = sluicegate(&["doctor", "--json", "--config", file.path()]);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    let rows = told["findings"].as_array().expect("a list").iter();
    let of_area = rows.filter(|row| row["area"] == area);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = of_area.map(|row| (text(&row["level"]), text(&row["what"])));
    (ended.status.code(), found.collect())
}

#[test]
fn a_server_that_streams_is_good_and_timed() {
    let mock = Mock::start(&["--rate", "50", "--tokens", "8"]);
    let config = config(&mock.address().to_string(), "health = { path = \"/health\" }");
    let (code, streaming) = doctor(&config, "good", "streaming");
    assert_eq!(code, Some(0));
    let [(level, what)] = &streaming[..] else { panic!("{streaming:?}") };
    assert_eq!(level, "good", "{what}");
    assert!(what.contains("first token after") && what.contains("longest gap"), "{what}");
    let (_, health) = doctor(&config, "health", "health");
    assert_eq!(health[0].0, "good", "{health:?}");
    let (_, servers) = doctor(&config, "models", "servers");
    assert!(servers[0].1.contains("with mock"), "{servers:?}");
}

#[test]
fn a_stream_that_somebody_collects_is_told() {
    let collects = Upstream::serve(|mut peer| {
        while let Some(request) = peer.next_request() {
            let body = match request.start.split(' ').nth(1) {
                Some("/v1/models") => r#"{"data":[{"id":"m","owned_by":"vllm"}]}"#.to_owned(),
                Some("/v1/chat/completions") => {
                    thread::sleep(Duration::from_millis(50));
                    let event = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
                    let events = format!("data: {event}\n\n").repeat(8);
                    format!("{events}data: [DONE]\n\n")
                }
                _ => String::new(),
            };
            let length = body.len();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"));
        }
    });
    let (code, streaming) = doctor(&config(&collects.to_string(), ""), "collects", "streaming");
    assert_eq!((code, streaming.len()), (Some(0), 1), "{streaming:?}");
    assert_eq!(streaming[0].0, "note");
    assert!(streaming[0].1.ends_with("all of them at once"), "{streaming:?}");
}

#[test]
fn a_server_that_is_gone_and_a_bad_configuration_end_with_1() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = gone.local_addr().expect("bound").to_string();
    drop(gone);
    let (code, servers) = doctor(&config(&address, ""), "gone", "servers");
    assert_eq!((code, servers[0].0.as_str()), (Some(1), "bad"), "{servers:?}");
    let (code, refused) = doctor("[server]\nlisten = 1\n", "refused", "config");
    assert_eq!((code, refused[0].0.as_str()), (Some(1), "bad"), "{refused:?}");
}

#[test]
fn ports_and_the_machine_are_looked_at() {
    let upstream = Mock::start(&[]);
    let text = config(&upstream.address().to_string(), "");
    let gateway = Gateway::start(&text);
    let taken = text.replace("127.0.0.1:0", &gateway.address().to_string());
    let (_, ports) = doctor(&taken, "taken", "ports");
    assert_eq!(ports[0].0, "note", "{ports:?}");
    let elsewhere = text.replace("127.0.0.1:0", "192.0.2.1:8080");
    let (code, ports) = doctor(&elsewhere, "elsewhere", "ports");
    assert_eq!((code, ports[0].0.as_str()), (Some(1), "bad"), "{ports:?}");
    let ended = sluicegate(&["doctor"]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    for area in ["cores", "clock"] {
        assert!(ended.stdout.contains(area), "{ended:?}");
    }
}

/// Prometheus, say, whose own port is 9090 too.
#[test]
fn another_server_at_the_admin_address_is_told_apart() {
    let other = Upstream::serve(|mut peer| {
        if peer.next_request().is_some() {
            peer.send("HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let mock = Mock::start(&[]);
    let text = config(&mock.address().to_string(), "");
    let (code, ports) = doctor(&format!("{text}[admin]\nlisten = \"{other}\"\n"), "other", "ports");
    let (level, what) = &ports[1];
    assert_eq!((code, level.as_str()), (Some(1), "bad"), "{what}");
    assert!(what.ends_with("(admin.listen), and it is no gateway"), "{what}");
    let ended = sluicegate(&["dashboard", "--print", "--admin", &other.to_string()]);
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("another server answers"), "{ended:?}");

    let gateway = Gateway::start(&format!("{text}[admin]\nlisten = \"127.0.0.1:0\"\n"));
    let admin = crate::fleet::admin(&gateway).to_string();
    let running = text.clone() + &format!("[admin]\nlisten = \"{admin}\"\n");
    let (code, ports) = doctor(&running, "ours", "ports");
    assert_eq!((code, ports[1].0.as_str()), (Some(0), "good"), "{ports:?}");
    let ended = sluicegate(&["dashboard", "--print", "--admin", &admin]);
    assert_eq!((ended.status.code(), ended.stdout), (Some(0), format!("http://{admin}/\n")));
}

/// The address that stands for a path was bound to, and told as one that nobody can listen on.
#[test]
fn a_unix_socket_is_looked_at_as_what_it_is() {
    let mock = Mock::start(&[]);
    let folder = std::env::temp_dir().join(format!("sluicegate-doctor-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let path = folder.join("front.sock");
    let written = format!("unix:{}", path.display());
    let text = config(&mock.address().to_string(), "").replace("127.0.0.1:0", &written);
    let ports = || {
        let (code, mut ports) = doctor(&text, "unix", "ports");
        (code, ports.remove(0))
    };
    let (code, (level, what)) = ports();
    assert_eq!((code, level.as_str()), (Some(0), "good"), "{what}");
    assert_eq!(what, format!("{written} (server.listen) is free"));
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let (code, (level, what)) = ports();
    assert_eq!((code, level.as_str()), (Some(0), "note"), "{what}");
    drop(listener);
    let (_, (level, what)) = ports();
    assert!(level == "good" && what.contains("left behind"), "{what}");
    std::fs::remove_file(&path).expect("it is there");
    std::fs::write(&path, "mine").expect("a file");
    let (code, (level, what)) = ports();
    assert!(level == "bad" && what.contains("no socket"), "{what}");
    assert_eq!((code, std::fs::read_to_string(&path).ok()), (Some(1), Some("mine".to_owned())));
    std::fs::remove_dir_all(&folder).expect("it is ours");
    let (code, (level, what)) = ports();
    assert!(level == "bad" && what.contains("folder"), "{what}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_server_that_is_silent_is_told_so() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("bound").to_string();
    let (code, servers) = doctor(&config(&address, ""), "silent", "servers");
    assert_eq!((code, servers[0].0.as_str()), (Some(1), "bad"), "{servers:?}");
    assert!(servers[0].1.ends_with("takes connections and does not answer"), "{servers:?}");
}

/// Has this list of models, and answers a POST to this path alone.
fn speaks(
    list: (&'static str, &'static str),
    path: &'static str,
    events: [&'static str; 2],
) -> std::net::SocketAddr {
    Upstream::serve(move |mut peer| {
        while let Some(request) = peer.next_request() {
            let mut words = request.start.split(' ');
            let (method, asked) = (words.next(), words.next().unwrap_or_default());
            let is_versioned = request.field("anthropic-version").is_some();
            let body = match method {
                Some("GET") if asked == list.0 => list.1.to_owned(),
                Some("POST") if asked == path => events.concat(),
                _ => String::new(),
            };
            if body.is_empty() || path == "/v1/messages" && !is_versioned {
                peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
                continue;
            }
            let media = match path {
                "/api/chat" => "application/x-ndjson",
                _ => "text/event-stream",
            };
            let length = body.len();
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n"
            ));
            if method == Some("GET") {
                peer.send(body);
                continue;
            }
            peer.send(events[0]);
            thread::sleep(Duration::from_millis(50));
            peer.send(events[1]);
        }
    })
}

/// All were asked for `/v1/chat/completions`, and told to answer 404 to a chat.
#[test]
fn servers_are_asked_in_their_own_dialect() {
    let claude = speaks(
        ("/v1/models", r#"{"data":[{"type":"model","id":"m"}]}"#),
        "/v1/messages",
        [
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
             \"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ],
    );
    let ollama = speaks(
        ("/v1/models", r#"{"data":[{"id":"m"}]}"#),
        "/api/chat",
        [
            "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"a\"},\"done\":false}\n",
            "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\
             \"done_reason\":\"stop\"}\n",
        ],
    );
    let tgi = speaks(
        ("/info", r#"{"model_id":"m","docker_label":"sha"}"#),
        "/generate_stream",
        [
            "data:{\"index\":1,\"token\":{\"id\":1,\"text\":\"a\",\"special\":false},\
             \"generated_text\":null}\n\n",
            "data:{\"index\":2,\"token\":{\"id\":2,\"text\":\"b\",\"special\":false},\
             \"generated_text\":\"ab\",\"details\":null}\n\n",
        ],
    );
    let gemini = speaks(
        ("/nothing", ""),
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        [
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\n\n",
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},\
             \"finishReason\":\"STOP\"}]}\n\n",
        ],
    );
    for (server, keys) in [
        (&claude, "service = \"anthropic\""),
        (&ollama, "service = \"ollama\""),
        (&tgi, "service = \"tgi\""),
        (&gemini, "service = \"gemini\"\nmodel = \"m\""),
        (&claude, "translate_to = \"anthropic\""),
    ] {
        let (code, streaming) = doctor(&config(&server.to_string(), keys), "dialects", "streaming");
        let [(level, what)] = &streaming[..] else { panic!("{keys}: {streaming:?}") };
        assert_eq!((code, level.as_str()), (Some(0), "good"), "{keys}: {what}");
        assert!(what.contains("2 events"), "{keys}: {what}");
    }
    let (_, streaming) = doctor(&config(&ollama.to_string(), ""), "chat", "streaming");
    assert!(streaming[0].1.contains("404 to a POST /v1/chat/completions"), "{streaming:?}");
    let (code, streaming) =
        doctor(&config(&ollama.to_string(), "service = \"text\""), "text", "streaming");
    assert_eq!((code, streaming[0].0.as_str()), (Some(0), "note"), "{streaming:?}");
}

/// Eight took sixteen seconds, one after another.
#[test]
fn many_servers_are_looked_at_at_the_same_time() {
    let silent = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listeners: Vec<_> = (0..8).map(|_| silent()).collect();
    let address =
        |listener: &std::net::TcpListener| listener.local_addr().expect("bound").to_string();
    let addresses: Vec<String> = listeners.iter().map(address).collect();
    let began = Instant::now();
    let (code, servers) = doctor(&config(&addresses.join("\", \""), ""), "many", "servers");
    assert_eq!((code, servers.len()), (Some(1), 8), "{servers:?}");
    for ((_, what), address) in servers.iter().zip(&addresses) {
        assert!(what.contains(address.as_str()), "in their order: {servers:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}
