//! An answer that comes before the end of its request, and waits while the request is moved.
//!
//! The gateway is stopped (SIGSTOP) while both are on the way, so that it finds both in one turn:
//! the rest of the request, which takes all the budget of a drive, and the answer behind it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What one drive moves before others have their turn.
const BUDGET: usize = 64 * 1024;
/// The answer must not come with this timer's help.
const TTFT: Duration = Duration::from_secs(5);

struct Gateway {
    process: Child,
    address: String,
    file: PathBuf,
}

impl Gateway {
    fn before(upstream: &str) -> Gateway {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("its address").to_string();
        drop(free);
        let name = format!("early-answer-{}.toml", std::process::id());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let configuration = format!(
            "[server]\nlisten = [\"{address}\"]\nworkers = 1\n\n[limits]\nconnections = 10\n\n\
             [timeouts]\nttft = \"{}s\"\n\n\
             [[upstream]]\nname = \"server\"\nendpoints = [\"{upstream}\"]\n\n\
             [[route]]\npath = \"/*\"\nupstream = \"server\"\n",
            TTFT.as_secs()
        );
        fs::write(&file, configuration).expect("a temporary file");
        let process = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
            .args(["--log-level", "off", "run", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary starts");
        Gateway { process, address, file }
    }

    fn connect(&self) -> TcpStream {
        let begin = Instant::now();
        loop {
            match TcpStream::connect(&self.address) {
                Ok(client) => return client,
                Err(error) => assert!(begin.elapsed() < Duration::from_secs(20), "{error}"),
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.process);
        kill_process(id, signal).expect("the gateway runs");
        thread::sleep(Duration::from_millis(100));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.file);
    }
}

#[test]
fn an_answer_is_not_forgotten_when_its_request_takes_the_whole_budget() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let gateway = Gateway::before(&server.local_addr().expect("its address").to_string());
    let mut client = gateway.connect();
    let head = format!("POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: {BUDGET}\r\n\r\n");
    client.write_all(head.as_bytes()).expect("the head is sent");
    let (mut upstream, _) = server.accept().expect("the gateway connects");
    let taken = upstream.read(&mut [0; 4096]).expect("the head arrives");
    assert!(taken > 0);

    gateway.signal(Signal::STOP);
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("it answers");
    client.write_all(&vec![b'x'; BUDGET]).expect("the body is sent");
    thread::sleep(Duration::from_millis(100));
    gateway.signal(Signal::CONT);

    client.set_read_timeout(Some(TTFT / 2)).expect("a limit");
    let mut answer = [0; 4096];
    let count = client.read(&mut answer).expect("the answer comes without another event");
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
