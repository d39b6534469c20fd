//! Errors that help: each answer of the gateway's own has a code and a hint, in the caller's dialect,
//! and `sluicegate explain` has cause and cure.

use crate::harness::{Config, Upstream, sluicegate};

#[test]
fn an_error_has_a_code_and_a_hint_in_every_dialect() {
    let upstream = Upstream::listen();
    let gateway =
        Config { route: "path = \"/none\"".into(), ..Config::to(upstream.address()) }.start();
    for (path, inner) in [
        ("/v1/chat/completions", "/error"),
        ("/v1/messages", "/error"),
        ("/api/chat", ""),
        ("/generate_stream", ""),
        ("/elsewhere", "/error"),
    ] {
        let mut client = gateway.connect();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"));
        let answer = client.read_response();
        let json = answer.json();
        let inner = json.pointer(inner).expect("an error");
        let code = inner["code"].as_str().or(inner["error_type"].as_str());
        assert_eq!((answer.status(), code), (404, Some("no_route")), "{path}: {json}");
        let hint = inner["hint"].as_str().expect("a hint");
        assert!(hint.contains("base URL"), "{path}: {json}");
    }
    // One that is no HTTP request.
    let mut client = gateway.connect();
    client.send("\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n");
    let hint = client.read_response().json()["error"]["hint"].clone();
    assert!(hint.as_str().is_some_and(|hint| hint.contains("http://")), "{hint}");
}

/// In the middle of a stream too.
#[test]
fn a_broken_stream_tells_code_and_hint_in_its_dialect() {
    let upstream = Upstream::listen();
    let gateway = Config::to(upstream.address()).start();
    let event = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
                 \"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
    let chat = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let ollama =
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"a\"},\"done\":false}\n";
    for (path, kind, first) in [
        ("/v1/chat/completions", "text/event-stream", chat),
        ("/v1/messages", "text/event-stream", event),
        ("/api/chat", "application/x-ndjson", ollama),
    ] {
        let mut client = gateway.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{{\"stream\":true}}"
        ));
        let mut server = upstream.accept();
        server.read_request();
        server.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n",
            first.len()
        ));
        client.read_until("\"a\"");
        drop(server);
        client.read_end();
        let text = String::from_utf8_lossy(client.received()).into_owned();
        assert!(text.contains("\"code\":\"upstream_truncated\""), "{path}: {text}");
        assert!(text.contains("\"hint\":\"the answer is not complete"), "{path}: {text}");
    }
}

/// Made from the definition of the commands.
#[test]
fn completions_pages_and_the_version_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let told = sluicegate(&["completions", shell]);
        assert_eq!(told.status.code(), Some(0), "{shell}");
        for command in ["doctor", "explain", "init", "run"] {
            assert!(told.stdout.contains(command), "{shell}: {command}");
        }
    }
    let page = sluicegate(&["man"]);
    assert!(page.stdout.contains(".TH sluicegate 1"), "{page:?}");
    let page = sluicegate(&["man", "run"]);
    assert!(page.stdout.contains("sluicegate\\-run") && page.stdout.contains("SIGHUP"), "{page:?}");
    let page = sluicegate(&["man", "config", "diff"]);
    assert!(page.stdout.contains("sluicegate\\-config\\-diff"), "{page:?}");
    assert_eq!(sluicegate(&["man", "nonsense"]).status.code(), Some(1));
    assert_eq!(sluicegate(&["man", "run", "nonsense"]).status.code(), Some(1));
    let top = std::env::temp_dir().join(format!("sluicegate-man-{}", std::process::id()));
    let folder = top.join("share/man1");
    let all = sluicegate(&["man", "--folder", &folder.display().to_string()]);
    assert_eq!(all.status.code(), Some(0), "{all:?}");
    for page in ["sluicegate.1", "sluicegate-run.1", "sluicegate-config-push.1"] {
        assert!(folder.join(page).is_file(), "{page}");
    }
    let below_a_file = folder.join("sluicegate.1/man").display().to_string();
    let refused = sluicegate(&["man", "--folder", &below_a_file]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains(&format!("written to {below_a_file}: ")), "{refused:?}");
    std::fs::remove_dir_all(&top).expect("it was there");
    let version = sluicegate(&["--version"]).stdout;
    assert!(version.starts_with(concat!("sluicegate ", env!("CARGO_PKG_VERSION"), " (commit ")));
    assert!(version.contains("features: "), "{version}");
}

#[test]
fn explain_prints_cause_and_cure_and_lists_codes() {
    let told = sluicegate(&["explain", "no_route"]);
    assert_eq!(told.status.code(), Some(0));
    for part in ["no_route\n", "Cause. ", "Cure. ", "Hint. "] {
        assert!(told.stdout.contains(part), "{told:?}");
    }
    let all = sluicegate(&["explain"]);
    assert!(all.stdout.lines().count() > 90, "{all:?}");
    let unknown = sluicegate(&["explain", "route"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(unknown.stderr.contains("did you mean no_route"), "{unknown:?}");
}
