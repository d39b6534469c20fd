use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that answers as it is told to.
struct Scripted {
    address: SocketAddr,
    /// `None`: it says nothing, and closes when the client does.
    answer: Arc<Mutex<Option<&'static str>>>,
    asked: Arc<AtomicUsize>,
    last_request: Arc<Mutex<String>>,
}

impl Scripted {
    fn new(answer: Option<&'static str>) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let scripted = Scripted {
            address: listener.local_addr().expect("it is bound"),
            answer: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
            last_request: Arc::default(),
        };
        let (answer, asked) = (Arc::clone(&scripted.answer), Arc::clone(&scripted.asked));
        let last_request = Arc::clone(&scripted.last_request);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, asked) = (*answer.lock().expect("no panic"), Arc::clone(&asked));
                let last_request = Arc::clone(&last_request);
                thread::spawn(move || {
                    let mut stream = stream;
                    let mut request = Vec::new();
                    let mut piece = [0; 512];
                    while !request.ends_with(b"\r\n\r\n") {
                        match stream.read(&mut piece) {
                            Ok(length) if length > 0 => request.extend(&piece[..length]),
                            _ => return,
                        }
                    }
                    *last_request.lock().expect("no panic") =
                        String::from_utf8_lossy(&request).into_owned();
                    asked.fetch_add(1, Ordering::Relaxed);
                    match answer {
                        Some(answer) => {
                            let _ = stream.write_all(answer.as_bytes());
                            let _ = stream.shutdown(Shutdown::Write);
                        }
                        None => drop(stream.read(&mut piece)),
                    }
                });
            }
        });
        scripted
    }

    fn says(&self, answer: Option<&'static str>) {
        *self.answer.lock().expect("no panic") = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn target(address: SocketAddr, interval: u64) -> CheckTarget {
    CheckTarget {
        rules: None,
        endpoint: EndpointId(address.port().into()),
        upstream: (UpstreamId(1), "vllm".to_owned()),
        address,
        tls: None,
        host: "gpu.example:8000".to_owned(),
        settings: HealthCheck {
            path: "/health".to_owned(),
            statuses: 200..=299,
            interval: Duration::from_millis(interval),
            timeout: Duration::from_millis(interval.clamp(300, 1_000)),
            unhealthy: 3,
            healthy: 2,
            plugin: None,
        },
        probe: None,
    }
}

fn start(targets: Vec<CheckTarget>) -> (HealthChecks, mpsc::Receiver<Change>) {
    let (sender, changes) = mpsc::channel();
    let publish = move |change| drop(sender.send(change));
    (HealthChecks::start(targets, 1, publish).expect("threads start"), changes)
}

#[test]
fn what_a_check_says_of_an_answer() {
    for (answer, expected) in [
        (Some(OK), Ok(())),
        (Some("HTTP/1.1 204 No Content\r\n\r\n"), Ok(())),
        (Some("HTTP/1.0 200 OK\r\n\r\nfine"), Ok(())),
        (Some("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), Ok(())),
        (Some(DOWN), Err(AskFailure::Status(503))),
        (
            Some("HTTP/1.1 301 Moved Permanently\r\nlocation: /x\r\n\r\n"),
            Err(AskFailure::Status(301)),
        ),
        (Some("SSH-2.0-OpenSSH_9.9\r\n"), Err(AskFailure::NotHttp)),
        (Some("HTTP/1.1 200 OK\r\ncontent-le"), Err(AskFailure::Closed)),
        (Some("HTTP/1.1 102 Processing\r\n\r\n"), Err(AskFailure::Closed)),
        (Some(""), Err(AskFailure::Closed)),
        (None, Err(AskFailure::Timeout)),
    ] {
        let server = Scripted::new(answer);
        assert_eq!(check::check(&target(server.address, 1_000)), expected, "{answer:?}");
        let request = server.last_request.lock().expect("no panic").clone();
        assert!(request.starts_with("GET /health HTTP/1.1\r\nHost: gpu.example:8000\r\n"));
    }
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let nobody = nobody.expect("a port is free");
    assert_eq!(
        check::check(&target(nobody, 1_000)),
        Err(AskFailure::Connect(io::ErrorKind::ConnectionRefused))
    );
}

#[test]
fn an_answer_that_drips_in_ends_with_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    // Each byte in time, the head never: a timeout per read would wait for ever.
    let started = Instant::now();
    assert_eq!(check::check(&target(address, 300)), Err(AskFailure::Timeout));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn changes_are_published_once_and_in_their_order() {
    let server = Scripted::new(Some(OK));
    let (checks, changes) = start(vec![target(server.address, 20)]);
    while server.asked() < 3 {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(checks.verdicts(), [(Arc::new(target(server.address, 20)), HealthStatus::Well)]);
    for (answer, verdict, failure) in [
        (Some(DOWN), HealthStatus::Unwell, Some(AskFailure::Status(503))),
        (Some(OK), HealthStatus::Well, None),
        (None, HealthStatus::Unwell, Some(AskFailure::Timeout)),
    ] {
        let before = server.asked();
        server.says(answer);
        let change = changes.recv_timeout(PATIENCE).expect("a change");
        assert_eq!((change.verdict, change.failure), (verdict, failure));
        assert_eq!(*change.target, target(server.address, 20));
        let needed = if verdict == HealthStatus::Well { 2 } else { 3 };
        assert!(server.asked() >= before + needed - 1, "so many checks");
    }
    drop(checks);
    assert_eq!(changes.try_iter().count(), 0);
}

#[test]
fn one_that_hangs_does_not_delay_the_others() {
    let (dead, well) = (Scripted::new(None), Scripted::new(Some(OK)));
    let (checks, changes) = start(vec![target(dead.address, 50), target(well.address, 50)]);
    let change = changes.recv_timeout(PATIENCE).expect("a change");
    assert_eq!((change.target.address, change.verdict), (dead.address, HealthStatus::Unwell));
    assert!(well.asked() > 2 * dead.asked(), "{} {}", well.asked(), dead.asked());
    drop(checks);
    let asked = well.asked();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(well.asked(), asked, "over is over");
}

#[test]
fn a_new_list_keeps_the_verdicts_of_those_that_stay() {
    let servers = [Some(DOWN), Some(OK), Some(OK)].map(Scripted::new);
    let at = |index: usize| target(servers[index].address, 20);
    let (mut checks, changes) = start(vec![at(0), at(1)]);
    assert_eq!(
        changes.recv_timeout(PATIENCE).map(|change| change.verdict),
        Ok(HealthStatus::Unwell)
    );
    checks.retarget([at(2), at(0)]).expect("threads start");
    let verdicts = checks.verdicts();
    assert_eq!(verdicts[1].1, HealthStatus::Unwell);
    assert_eq!(verdicts.len(), 2);
    while servers[2].asked() < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(checks.verdicts()[0].1, HealthStatus::Well);
    // A check that was under way may still have ended.
    let asked = servers[1].asked() + 1;
    thread::sleep(Duration::from_millis(200));
    assert!(servers[1].asked() <= asked);
    checks.retarget([]).expect("nobody is left");
    assert!(checks.verdicts().is_empty() && changes.try_iter().next().is_none());
}

#[test]
fn more_endpoints_than_threads_all_have_their_turn() {
    let server = Scripted::new(Some(OK));
    let targets = (0..3 * THREADS_MAX).map(|index| CheckTarget {
        endpoint: EndpointId(index as u32),
        ..target(server.address, 1_000)
    });
    let (checks, _changes) = start(targets.collect());
    let started = Instant::now();
    while checks.verdicts().iter().any(|(_, verdict)| *verdict == HealthStatus::Unknown) {
        assert!(started.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(checks.threads.len(), THREADS_MAX);
}

#[test]
fn what_others_say_is_looked_at_at_once_and_found_out_soon() {
    let (well, ill) = (Scripted::new(Some(OK)), Scripted::new(Some(OK)));
    let (changed, changes) = mpsc::channel();
    let targets = [target(well.address, 3_600_000), target(ill.address, 3_600_000)];
    let publish = move |change: Change| drop(changed.send(change));
    let checks = HealthChecks::start(targets, 1, publish).expect("threads");
    let both = || [well.asked(), ill.asked()];
    let wait_until = |what: &str, is_so: &dyn Fn() -> bool| {
        let deadline = Instant::now() + 3 * PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "never: {what}");
            thread::sleep(Duration::from_millis(10));
        }
    };
    let verdicts = || checks.verdicts().iter().all(|(_, verdict)| *verdict == HealthStatus::Well);
    wait_until("both are well", &verdicts);
    assert_eq!(both(), [1, 1]);
    ill.says(Some(DOWN));
    for one in [&well, &ill] {
        checks.hurry(EndpointId(one.address.port().into()));
    }
    // In an hour otherwise, and three are needed.
    let change = changes.recv_timeout(3 * PATIENCE).expect("it is found out");
    assert_eq!((change.target.address, change.verdict), (ill.address, HealthStatus::Unwell));
    wait_until("the other was looked at", &|| well.asked() == 2);
    assert_eq!(both(), [2, 4], "once is enough where all is well");
}
