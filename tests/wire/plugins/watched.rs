//! Plugins: how they are watched, what they say of servers, and the tutorial.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::built::Built;
use super::{STREAM, chat};
use crate::harness::{Config, Gateway, Peer, Upstream};

/// A gateway with an admin address, and that address.
fn with_admin(upstream: &Upstream, built: &Built, config: &str, keys: &str) -> (Gateway, String) {
    let config = Config {
        upstream: keys.to_owned(),
        route: "plugins = [\"it\"]".to_owned(),
        more: format!("[admin]\nlisten = \"127.0.0.1:0\"\n{}", built.section(config, "")),
        ..Config::to(upstream.address())
    };
    let gateway = config.start();
    let line = gateway.wait_for_log("admin on http://");
    let address = line.rsplit("http://").next().expect("an address").trim().to_owned();
    (gateway, address)
}

fn ask(admin: &str, path: &str) -> String {
    let mut client = Peer::connect(admin.parse().expect("an address"));
    client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    client.read_response().text().to_owned()
}

#[test]
fn calls_are_counted_by_plugin_and_hook() {
    let built = Built::script("counted", &[]);
    let upstream = Upstream::listen();
    let (gateway, admin) = with_admin(&upstream, &built, "head=fail", "");
    let mut client = gateway.connect();
    client.send(chat(""));
    // What follows its head may find nobody any more.
    let mut server = upstream.accept();
    server.read_request();
    server.send(STREAM);
    assert_eq!(client.read_response().status(), 502);
    gateway.wait_for_log("plugin_failed");
    let metrics = ask(&admin, "/metrics");
    let labels = "{plugin=\"it\",hook=\"on_response_head\"}";
    let expected = [
        format!("sluicegate_plugin_call_seconds_count{labels} 1"),
        format!("sluicegate_plugin_errors_total{labels} 1"),
        "sluicegate_plugin_quarantined{plugin=\"it\"} 0".to_owned(),
        "sluicegate_exchange_ends_total{reason=\"plugin_failed\"} 1".to_owned(),
    ];
    for line in expected {
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    let told: serde_json::Value = serde_json::from_str(&ask(&admin, "/plugins")).expect("JSON");
    let plugin = &told["plugins"][0];
    assert_eq!((plugin["name"].as_str(), plugin["title"].as_str()), (Some("it"), Some("script")));
    assert_eq!(plugin["sha256"].as_str(), Some(built.sha256().as_str()));
    let hooks = &plugin["hooks"];
    assert_eq!(hooks["on_request"]["calls"], 1);
    assert_eq!(hooks["on_response_head"]["errors"], 1);
    assert_eq!(hooks["on_event"]["calls"], 0);
}

#[test]
fn a_server_is_well_when_the_plugin_says_so() {
    let built = Built::of_c("probes", "src/plugin/examples/tally/tally.c", &[]);
    let upstream = Upstream::listen();
    let health = "health = { path = \"/health\", interval = \"100ms\", timeout = \"100ms\", \
                  unhealthy = 1, healthy = 1, plugin = \"it\" }";
    let (gateway, _) = with_admin(&upstream, &built, "", health);
    let (mut down, deadline) = (false, Instant::now() + Duration::from_secs(20));
    while Instant::now() < deadline {
        let Some(mut server) = upstream.accept_within(Duration::from_secs(5)) else { break };
        let request = server.read_request();
        assert!(request.start.starts_with("GET /health"), "{}", request.start);
        let body = if down { "{\"status\":\"ok\"}" } else { "{\"status\":\"loading model\"}" };
        let length = body.len();
        server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"));
        down |= gateway.count_in_log("is not well: its model is loading") > 0;
        if down && gateway.count_in_log("is well") > 0 {
            break;
        }
    }
    gateway.wait_for_log("the plugin that looks at the answer says no");
    gateway.wait_for_log("is well");
}

/// The commands of docs/plugins.md, in an empty folder, with ports of their own.
#[test]
fn the_tutorial_ends_with_a_working_plugin() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/plugins.md"))
        .expect("a document is text");
    let (_, tutorial) = page.split_once("## Write one").expect("the section");
    let tutorial = tutorial.split("\n## ").next().expect("the section ends");
    let blocks = |kind: &str| -> Vec<String> {
        let begin = format!("```{kind}\n");
        let behind = tutorial.split(begin.as_str()).skip(1);
        behind.map(|text| text.split("```").next().unwrap_or_default().to_owned()).collect()
    };
    let folder = std::env::temp_dir().join(format!("sluicegate-tutorial-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a temporary folder");
    let sources = blocks("c");
    assert_eq!(sources.len(), 1);
    fs::write(folder.join("doorman.c"), &sources[0]).expect("a temporary file");
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port().to_string()
    };
    let script = ["trap 'kill $(jobs -p)' EXIT\n", &blocks("sh").concat()].concat();
    let script = script.replace("8090", &free()).replace("8091", &free());
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_sluicegate"));
    let path = format!(
        "{}:{}",
        binary.parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut shell = Command::new("bash")
        .args(["-m", "-e", "-u", "-o", "pipefail", "-c", &script])
        .current_dir(&folder)
        .env("SOURCE", env!("CARGO_MANIFEST_DIR"))
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("stderr")).expect("a temporary file"))
        .spawn()
        .expect("bash runs");
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = shell.try_wait().expect("a child") {
            break status;
        }
        assert!(Instant::now() < deadline, "the tutorial ends");
        thread::sleep(Duration::from_millis(20));
    };
    let said = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
    assert!(status.success(), "{script}\n{said}");
    let _ = fs::remove_dir_all(folder);
}
