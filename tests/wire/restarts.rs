//! The gateway ended and started again under load, behind a socket that outlives it: a service
//! manager's, or a pod's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::handover::{activated, says};
use crate::harness::{Config, Gateway, PATIENCE, signal};
use crate::reload::{streams, watch_stream};

/// How one request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    Whole,
    /// The connection ended without a byte of an answer: any HTTP client asks again.
    Nothing,
    /// It broke off, and was seen to.
    Cut(String),
    /// Nobody listens.
    Refused(String),
    /// Another status than 200.
    Error(String),
}

/// Clients that ask again and again.
struct Load {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Ending>>>,
}

impl Load {
    /// `keep`: on a connection that is kept for as long as the gateway keeps it.
    fn on(address: SocketAddr, clients: usize, keep: bool) -> Load {
        let over = Arc::<AtomicBool>::default();
        let client = |_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                let (mut endings, mut kept) = (Vec::new(), None);
                while !over.load(Ordering::Relaxed) {
                    endings.push(ask(address, keep, &mut kept));
                    // The other tests want the machine as well.
                    thread::sleep(Duration::from_millis(1));
                }
                endings
            })
        };
        Load { clients: (0..clients).map(client).collect(), over }
    }

    /// Stops it. Every ending but the good ones, and how many of those there were.
    fn end(self) -> (usize, Vec<Ending>) {
        self.over.store(true, Ordering::Relaxed);
        let all = self.clients.into_iter().flat_map(|client| client.join().expect("no panic"));
        let (whole, others): (Vec<_>, Vec<_>) = all.partition(|ending| *ending == Ending::Whole);
        (whole.len(), others)
    }
}

fn ask(address: SocketAddr, keep: bool, kept: &mut Option<TcpStream>) -> Ending {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(error) => return Ending::Refused(error.to_string()),
        },
    };
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let close = if keep { "" } else { "Connection: close\r\n" };
    // What cannot be written is seen by the read.
    let _ = stream.write_all(format!("GET /a HTTP/1.1\r\nHost: x\r\n{close}\r\n").as_bytes());
    let mut answer = Vec::new();
    let mut bytes = [0; 1024];
    while !answer.ends_with(b"\r\n\r\nhere") {
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) if answer.is_empty() => return Ending::Nothing,
            Ok(0) | Err(_) => return Ending::Cut(String::from_utf8_lossy(&answer).into_owned()),
            Ok(count) => answer.extend(&bytes[..count]),
        }
        if answer.len() > 12 && !answer.starts_with(b"HTTP/1.1 200") {
            return Ending::Error(String::from_utf8_lossy(&answer).into_owned());
        }
    }
    let text = String::from_utf8_lossy(&answer).to_lowercase();
    if keep && !text.contains("connection: close") {
        *kept = Some(stream);
    }
    Ending::Whole
}

/// The socket of a service manager, and a gateway behind it.
fn behind_a_socket(upstream: SocketAddr) -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a socket").to_string();
    let config = Config::to(upstream).text().replace("127.0.0.1:0", &address);
    (listener, config.replace("workers = 1", "workers = 2"))
}

#[test]
fn a_restart_under_load_behind_a_kept_socket_refuses_nobody() {
    let (listener, config) = behind_a_socket(says("here"));
    let mut gateway = activated(&config, &listener, &[]);
    let once = Load::on(gateway.address(), 3, false);
    let kept = Load::on(gateway.address(), 3, true);
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(300));
        gateway.terminate();
        assert_eq!(gateway.wait_exit(PATIENCE).expect("it ends").code(), Some(0));
        // Now nobody is there, and connections wait.
        thread::sleep(Duration::from_millis(100));
        gateway = activated(&config, &listener, &[]);
    }
    thread::sleep(Duration::from_millis(300));
    let (answered, others) = once.end();
    println!("{answered} requests on as many connections");
    assert_eq!(others, [], "of {answered}");
    assert!(answered > 100, "{answered}");
    // A client whose request crosses our FIN has to ask again; it sees nothing worse.
    let (answered, others) = kept.end();
    println!("{answered} requests on kept connections, {} to be asked again", others.len());
    assert!(others.iter().all(|ending| *ending == Ending::Nothing), "{others:?}");
    assert!(others.len() <= 3 * 3, "once a client and restart: {others:?}");
    assert!(answered > 100, "{answered}");
}

#[test]
fn kill_minus_nine_under_load_costs_what_was_in_flight() {
    const CLIENTS: usize = 3;
    const KILLS: usize = 3;
    let (listener, config) = behind_a_socket(says("here"));
    let mut gateway = activated(&config, &listener, &[]);
    let loads = [false, true].map(|keep| Load::on(gateway.address(), CLIENTS, keep));
    for _ in 0..KILLS {
        thread::sleep(Duration::from_millis(300));
        signal(&gateway, Signal::KILL);
        gateway.wait_exit(PATIENCE).expect("it ends");
        thread::sleep(Duration::from_millis(100));
        gateway = activated(&config, &listener, &[]);
    }
    thread::sleep(Duration::from_millis(300));
    for load in loads {
        let (answered, others) = load.end();
        println!("{answered} answered, {} in flight at a kill", others.len());
        let honest = |ending: &Ending| matches!(ending, Ending::Nothing | Ending::Cut(_));
        assert!(others.iter().all(honest), "{others:?}");
        assert!(others.len() <= CLIENTS * KILLS, "{others:?}");
        assert!(answered > 100, "{answered}");
    }
}

#[test]
fn reloads_under_load_fail_no_request_and_delay_no_stream() {
    const EVENTS: usize = 100;
    const RELOADS: usize = 20;
    let config = Config {
        more: format!(
            "[[upstream]]\nname = \"streams\"\nendpoints = [\"{}\"]\n\
             [[route]]\npath = \"/stream\"\nupstream = \"streams\"\n",
            streams(EVENTS)
        ),
        ..Config::to(says("here"))
    };
    let two = |config: &Config| config.text().replace("workers = 1", "workers = 2");
    let gateway = Gateway::start(&two(&config));
    let stream = watch_stream(&gateway, "/stream", EVENTS);
    let loads = [false, true].map(|keep| Load::on(gateway.address(), 3, keep));
    let begin = Instant::now();
    let mut generations = 0;
    // Two seconds; on a busy machine as long as it takes to reload so often.
    while begin.elapsed() < Duration::from_secs(2) || generations <= RELOADS {
        generations += 1;
        // Endpoints come and go: another server that says the same, every time.
        gateway.rewrite(&two(&Config { endpoint: says("here").to_string(), ..config.clone() }));
        signal(&gateway, Signal::HUP);
        gateway.wait_for_log(&format!("generation {generations} is in force"));
    }
    for load in loads {
        let (answered, others) = load.end();
        println!("{answered} answered over {generations} generations");
        assert_eq!(others, [], "of {answered}");
        assert!(answered > 100, "{answered}");
    }
    let late = stream.join().expect("the stream is whole");
    assert!(late < Duration::from_millis(200), "an event was {late:?} late");
}
