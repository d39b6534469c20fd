use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Instant;

use super::*;
use crate::config::snapshot::TranslateTo;
use crate::service::Dialect;
use crate::service::translate::TensorNames;

/// A server that has these documents, and answers everything else with 404.
fn server(documents: &'static [(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let found = documents.iter().find(|(known, _)| *known == path);
            let (status, body) = match found {
                Some((_, body)) if body.len() == 3 => (*body, ""),
                Some((_, body)) => ("200", *body),
                None => ("404", "{\"error\":\"no\"}"),
            };
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

fn at(address: SocketAddr) -> ServerPlace<'static> {
    ServerPlace { address, tls: None, host: "localhost", base: "", key_lines: "", rules: None }
}

#[test]
fn each_server_is_known_by_what_it_says() {
    let list = |documents| look(at(server(documents))).expect("it speaks HTTP");
    for (documents, kind, models, health) in [
        (
            &[
                ("/v1/models", r#"{"object":"list","data":[{"id":"m","owned_by":"vllm"}]}"#),
                ("/health", ""),
            ][..],
            ServerKind::Vllm,
            &["m"][..],
            Some("/health"),
        ),
        (
            &[("/v1/models", r#"{"data":[{"id":"m","owned_by":"sglang"}]}"#)],
            ServerKind::Sglang,
            &["m"],
            None,
        ),
        (
            &[
                ("/v1/models", r#"{"data":[{"id":"a.gguf","owned_by":"llamacpp"}]}"#),
                ("/health", r#"{"status":"ok"}"#),
            ],
            ServerKind::LlamaCpp,
            &["a.gguf"],
            Some("/health"),
        ),
        // It loads its model, and has no list yet.
        (
            &[("/props", r#"{"default_generation_settings":{}}"#), ("/v1/models", "503")],
            ServerKind::LlamaCpp,
            &[],
            None,
        ),
        (
            &[
                ("/api/version", r#"{"version":"0.14.1"}"#),
                ("/api/tags", r#"{"models":[{"name":"qwen3:8b","model":"qwen3:8b"}]}"#),
            ],
            ServerKind::Ollama,
            &["qwen3:8b"],
            Some("/api/version"),
        ),
        (
            &[("/info", r#"{"model_id":"a/b","max_concurrent_requests":128}"#), ("/health", "")],
            ServerKind::Tgi,
            &["a/b"],
            Some("/health"),
        ),
        (
            &[
                ("/v1/models", r#"{"data":[{"id":"q","owned_by":"organization_owner"}]}"#),
                ("/api/v0/models", r#"{"data":[{"id":"q","publisher":"qwen"}]}"#),
                // LM Studio answers paths that it does not know with 200.
                ("/api/version", r#"{"error":"Unexpected endpoint or method"}"#),
                ("/props", r#"{"error":"Unexpected endpoint or method"}"#),
                ("/info", r#"{"error":"Unexpected endpoint or method"}"#),
                ("/health", r#"{"error":"Unexpected endpoint or method"}"#),
            ],
            ServerKind::LmStudio,
            &["q"],
            None,
        ),
        (&[("/v1/models", r#"{"data":[{"id":"x"}]}"#)], ServerKind::OpenAi, &["x"], None),
        (&[("/", "hello")], ServerKind::Unknown, &[], None),
    ] {
        let found = list(documents);
        let models: Vec<String> = models.iter().map(ToString::to_string).collect();
        assert_eq!((found.kind, found.models, found.health), (kind, models, health));
    }
}

#[test]
fn a_key_that_is_wanted_and_a_path_of_anthropics_are_noticed() {
    let found = look(at(server(&[("/v1/models", "401"), ("/v1/messages", "400")]))).expect("HTTP");
    assert!(found.wants_key && found.takes_messages);
    let found = look(at(server(&[("/v1/models", "404")]))).expect("HTTP");
    assert!(!found.wants_key && !found.takes_messages);
}

#[test]
fn nobody_and_nobody_who_speaks_http_is_nobody() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    assert!(matches!(look(at(gone)), Err(AskFailure::Connect(_))));
    let ssh = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = ssh.local_addr().expect("bound");
    thread::spawn(move || {
        for mut stream in ssh.incoming().flatten() {
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n");
        }
    });
    assert_eq!(look(at(address)), Err(AskFailure::NotHttp));
}

/// Its backlog takes connections, and nobody reads them. All questions took eight times as long.
#[test]
fn who_is_silent_is_asked_once() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let began = Instant::now();
    let address = silent.local_addr().expect("bound");
    assert_eq!(look(at(address)), Err(AskFailure::Timeout));
    assert!(began.elapsed() < TIMEOUT * 5, "{:?}", began.elapsed());
}

#[test]
fn a_stream_is_timed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(60));
            let _ = stream.write_all(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
        }
        let _ = stream.write_all(b"data: [DONE]\n\n");
    });
    let spoken =
        TranslateTo { dialect: Dialect::OpenAiChat, path: None, tensors: TensorNames::default() };
    let seen = stream(at(address), &spoken, "m", Duration::from_secs(10)).expect("it answers");
    assert_eq!((seen.status, seen.events, seen.pieces, seen.is_whole), (200, 3, 3, true));
    assert!(seen.first >= Duration::from_millis(60), "{seen:?}");
    assert!(seen.longest_gap >= Duration::from_millis(40), "{seen:?}");
}
