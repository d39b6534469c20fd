//! A name that has no address, gets one, moves, and cannot be looked up, in front of real sockets.
//! The resolver says what it is told to; the servers share a port and differ in their address.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::*;
use crate::config::{self, Environment};
use crate::dns::{LookedUp, LookupFailure};
use crate::server;

const PATIENCE: Duration = Duration::from_secs(30);

/// Answers every request on every connection with its own address; tells when a connection ends.
fn serve(listener: TcpListener) -> Receiver<()> {
    let (ended, ends) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let ended = ended.clone();
            thread::spawn(move || {
                answer_all(stream);
                let _ = ended.send(());
            });
        }
    });
    ends
}

fn answer_all(mut stream: TcpStream) {
    let Ok(address) = stream.local_addr() else { return };
    let Ok(copy) = stream.try_clone() else { return };
    let (body, mut lines) = (address.ip().to_string(), BufReader::new(copy).lines());
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// The status and the body of one answer.
fn ask(gateway: SocketAddr) -> (String, String) {
    let mut stream = TcpStream::connect(gateway).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
    (status, body)
}

#[test]
fn a_name_is_down_until_it_has_an_address_and_moves_with_it() {
    let first = TcpListener::bind("127.0.0.2:0").expect("a port");
    let port = first.local_addr().expect("a socket").port();
    let Ok(second) = TcpListener::bind(("127.0.0.3", port)) else {
        eprintln!("SKIPPED: port {port} is taken on 127.0.0.3");
        return;
    };
    let (of_first, _of_second) = (serve(first), serve(second));
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\nresolve = \"100ms\"\n\
         [limits]\nconnections = 50\n\
         [[upstream]]\nname = \"a\"\nendpoints = [\"models.invalid:{port}\"]\n\
         pool.idle_timeout = \"60s\"\n[[route]]\npath = \"/*\"\nupstream = \"a\"\n"
    );
    let unknown: crate::config::names::Resolve = |_, _| Err("no such name".to_owned());
    let environment = Environment { resolve: unknown, ..Environment::current() };
    let loaded = config::parse(&text, &environment).expect("a name that is not known is no error");
    assert_eq!(loaded.warnings.len(), 1);
    let snapshot = Arc::new(loaded.snapshot);
    let server = server::start("names", Arc::clone(&snapshot)).expect("it starts");
    let gateway = server.addresses()[0];
    let told = Arc::new(Mutex::new(Err(LookupFailure::Nothing(Duration::ZERO))));
    let known = Arc::clone(&told);
    let resolve = move |_: &str| known.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let source = Source::File(FileWatch::of(Path::new("/nonexistent")));
    let (folder, read, refused) = (PathBuf::new(), None, Vec::new());
    let obeyed = Obeyed { snapshot, source, folder, read, refused };
    let (control, resolver) = (server.control(), Arc::default());
    let lifecycle = Lifecycle::start_with(control, obeyed, String::new(), resolver, resolve);
    let _lifecycle = lifecycle.expect("it starts");
    let tell = |found: Lookup| *told.lock().unwrap_or_else(PoisonError::into_inner) = found;
    let at = |last| LookedUp { records: vec![([127, 0, 0, last], port).into()], ttl: None };
    let becomes = |ip: &str| {
        let until = Instant::now() + PATIENCE;
        while ask(gateway) != ("200".to_owned(), ip.to_owned()) {
            assert!(Instant::now() < until, "{ip} is not asked");
            thread::sleep(Duration::from_millis(5));
        }
    };

    assert_eq!(ask(gateway).0, "503", "it is down");
    tell(Ok(at(2)));
    becomes("127.0.0.2");
    // Its connection is idle now, and would be for a minute.
    assert!(of_first.try_recv().is_err());
    tell(Ok(at(3)));
    becomes("127.0.0.3");
    of_first.recv_timeout(PATIENCE).expect("nothing goes on with whoever has the old address");
    tell(Err(LookupFailure::Failed("no answer".to_owned())));
    // As many look-ups as it takes to be sure that one has failed.
    thread::sleep(Duration::from_millis(400));
    assert_eq!(ask(gateway), ("200".to_owned(), "127.0.0.3".to_owned()), "it stays");
    server.control().stop();
    server.join().expect("it ends");
}
