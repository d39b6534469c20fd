//! Plugins in a process of their own: here a thread of the test, at a Unix socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::built::Built;
use super::{DONE, STOP, answer, chat, delta, error_code};
use crate::harness::{Config, Gateway, Upstream};

/// A plugin that answers each frame as `say` has it: `None` is silence.
struct Plugin {
    path: PathBuf,
    heard: Arc<Mutex<Vec<Value>>>,
    streams: Arc<Mutex<Vec<UnixStream>>>,
}

type Say = fn(&Value, &[u8]) -> Option<(Value, Vec<u8>)>;

impl Plugin {
    fn listen(test: &str, hooks: &[&str], say: Say) -> Plugin {
        let name = format!("sluicegate-{}-{test}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket");
        let (heard, streams) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::default());
        let plugin = Plugin { path, heard: Arc::clone(&heard), streams: Arc::clone(&streams) };
        let hooks: Vec<String> = hooks.iter().map(|hook| (*hook).to_owned()).collect();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept: UnixStream = stream.try_clone().expect("a socket");
                streams.lock().expect("unharmed").push(kept);
                let (heard, hooks) = (Arc::clone(&heard), hooks.clone());
                thread::spawn(move || serve(stream, &hooks, say, &heard));
            }
        });
        plugin
    }

    fn heard(&self, hook: &str) -> Vec<Value> {
        let heard = self.heard.lock().expect("unharmed");
        heard.iter().filter(|it| it["hook"] == hook && it["self_test"] != true).cloned().collect()
    }

    fn wait_for(&self, hook: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let heard: Vec<Value> =
                self.heard(hook).into_iter().filter(|it| it["exchange"] != 0).collect();
            if heard.len() >= count || Instant::now() > deadline {
                return heard;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn gateway(&self, upstream: &Upstream, more: &str) -> Gateway {
        let path = self.path.display();
        let config = Config {
            route: "plugins = [\"it\"]".to_owned(),
            more: format!(
                "[plugins]\nallow = [\"{path}\"]\n[[plugin]]\nname = \"it\"\nsocket = \"{path}\"\n{more}\n"
            ),
            ..Config::to(upstream.address())
        };
        config.start()
    }
}

fn serve(stream: UnixStream, hooks: &[String], say: Say, heard: &Mutex<Vec<Value>>) {
    let mut writer = stream.try_clone().expect("a socket");
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let frame: Value = serde_json::from_str(&line).expect("a frame is JSON");
        let mut body = vec![0; frame["body"].as_u64().expect("a length") as usize];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        heard.lock().expect("unharmed").push(frame.clone());
        let told = match frame["hook"].as_str() {
            Some("open") => Some((
                json!({ "version": 1, "name": "door", "plugin_version": "1", "hooks": hooks, "body_max": 65536 }),
                Vec::new(),
            )),
            _ if frame["id"].is_null() => None,
            _ if frame["self_test"] == true => Some((json!({ "verdict": "pass" }), Vec::new())),
            _ => say(&frame, &body),
        };
        if let Some((mut told, body)) = told {
            told["id"] = frame["id"].clone();
            told["body"] = body.len().into();
            let _ = writer.write_all(format!("{told}\n").as_bytes());
            let _ = writer.write_all(&body);
        }
    }
}

const HOOKS: &[&str] = &["on_request", "on_response_head", "on_event", "on_end", "on_cancel"];

#[test]
fn a_plugin_behind_a_socket_sees_and_rewrites_an_exchange() {
    let plugin = Plugin::listen("rewrites", HOOKS, |frame, body| {
        Some(match frame["hook"].as_str() {
            Some("on_request") => {
                let text = String::from_utf8_lossy(body).replace("\"m\"", "\"other\"");
                let told =
                    json!({ "verdict": "replace", "set": [["X-Set", "yes"]], "target": "/v2" });
                (told, text.into_bytes())
            }
            _ => (json!({ "verdict": "pass", "set": [["X-Head", "seen"]] }), Vec::new()),
        })
    });
    let upstream = Upstream::listen();
    let gateway = plugin.gateway(&upstream, "");
    let mut client = gateway.connect();
    client.send(chat(""));
    let request = answer(&mut upstream.accept(), &[&delta("a"), STOP, DONE]);
    assert!(request.start.starts_with("POST /v2 "), "{}", request.start);
    assert_eq!(request.json()["model"], "other");
    assert_eq!(request.field("x-set"), Some("yes"));
    let response = client.read_response();
    assert_eq!(response.field("x-head"), Some("seen"));
    assert_eq!(response.text(), [&delta("a"), STOP, DONE].concat());
    let ends = plugin.wait_for("on_end", 1);
    assert_eq!((ends[0]["status"].as_u64(), ends[0]["code"].as_str()), (Some(200), Some("")));
    let events: Vec<_> = plugin.wait_for("on_event", 3);
    assert_eq!(events.len(), 3);
    assert_eq!(plugin.wait_for("on_response_head", 1)[0]["events"], "shown");
}

#[test]
fn it_refuses_and_answers_and_others_go_on_meanwhile() {
    let plugin = Plugin::listen("refuses", &["on_request"], |frame, _| {
        let fields = frame["fields"].to_string();
        if fields.contains("\"slow\"") {
            thread::sleep(Duration::from_millis(300));
        }
        Some(match fields.contains("\"key\"") {
            true => (json!({ "verdict": "answer", "status": 202 }), b"ours".to_vec()),
            false => (json!({ "verdict": "refuse", "status": 401, "message": "no" }), Vec::new()),
        })
    });
    let upstream = Upstream::listen();
    let gateway = plugin.gateway(&upstream, "");
    let (mut first, mut second) = (gateway.connect(), gateway.connect());
    first.send(chat(""));
    assert_eq!(error_code(&first.read_response()), (401, "plugin_refused".into(), "no".into()));
    first.send(chat("X-Door: key\r\n"));
    let answered = first.read_response();
    assert_eq!((answered.status(), answered.text()), (202, "ours"));
    // While the plugin takes its time, the worker serves others: here an error of its own.
    first.send(chat("X-Door: slow\r\n"));
    thread::sleep(Duration::from_millis(50));
    let asked = Instant::now();
    second.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(second.read_response().status(), 400);
    assert!(asked.elapsed() < Duration::from_millis(200), "the worker has not waited");
    assert_eq!(first.read_response().status(), 401);
}

#[test]
fn who_does_not_answer_or_is_gone_fails_as_the_route_has_it() {
    let plugin = Plugin::listen("silent", &["on_request", "on_response_head"], |frame, _| {
        let silent = frame["fields"].to_string().contains("\"hush\"");
        (!silent).then(|| (json!({ "verdict": "pass" }), Vec::new()))
    });
    let upstream = Upstream::listen();
    let gateway = plugin.gateway(&upstream, "timeout = \"100ms\"");
    let mut client = gateway.connect();
    let asked = Instant::now();
    client.send(chat("X-Door: hush\r\n"));
    assert_eq!(error_code(&client.read_response()).1, "plugin_failed");
    assert!((100..2_000).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
    gateway.wait_for_log("on_request failed with no answer in time");
    // The connection breaks, and the next question opens another.
    for stream in plugin.streams.lock().expect("unharmed").drain(..) {
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    thread::sleep(Duration::from_millis(300));
    client.send(chat(""));
    answer(&mut upstream.accept(), &[STOP, DONE]);
    assert_eq!(client.read_response().status(), 200);
    gateway.wait_for_log("plugin it is connected again");

    let open = plugin.gateway(&upstream, "timeout = \"100ms\"\nfail = \"open\"");
    let mut client = open.connect();
    client.send(chat("X-Door: hush\r\n"));
    answer(&mut upstream.accept(), &[STOP, DONE]);
    assert_eq!(client.read_response().status(), 200);
}

#[test]
fn nobody_at_the_socket_is_no_configuration() {
    let path = std::env::temp_dir().join("sluicegate-nobody.sock");
    let path = path.display();
    let file = std::env::temp_dir().join(format!("sluicegate-{}-nobody.toml", std::process::id()));
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 10\n\
         [plugins]\nallow = [\"{path}\"]\n[[plugin]]\nname = \"it\"\nsocket = \"{path}\"\n\
         [[upstream]]\nname = \"u\"\nendpoints = [\"127.0.0.1:1\"]\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\nplugins = [\"it\"]\n"
    );
    std::fs::write(&file, text).expect("a temporary file");
    let checked = crate::harness::sluicegate(&["check", "--config", &file.display().to_string()]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(checked.stderr.contains("cannot be asked"), "{}", checked.stderr);
    let _ = std::fs::remove_file(file);
}

/// Not a limit: the price of a question, for docs/plugins.md. Both plugins answer the request themselves.
#[test]
fn a_plugin_that_drips_its_first_line_is_no_configuration() {
    let place = |end: &str| {
        std::env::temp_dir().join(format!("sluicegate-{}-drips.{end}", std::process::id()))
    };
    let (path, file) = (place("sock"), place("toml"));
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        // A blank at a time, each sooner than the timeout.
        while std::io::Write::write_all(&mut stream, b" ").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let path = path.display();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 10\n\
         [plugins]\nallow = [\"{path}\"]\n\
         [[plugin]]\nname = \"it\"\nsocket = \"{path}\"\ntimeout = \"300ms\"\n\
         [[upstream]]\nname = \"u\"\nendpoints = [\"127.0.0.1:1\"]\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\nplugins = [\"it\"]\n"
    );
    std::fs::write(&file, text).expect("a temporary file");
    let checked = crate::harness::sluicegate(&["check", "--config", &file.display().to_string()]);
    assert!(checked.stderr.contains("has not said who it is in time"), "{checked:?}");
    let _ = std::fs::remove_file(&file);
}

#[test]
fn what_a_question_costs_is_told() {
    let plugin = Plugin::listen("price", &["on_request"], |_, _| {
        Some((json!({ "verdict": "answer" }), b"ours".to_vec()))
    });
    let upstream = Upstream::listen();
    let tally = Built::of_c("price", "src/plugin/examples/tally/tally.c", &[]);
    let inside = super::gateway(&upstream, &tally, "X-Key", "");
    for (place, gateway) in [("behind a socket", plugin.gateway(&upstream, "")), ("inside", inside)]
    {
        let mut client = gateway.connect();
        let mut took: Vec<Duration> = (0..200)
            .map(|_| {
                let asked = Instant::now();
                client.send(chat("X-Key: canned\r\n"));
                assert!(matches!(client.read_response().status(), 200));
                asked.elapsed()
            })
            .collect();
        took.sort();
        println!(
            "a request answered by a plugin {place}: median {:?}, p90 {:?}",
            took[100], took[180]
        );
        assert!(took[100] < Duration::from_secs(1));
    }
}
