//! `sluicegate register`: servers that tell a store of themselves, and are told to end.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{EtcdCluster, PATIENCE, Upstream, encoded, sluicegate};
use crate::tls::{Authority, TlsServer};

/// A port that nobody listens on.
pub fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// `sluicegate register`, killed when the test ends, and its server with it.
pub struct Registrar {
    process: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Registrar {
    pub fn start(store: &str, arguments: &[&str]) -> Registrar {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
            .args(["register", "--upstream", "llama", "--store", store])
            .args(arguments)
            .env("SLUICEGATE_STORE_PASSWORD", "s3cret")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let said = Arc::new(Mutex::new(Vec::new()));
        let stdout = process.stdout.take().expect("a pipe");
        let stderr = process.stderr.take().expect("a pipe");
        let pipes: [Box<dyn std::io::Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
        for pipe in pipes {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    said.lock().expect("no panic").push(line);
                }
            });
        }
        Registrar { process, said }
    }

    /// With the mock as its server.
    pub fn of_mock(store: &str, address: SocketAddr, more: &[&str]) -> Registrar {
        let address = address.to_string();
        let mut arguments = vec!["--address", &address, "--health", "connect"];
        arguments.extend(["--health-interval", "50ms"]);
        arguments.extend(more);
        arguments.extend(["--", env!("CARGO_BIN_EXE_sluicegate"), "mock", "--listen", &address]);
        Registrar::start(store, &arguments)
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().expect("no panic").clone()
    }

    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        until(&format!("{text:?} is said"), || self.said().iter().any(|line| line.contains(text)));
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it runs");
    }

    /// The process id of its server.
    pub fn server(&self) -> Pid {
        self.wait_for(": process ");
        let line = self.said().into_iter().find(|line| line.contains(": process "));
        let line = line.expect("it was said");
        let id = line.rsplit_once(' ').expect("a number").1.parse().expect("a number");
        Pid::from_raw(id).expect("a process")
    }

    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {:#?}", self.said());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGKILL to it and to its server, as when the host loses power.
    pub fn kill(&mut self) {
        let server = self.server();
        let _ = self.process.kill();
        let _ = kill_process(server, Signal::KILL);
        let _ = self.process.wait();
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("register said: {:#?}", self.said());
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let line = self.said().into_iter().find(|line| line.contains(": process "));
        let server = line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
        if let Some(server) = server.and_then(Pid::from_raw) {
            let _ = kill_process(server, Signal::KILL);
        }
    }
}

#[track_caller]
pub fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn registered(cluster: &EtcdCluster) -> Vec<Value> {
    let values = cluster.values("/p/.endpoints/llama/");
    values.iter().map(|value| serde_json::from_str(value).expect("JSON")).collect()
}

fn is_registered(cluster: &EtcdCluster) -> bool {
    !registered(cluster).is_empty()
}

fn answers(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

#[test]
fn a_server_is_registered_when_it_is_well_and_withdrawn_before_it_ends() {
    let cluster = EtcdCluster::start(1);
    let address = free_port();
    let more = ["--weight", "3", "--zone", "rack-1", "--drain", "400ms"];
    let mut registrar = Registrar::of_mock(&cluster.place("p"), address, &more);
    until("it is registered", || is_registered(&cluster));
    assert!(answers(address), "it was registered before it was there");
    let expected =
        json!({ "address": address.to_string(), "weight": 3, "priority": 0, "zone": "rack-1" });
    assert_eq!(registered(&cluster), [expected]);

    registrar.signal(Signal::TERM);
    until("it is withdrawn", || !is_registered(&cluster));
    let withdrawn = Instant::now();
    assert!(answers(address), "it ended before it was withdrawn");
    assert_eq!(registrar.ends().code(), Some(0));
    let drained = withdrawn.elapsed();
    assert!((300..3_000).contains(&drained.as_millis()), "it drained for {drained:?}");
    assert!(!answers(address));
}

#[test]
fn who_is_killed_leaves_with_the_lease() {
    let cluster = EtcdCluster::start(1);
    let mut registrar = Registrar::of_mock(&cluster.place("p"), free_port(), &["--ttl", "2s"]);
    until("it is registered", || is_registered(&cluster));
    // It holds for longer than the lease.
    thread::sleep(Duration::from_secs(3));
    assert!(is_registered(&cluster));
    let killed = Instant::now();
    registrar.kill();
    until("its key is gone", || !is_registered(&cluster));
    let took = killed.elapsed();
    // etcd looks for leases that have ended twice a second.
    assert!(took < Duration::from_millis(3_500), "it took {took:?}");
}

#[test]
fn who_was_stopped_for_longer_than_the_lease_comes_back() {
    let cluster = EtcdCluster::start(1);
    let registrar = Registrar::of_mock(&cluster.place("p"), free_port(), &["--ttl", "2s"]);
    until("it is registered", || is_registered(&cluster));
    registrar.signal(Signal::STOP);
    until("its key is gone", || !is_registered(&cluster));
    registrar.signal(Signal::CONT);
    until("it is registered anew", || is_registered(&cluster));
    registrar.wait_for("its lease was lost");
}

#[test]
fn a_lease_outlives_the_member_that_it_was_kept_with() {
    let mut cluster = EtcdCluster::start(3);
    let store = cluster.place("p");
    let _registrar = Registrar::of_mock(&store, free_port(), &["--ttl", "3s"]);
    until("it is registered", || is_registered(&cluster));
    let leader = cluster.leader();
    cluster.kill(leader);
    let deadline = Instant::now() + Duration::from_secs(6);
    while Instant::now() < deadline {
        // Where there is no leader yet there is no answer.
        let question = json!({ "key": encoded(b"/p/"), "range_end": encoded(b"/p0") });
        if let Some(told) = cluster.ask("/v3/kv/range", &question) {
            assert_eq!(told["count"], "1", "it has lost its lease");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_server_that_is_unwell_is_withdrawn_and_comes_back() {
    let cluster = EtcdCluster::start(1);
    let well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&well);
    let address = Upstream::serve(move |mut peer| {
        let request = peer.read_request();
        let status = match (told.load(Ordering::Relaxed), request.start.contains(" /live ")) {
            (true, true) => "200 OK",
            _ => "503 Busy",
        };
        peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
    });
    let (server, health) = (address.to_string(), format!("http://{address}/live"));
    let arguments =
        ["--address", &server, "--id", "one", "--health", &health, "--health-interval", "20ms"];
    let mut registrar = Registrar::start(&cluster.place("p"), &arguments);
    registrar.wait_for("somebody else runs it");
    thread::sleep(Duration::from_millis(200));
    assert!(!is_registered(&cluster), "it is not well");
    for _ in 0..2 {
        well.store(true, Ordering::Relaxed);
        until("it is registered", || is_registered(&cluster));
        well.store(false, Ordering::Relaxed);
        until("it is withdrawn", || !is_registered(&cluster));
    }
    registrar.wait_for("unwell (http://127.0.0.1:");
    well.store(true, Ordering::Relaxed);
    until("it is registered", || is_registered(&cluster));
    registrar.signal(Signal::INT);
    assert_eq!(registrar.ends().code(), Some(0));
    assert!(!is_registered(&cluster));
}

#[test]
fn a_store_that_goes_or_forgets_never_ends_a_server() {
    let mut cluster = EtcdCluster::start(1);
    cluster.kill(0);
    let address = free_port();
    let mut registrar =
        Registrar::of_mock(&cluster.place("p"), address, &["--ttl", "2s", "--drain", "0s"]);
    registrar.wait_for("the store is away, and is tried again");
    until("the server is there", || answers(address));
    cluster.start_member(0);
    cluster.wait_until_ready();
    until("it is registered", || is_registered(&cluster));
    let server = registrar.server();

    // It comes back with nothing of what it knew.
    cluster.renew();
    until("it is registered anew", || is_registered(&cluster));
    registrar.wait_for("its lease was lost");
    // Somebody takes the key out, and not the lease.
    let key = format!("/p/.endpoints/llama/{address}");
    cluster.ask("/v3/kv/deleterange", &json!({ "key": encoded(key.as_bytes()) })).expect("done");
    until("it is written again", || is_registered(&cluster));
    assert_eq!(registrar.server(), server);
    assert!(answers(address));

    // Away when it is told to end: the lease ends by itself meanwhile.
    cluster.kill(0);
    let told = Instant::now();
    registrar.signal(Signal::TERM);
    assert_eq!(registrar.ends().code(), Some(0));
    assert!(told.elapsed() >= Duration::from_secs(2), "the lease had not ended");
}

#[test]
fn what_a_server_says_and_how_it_ends_is_passed_on() {
    let cluster = EtcdCluster::start(1);
    let store = cluster.place("p");
    let address = free_port().to_string();
    let of_shell = |script: &str, more: &[&str]| {
        let mut arguments = vec!["--address", &address, "--health-interval", "20ms"];
        arguments.extend(more);
        arguments.extend(["--", "sh", "-c", script]);
        Registrar::start(&store, &arguments)
    };
    let mut registrar = of_shell("echo to-out; echo to-err >&2; exit 7", &[]);
    assert_eq!(registrar.ends().code(), Some(7));
    registrar.wait_for("to-out");
    registrar.wait_for("to-err");
    let mut registrar = of_shell("kill -9 $$", &[]);
    assert_eq!(registrar.ends().code(), Some(137));

    // It is never well, and does not heed SIGTERM.
    let stubborn = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let mut registrar = of_shell(stubborn, &["--start", "300ms", "--grace", "200ms"]);
    assert_eq!(registrar.ends().code(), Some(1));
    registrar.wait_for("the server is not well after 300ms (/health): it is ended");
    registrar.wait_for("the server does not end: SIGKILL");

    // What it leaves of its group is ended too, by force where it has to be.
    let leaves = "sh -c \"trap '' TERM; echo left \\$\\$; while :; do sleep 0.05; done\" & sleep 0.3; exit 9";
    let mut registrar = of_shell(leaves, &["--grace", "300ms"]);
    assert_eq!(registrar.ends().code(), Some(9));
    registrar.wait_for("they do not end: SIGKILL");
    let line = registrar.said().into_iter().find(|line| line.starts_with("left "));
    let left = line.and_then(|line| line[5..].parse().ok()).and_then(Pid::from_raw);
    let left = left.expect("it has said its number");
    // A zombie, where nobody waits for orphans, is not one that runs.
    let status = format!("/proc/{}/stat", left.as_raw_nonzero());
    until("it is gone", || {
        std::fs::read_to_string(&status).map_or(true, |stat| stat.contains(") Z "))
    });

    // Signals that mean something to it reach it, and the password does not.
    let script = "trap 'echo hup; exit 5' HUP; echo it has ${SLUICEGATE_STORE_PASSWORD:-nothing}; \
                  while :; do sleep 0.05; done";
    let mut registrar = of_shell(script, &[]);
    registrar.wait_for("it has nothing");
    registrar.signal(Signal::HUP);
    assert_eq!(registrar.ends().code(), Some(5));
    registrar.wait_for("hup");
}

#[test]
fn a_server_under_tls_is_asked_under_tls() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.issue(&["localhost"]), None);
    let cluster = EtcdCluster::start(1);
    let address = format!("https://localhost:{}", server.port);
    let start = |ca: &Authority| {
        let ca = ca.ca.to_str().expect("a path");
        let arguments = ["--address", &address, "--health-ca", ca, "--health-interval", "20ms"];
        Registrar::start(&cluster.place("p"), &arguments)
    };
    let stranger = start(&Authority::new());
    thread::sleep(Duration::from_millis(300));
    assert!(!is_registered(&cluster), "it is not believed");
    drop(stranger);
    let _registrar = start(&authority);
    until("it is registered", || is_registered(&cluster));
    assert_eq!(registered(&cluster)[0]["address"], json!(address));
}

#[test]
fn what_cannot_begin_says_why() {
    let cluster = EtcdCluster::start(1);
    let place = cluster.place("p");
    let register = |store: &str, more: &[&str]| {
        let mut arguments = vec!["register", "--store", store, "--upstream", "llama"];
        arguments.extend(more);
        sluicegate(&arguments)
    };
    for (arguments, code, why) in [
        (&["--address", "10.0.0.1"][..], 2, "write HOST:PORT"),
        (&["--address", "a:1", "--ttl", "1s"], 2, "from 2s to 1h"),
        (&["--address", "a:1", "--ttl", "5"], 2, "\"5\" has no unit"),
        (&["--address", "a:1", "--id", "a/b"], 2, "letters, digits"),
        (&["--address", "https://a", "--health-ca", "/none/ca"], 1, "/none/ca: "),
        (&["--address", "a:1", "--health-ca", "x"], 1, "is for a server that is asked under TLS"),
        (&["--address", "a:1", "--health", "ftp://a:1/"], 2, "must be a path, http[s]://"),
        (&["--address", "a:1", "--", "/none/such"], 1, "/none/such: "),
    ] {
        let refused = register(&place, arguments);
        assert_eq!(refused.status.code(), Some(code), "{refused:?}");
        assert!(refused.stderr.contains(why), "{refused:?}");
    }
    let upstream = Upstream::serve(|mut peer| {
        peer.read_request();
        peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    });
    let refused = register(&format!("etcd://{upstream}/p"), &["--address", "a:1"]);
    assert!(refused.stderr.contains("this is no answer of etcd"), "{refused:?}");
    assert_eq!(refused.status.code(), Some(1));
}
