//! Servers that are started when they are asked for: the commands are real ones, and most of them start
//! the mock server of this very binary.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::chat::{expect_code, sized};
use crate::harness::{Config, Gateway, PATIENCE, Peer, Upstream};

const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str =
    r#"{"model":"m","stream":true,"max_tokens":40,"messages":[{"role":"user","content":"hi"}]}"#;

/// A port that nobody listens on.
fn port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// A shell's command that ends as the mock server; `first` comes before it.
fn mock(first: &str, flags: &str) -> String {
    let program = env!("CARGO_BIN_EXE_sluicegate");
    let script = format!("{first} exec {program} mock --listen 127.0.0.1:${{PORT}} {flags}");
    format!("[\"sh\", \"-c\", {script:?}]")
}

/// A gateway whose server is started by `wake`, TOML inside the table.
fn gateway(address: SocketAddr, wake: &str, route: &str) -> Gateway {
    let mut config = Config::to(address);
    config.upstream = format!("retry = {{}}\nwake = {{ {wake} }}");
    config.route = route.to_owned();
    config.start()
}

fn ask(gateway: &Gateway, body: &str) -> Peer {
    let mut client = gateway.connect();
    client.send(sized("", body));
    client
}

fn answers(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

fn wait_for(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_first_request_starts_the_server_once_for_all_who_wait() {
    let address = port();
    let command = mock("echo loading now; sleep 0.4;", "");
    let mut config = Config::to(address);
    config.upstream = format!("retry = {{}}\nwake = {{ command = {command} }}");
    let text = config.text().replace("workers = 1", "workers = 2");
    let mut gateway = Gateway::start(&text);
    thread::sleep(Duration::from_millis(200));
    assert!(!answers(address), "nobody has asked");
    let mut clients: Vec<Peer> = (0..20).map(|_| ask(&gateway, BODY)).collect();
    for client in &mut clients {
        assert_eq!(client.read_response().status(), 200);
    }
    assert_eq!(gateway.count_in_log("its server is started"), 1, "{:#?}", gateway.log());
    gateway.wait_for_log("scripted | loading now");
    assert_eq!(gateway.count_in_log("is out for"), 0);
    gateway.terminate();
    assert!(gateway.wait_exit(PATIENCE).is_some_and(|status| status.success()));
    assert!(!answers(address), "it has ended with the gateway");
    assert_eq!(gateway.count_in_log("its server has ended"), 1);
}

#[test]
fn a_server_that_nobody_uses_is_stopped_and_started_again() {
    let address = port();
    let wake = format!("command = {}, idle = \"1s\"", mock("", ""));
    let gateway = gateway(address, &wake, "");
    assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
    gateway.wait_for_log("its server is stopped: unused for");
    wait_for("it stops", || !answers(address));
    gateway.wait_for_log("its server has ended");
    assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
    assert_eq!(gateway.count_in_log("its server is started"), 2);
}

#[test]
fn a_stream_under_way_keeps_its_server() {
    let address = port();
    // Forty tokens, ten a second.
    let wake = format!("command = {}, idle = \"1s\"", mock("", "--rate 10"));
    let gateway = gateway(address, &wake, "");
    let mut client = ask(&gateway, STREAM);
    client.read_until("[DONE]");
    assert_eq!(gateway.count_in_log("its server is stopped"), 0, "{:#?}", gateway.log());
    gateway.wait_for_log("its server is stopped: unused for");
}

#[test]
fn signs_of_life_come_while_the_server_starts() {
    let wake = format!("command = {}", mock("sleep 2.5;", ""));
    let heartbeat = "heartbeat = { every = \"1s\", before_head = true }";
    let gateway = gateway(port(), &wake, heartbeat);
    let mut client = ask(&gateway, STREAM);
    assert_eq!(client.read_head().status(), 200);
    client.read_until(": ");
    client.read_until("[DONE]");
}

#[test]
fn a_server_that_cannot_be_started_is_told_and_not_tried_in_a_loop() {
    let wake = "command = [\"sh\", \"-c\", \"echo no such model; exit 3\"]";
    let gateway = gateway(port(), wake, "");
    let mut clients: Vec<Peer> = (0..5).map(|_| ask(&gateway, BODY)).collect();
    for client in &mut clients {
        let answer = client.read_response();
        assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("1")));
        assert_eq!(answer.json()["error"]["code"], "wake_failed");
    }
    gateway.wait_for_log("scripted | no such model");
    gateway.wait_for_log("it ended (exit status: 3); tried again after 1s");
    assert_eq!(gateway.count_in_log("its server is started"), 1);
    let began = Instant::now();
    wait_for("it is tried again", || {
        expect_code(&mut ask(&gateway, BODY), 503, "wake_failed");
        gateway.count_in_log("its server is started") > 1
    });
    assert!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    gateway.wait_for_log("tried again after 2s");
}

#[test]
fn a_command_that_is_not_there_is_told() {
    let gateway = gateway(port(), "command = [\"/no/such/program\"]", "");
    expect_code(&mut ask(&gateway, BODY), 503, "wake_failed");
    gateway.wait_for_log("could not be started: /no/such/program");
}

#[test]
fn a_server_that_is_never_ready_is_ended() {
    let wake = "command = [\"sleep\", \"1000\"], timeout = \"700ms\"";
    let gateway = gateway(port(), wake, "");
    expect_code(&mut ask(&gateway, BODY), 503, "wake_failed");
    let line = gateway.wait_for_log("its server is started, process");
    let pid = line.rsplit(' ').next().expect("a number").to_owned();
    wait_for("it ends", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn who_waits_as_long_as_the_server_may_take_hears_that_it_has_failed() {
    let mut config = Config::to(port());
    config.upstream = "retry = {}\nwhile_loading = { wait = \"700ms\" }\n\
                       wake = { command = [\"sleep\", \"1000\"], timeout = \"700ms\" }"
        .into();
    let gateway = config.start();
    let mut clients: Vec<Peer> = (0..5).map(|_| ask(&gateway, BODY)).collect();
    for client in &mut clients {
        expect_code(client, 503, "wake_failed");
    }
}

#[test]
fn one_that_does_not_hear_is_killed_with_all_it_has_started() {
    let address = port();
    let program = env!("CARGO_BIN_EXE_sluicegate");
    let script =
        format!("trap '' TERM; {program} mock --listen 127.0.0.1:${{PORT}} & wait; wait; wait");
    let wake = format!(
        "command = [\"sh\", \"-c\", {script:?}], idle = \"1s\", grace = \"500ms\", \
         stop_command = [\"true\"]"
    );
    let gateway = gateway(address, &wake, "");
    assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
    gateway.wait_for_log("its server does not end; it is killed");
    wait_for("all of it ends", || !answers(address));
}

#[test]
fn a_server_that_ends_by_itself_is_started_for_the_next_request() {
    let address = port();
    let gateway = gateway(address, &format!("command = {}", mock("", "")), "");
    assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
    let line = gateway.wait_for_log("its server is started, process");
    let pid = line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a number");
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    gateway.wait_for_log("its server has ended by itself");
    // It ended soon: the next start waits for a second.
    wait_for("it is back", || ask(&gateway, BODY).read_response().status() == 200);
}

#[test]
fn a_client_that_leaves_does_not_stop_the_start() {
    let address = port();
    let gateway = gateway(address, &format!("command = {}", mock("sleep 0.5;", "")), "");
    let client = ask(&gateway, BODY);
    gateway.wait_for_log("its server is started");
    client.reset();
    gateway.wait_for_log("its server is ready, after");
    assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
}

#[test]
fn of_a_group_one_runs_at_a_time() {
    let (a, b) = (port(), port());
    let upstream = |name: &str, address: SocketAddr| {
        format!(
            "[[upstream]]\nname = \"{name}\"\nendpoints = [\"{address}\"]\n\
             wake = {{ command = {}, group = \"gpu0\" }}\n\
             [[route]]\npath = \"/v1/*\"\nwhen = {{ model = \"{name}\" }}\nupstream = \"{name}\"\n",
            mock("", "--rate 20")
        )
    };
    let gateway = Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[limits]\nconnections = 100\n{}{}",
        upstream("a", a),
        upstream("b", b)
    ));
    let of = |model: &str, body: &str| body.replace("\"m\"", &format!("{model:?}"));
    // While a stream of A is under way B waits for it.
    let mut first = ask(&gateway, &of("a", STREAM));
    first.read_until("data: ");
    let mut second = ask(&gateway, &of("b", BODY));
    let both = Arc::<AtomicUsize>::default();
    let (seen, over) = (Arc::clone(&both), Arc::new(AtomicUsize::new(0)));
    let ends = Arc::clone(&over);
    let watch = thread::spawn(move || {
        while ends.load(Ordering::Relaxed) == 0 {
            seen.fetch_add(usize::from(answers(a) && answers(b)), Ordering::Relaxed);
            thread::sleep(Duration::from_millis(5));
        }
    });
    first.read_until("[DONE]");
    assert_eq!(second.read_response().status(), 200);
    gateway.wait_for_log("a: its server makes way for another of its group");
    // Both are wanted: each has its turn.
    let mut clients: Vec<Peer> =
        (0..6).map(|at| ask(&gateway, &of(["a", "b"][at % 2], BODY))).collect();
    for client in &mut clients {
        assert_eq!(client.read_response().status(), 200);
    }
    over.store(1, Ordering::Relaxed);
    watch.join().expect("it watches");
    assert_eq!(both.load(Ordering::Relaxed), 0, "both at once");
}

#[test]
fn a_url_starts_and_stops_a_server() {
    let heard = Arc::new(Mutex::new(Vec::<String>::new()));
    let server = Arc::new(Mutex::new(None::<std::process::Child>));
    let address = port();
    let (told, runs) = (Arc::clone(&heard), Arc::clone(&server));
    let manager = Upstream::serve(move |mut peer| {
        while let Some(request) = peer.next_request() {
            told.lock().expect("no panic").push(request.start.clone());
            let mut server = runs.lock().expect("no panic");
            if request.start.starts_with("POST /start") {
                let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluicegate"));
                command.args(["mock", "--listen", &address.to_string()]);
                *server = Some(command.spawn().expect("it starts"));
            } else if let Some(mut server) = server.take() {
                let _ = server.kill();
                let _ = server.wait();
            }
            let _ = peer.try_send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let wake = format!(
        "url = \"http://{manager}/start?port=${{PORT}}\", stop_url = \"http://{manager}/stop\", \
         idle = \"1s\""
    );
    let gateway = gateway(address, &wake, "");
    assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
    gateway.wait_for_log("its server is stopped: unused for");
    wait_for("it stops", || !answers(address));
    let expected =
        [format!("POST /start?port={} HTTP/1.1", address.port()), "POST /stop HTTP/1.1".into()];
    assert_eq!(*heard.lock().expect("no panic"), expected);
}

#[test]
fn a_server_that_is_there_is_used_and_left_alone() {
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    let address = port();
    process.args(["mock", "--listen", &address.to_string()]);
    let mut server = process.spawn().expect("it starts");
    wait_for("it serves", || answers(address));
    let wake = format!("command = {}, idle = \"1s\"", mock("", ""));
    let mut gateway = gateway(address, &wake, "");
    assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
    thread::sleep(Duration::from_millis(1500));
    gateway.terminate();
    assert!(gateway.wait_exit(PATIENCE).is_some_and(|status| status.success()));
    assert!(answers(address), "it is not ours");
    let _ = server.kill();
    let _ = server.wait();
}

#[test]
fn another_upstream_answers_while_the_server_starts() {
    let ready = Upstream::serve(|mut peer| {
        while peer.next_request().is_some() {
            let _ = peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready");
        }
    });
    let mut config = Config::to(port());
    let command = mock("sleep 0.5;", "");
    config.upstream = format!("retry = {{}}\nwake = {{ command = {command} }}");
    config.route = "path = \"/other\"".into();
    config.more = format!(
        "[[upstream]]\nname = \"second\"\nendpoints = [\"{ready}\"]\n\
         [[route]]\npath = \"/v1/*\"\nupstream = [\"scripted\", \"second\"]\n"
    );
    let gateway = config.start();
    assert_eq!(ask(&gateway, BODY).read_response().text(), "ready");
    gateway.wait_for_log("its server is ready, after");
    wait_for("the first answers", || ask(&gateway, BODY).read_response().text() != "ready");
}

/// The new process uses the server of the old one, and starts its own when that has gone with it.
#[test]
fn a_hand_over_costs_a_server_a_restart_and_no_request() {
    let address = port();
    let mut gateway = gateway(address, &format!("command = {}", mock("", "")), "");
    assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
    crate::harness::signal(&gateway, rustix::process::Signal::USR2);
    gateway.wait_for_log("handed over to process");
    gateway.wait_for_log("its server is there already; it is not stopped by us");
    assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
    assert!(gateway.wait_exit(PATIENCE).is_some_and(|status| status.success()));
    gateway.wait_for_log("its server, which was not ours, is gone");
    assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
    assert_eq!(gateway.count_in_log("its server is started"), 2);
    for successor in gateway.successors() {
        rustix::process::kill_process(successor, rustix::process::Signal::TERM).expect("it runs");
    }
    wait_for("it ends with its server", || !answers(address));
}
