use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::*;
use crate::clock;
use crate::config::tests::snapshot_of;
use crate::responder::{Action, Request, Service};

const PATIENCE: Duration = Duration::from_secs(10);

/// A server that answers as it is told to; `None`: it closes without a word.
struct Scripted {
    address: SocketAddr,
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Scripted {
    fn new(answer: Option<&str>) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let scripted = Scripted {
            address: listener.local_addr().expect("it is bound"),
            answer: Arc::new(Mutex::new(answer.map(str::to_owned))),
            asked: Arc::default(),
        };
        let (answer, asked) = (Arc::clone(&scripted.answer), Arc::clone(&scripted.asked));
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = Vec::new();
                let mut piece = [0; 512];
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut piece) {
                        Ok(length) if length > 0 => request.extend(&piece[..length]),
                        _ => break,
                    }
                }
                asked.fetch_add(1, Ordering::Relaxed);
                if let Some(body) = &*answer.lock().expect("no panic") {
                    let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n{body}");
                }
            }
        });
        scripted
    }

    fn says(&self, answer: Option<&str>) {
        *self.answer.lock().expect("no panic") = answer.map(str::to_owned);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Waits until it was asked so many times more.
    fn wait_asked(&self, more: usize) {
        let (wanted, begun) = (self.asked() + more, Instant::now());
        while self.asked() < wanted {
            assert!(begun.elapsed() < PATIENCE, "nobody asks");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn said(ids: &[&str]) -> String {
    let data: Vec<String> = ids.iter().map(|id| format!("{{\"id\":\"{id}\"}}")).collect();
    format!("{{\"object\":\"list\",\"data\":[{}]}}", data.join(","))
}

/// A configuration of these upstreams, all of them listed.
fn snapshot(upstreams: &[(&str, &[&Scripted])]) -> Arc<Snapshot> {
    let tables = upstreams.iter().map(|(name, servers)| {
        let endpoints: Vec<String> =
            servers.iter().map(|server| server.address.to_string()).collect();
        format!(
            "[[upstream]]\nname = \"{name}\"\nendpoints = {endpoints:?}\n\
             [[route]]\npath = \"/{name}/*\"\nupstream = \"{name}\"\n"
        )
    });
    Arc::new(snapshot_of(&format!(
        "[server]\nlisten = [\"127.0.0.1:80\"]\nlist_models = \"100ms\"\n{}\
         [[route]]\npath = \"/v1/models\"\nmodels = \"all\"\n",
        tables.collect::<String>()
    )))
}

fn listed(snapshot: &Snapshot) -> Vec<String> {
    let list = &snapshot.model_routes().next().expect("a list").list;
    let now = clock::Instant::ZERO;
    let mut answer = list.respond(&Request::bare("GET", "/v1/models", None), now);
    let mut text = Vec::new();
    loop {
        match answer.step(now) {
            Action::Data(data) => text.extend_from_slice(&data),
            Action::End => break,
            _ => {}
        }
    }
    let value: Value = serde_json::from_slice(&text).expect("JSON");
    let data = value["data"].as_array().expect("a list");
    data.iter().map(|model| model["id"].as_str().expect("a name").to_owned()).collect()
}

#[track_caller]
fn wait_listed(snapshot: &Snapshot, expected: &[&str]) {
    let begun = Instant::now();
    while listed(snapshot) != expected {
        assert!(begun.elapsed() < PATIENCE, "{:?}, not {expected:?}", listed(snapshot));
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_a_server_said_last_stays_until_it_says_something_else() {
    let server = Scripted::new(None);
    let snapshot = snapshot(&[("a", &[&server])]);
    let _models = Models::start(&snapshot, 1).expect("a thread");
    server.wait_asked(2);
    assert_eq!(listed(&snapshot), [""; 0]);
    server.says(Some(&said(&["m"])));
    wait_listed(&snapshot, &["m"]);
    for nothing in [None, Some("no list"), Some("{\"data\":[1]}")] {
        server.says(nothing);
        server.wait_asked(3);
        assert_eq!(listed(&snapshot), ["m"], "{nothing:?}");
    }
    server.says(Some(&said(&["n", "o"])));
    wait_listed(&snapshot, &["n", "o"]);
    server.says(Some(&said(&[])));
    wait_listed(&snapshot, &[]);
}

#[test]
fn one_endpoint_is_asked_as_long_as_it_answers_then_the_next() {
    let (first, second) = (Scripted::new(Some(&said(&["m"]))), Scripted::new(Some(&said(&["n"]))));
    let snapshot = snapshot(&[("a", &[&first, &second])]);
    let _models = Models::start(&snapshot, 1).expect("a thread");
    first.wait_asked(3);
    assert_eq!((listed(&snapshot), second.asked()), (vec!["m".to_owned()], 0));
    first.says(None);
    wait_listed(&snapshot, &["n"]);
    let asked = first.asked();
    second.wait_asked(3);
    assert_eq!(first.asked(), asked);
}

#[test]
fn one_that_hangs_does_not_delay_the_others() {
    // It takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let hangs = Scripted {
        address: silent.local_addr().expect("it is bound"),
        answer: Arc::default(),
        asked: Arc::default(),
    };
    let well = Scripted::new(Some(&said(&["m"])));
    let snapshot = snapshot(&[("a", &[&hangs]), ("b", &[&well])]);
    let begun = Instant::now();
    let _models = Models::start(&snapshot, 1).expect("threads");
    wait_listed(&snapshot, &["m"]);
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
}

#[test]
fn a_generation_that_follows_keeps_what_is_known() {
    let (server, other) = (Scripted::new(Some(&said(&["m"]))), Scripted::new(Some(&said(&["n"]))));
    let first = snapshot(&[("a", &[&server])]);
    let mut models = Models::start(&first, 1).expect("a thread");
    wait_listed(&first, &["m"]);
    server.says(None);
    // Another endpoint in front, another upstream: what "a" has said stands in the new list at once.
    let mut next = snapshot(&[("b", &[&other]), ("a", &[&server])]);
    Arc::get_mut(&mut next).expect("it is ours").follow(&first);
    models.follow(&next).expect("a thread");
    assert!(listed(&next).contains(&"m".to_owned()));
    wait_listed(&next, &["n", "m"]);
    // One that is gone is asked no more, and its names are gone.
    let mut last = snapshot(&[("b", &[&other])]);
    Arc::get_mut(&mut last).expect("it is ours").follow(&next);
    models.follow(&last).expect("a thread");
    assert_eq!(listed(&last), ["n"]);
    let asked = server.asked() + 1;
    other.wait_asked(4);
    assert!(server.asked() <= asked);
    drop(models);
    let asked = other.asked() + 1;
    thread::sleep(Duration::from_millis(300));
    assert!(other.asked() <= asked, "over is over");
}

#[test]
fn how_long_to_wait_for_the_next_question() {
    let minute = Duration::from_secs(60);
    let endpoint = |port: u16| {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (host, name, path) = (address.to_string(), address.to_string(), "/v1/models".into());
        ModelServer { address, tls: None, host, path, name }
    };
    let question = Question {
        name: "a".into(),
        service: Setting::Auto,
        rules: None,
        endpoints: vec![endpoint(1), endpoint(2)],
    };
    let refused = NoAnswer::Failed(AskFailure::Connect(io::ErrorKind::ConnectionRefused));
    for (why, known, expected) in [
        (refused.clone(), false, UNREACHED),
        (NoAnswer::Failed(AskFailure::Timeout), false, UNREACHED),
        (NoAnswer::Failed(AskFailure::Status(503)), false, UNREACHED),
        (NoAnswer::Failed(AskFailure::Status(404)), false, minute),
        (NoAnswer::Failed(AskFailure::TooLong), false, minute),
        (NoAnswer::Unread(NoList::Shape), false, minute),
        (refused, true, minute),
    ] {
        let mut job = Job::new(UpstreamId(1), question.clone(), Instant::now());
        job.learnt = known.then(Vec::new);
        assert_eq!((job.fail(&why, minute), job.at, job.failing), (NEXT, 1, false), "{why:?}");
        assert_eq!((job.fail(&why, minute), job.at, job.failing), (expected, 0, true), "{why:?}");
        assert_eq!(job.fail(&why, Duration::from_millis(1)), Duration::from_millis(1));
    }
    let nobody = Question { endpoints: Vec::new(), ..question };
    let mut job = Job::new(UpstreamId(1), nobody.clone(), Instant::now());
    let nobody = nobody.ask(0).expect_err("there is nobody");
    assert_eq!(job.fail(&nobody, minute), UNREACHED);
}
