//! What others say, where it is shown: nothing of it acts on a log or a terminal.

use serde_json::Value;

use crate::admin::Watched;
use crate::harness::{Config, Upstream};

/// DEL, C1, an escape, an override of direction, a separator of lines; and as JSON may write it.
const EVIL: &str = "m\u{7f}\u{9b}31m\u{202e}\u{2066}\u{2028}";
const ESCAPED: &str = r"m\u007f\u009b31m\u202e\u2066\u2028\u001b[2J";

fn acts(c: char) -> bool {
    let direction =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || direction || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[test]
fn what_acts_on_a_terminal_is_escaped_in_the_access_log() {
    for format in ["json", "logfmt"] {
        let upstream = Upstream::listen();
        let name = format!("sluicegate-shown-{}-{format}.log", std::process::id());
        let file = std::env::temp_dir().join(name);
        let more = format!("[access_log]\nto = \"{}\"\nformat = \"{format}\"\n", file.display());
        let watched = Watched::with(Config { more, ..Config::to(upstream.address()) });
        let mut client = watched.gateway.connect();
        client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
        let mut server = upstream.accept();
        server.read_request();
        server.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n\
             data: {{\"model\":\"{EVIL}\\u001b[2J\",\"choices\":[{{\"delta\":{{\"content\":\"a\"}},\
             \"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n"
        ));
        drop(server);
        client.read_until("\r\n0\r\n\r\n");
        let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
        let log = loop {
            let log = std::fs::read_to_string(&file).unwrap_or_default();
            if log.ends_with('\n') {
                break log;
            }
            assert!(std::time::Instant::now() < deadline, "no line: {log:?}");
            std::thread::sleep(std::time::Duration::from_millis(1));
        };
        let _ = std::fs::remove_file(&file);
        let line = log.trim_end_matches('\n');
        assert!(line.contains(ESCAPED) && !line.contains(acts), "{line:?}");
        if format == "json" {
            let value: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(value["model"].as_str(), Some(&*format!("{EVIL}\u{1b}[2J")));
        }
    }
}
