//! `sluicegate doctor`: what it finds of servers and ports, and how it ends.

use std::thread;
use std::time::Duration;

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
                    let events = "data: {\"choices\":[]}\n\n".repeat(8);
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
