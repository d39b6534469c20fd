//! Processes: signals, a standstill on purpose, and commands that run to their end.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Gateway, PATIENCE};

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary with these arguments to its end, which has to come.
pub fn sluicegate(arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    run(command.args(arguments))
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
    let stdout = thread::spawn(move || drain(stdout.expect("a pipe")));
    let stderr = thread::spawn(move || drain(stderr.expect("a pipe")));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = process.try_wait().expect("a child") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = process.kill();
            panic!("{command:?} does not end: {:?}", stderr.join());
        }
        thread::sleep(Duration::from_millis(1));
    };
    let text = |thread: thread::JoinHandle<String>| thread.join().expect("a pipe is read");
    Ended { status, stdout: text(stdout), stderr: text(stderr) }
}

fn drain(mut pipe: impl Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).expect("text");
    text
}

/// Sends a signal.
pub fn signal(gateway: &Gateway, signal: Signal) {
    kill_process(gateway.pid(), signal).expect("it runs");
}

/// Stops a process in its tracks, so that what happens next happens to it all at once.
pub struct Standstill {
    pid: Pid,
}

impl Standstill {
    pub fn of(gateway: &Gateway) -> Standstill {
        Standstill::of_process(gateway.pid())
    }

    fn of_process(pid: Pid) -> Standstill {
        kill_process(pid, Signal::STOP).expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        // The signal is a request; each thread heeds it in its own time.
        while !stopped(pid) {
            assert!(Instant::now() < deadline, "the process does not stop");
            thread::sleep(Duration::from_millis(1));
        }
        Standstill { pid }
    }

    /// Lets the process go on. Loopback has delivered everything long before.
    pub fn end(self) {
        thread::sleep(Duration::from_millis(20));
        kill_process(self.pid, Signal::CONT).expect("it is there");
    }
}

fn stopped(pid: Pid) -> bool {
    let threads = format!("/proc/{}/task", pid.as_raw_nonzero());
    std::fs::read_dir(threads).expect("a process").flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    })
}

/// `sluicegate mock`, killed when the test ends.
pub struct Mock {
    process: Child,
    address: SocketAddr,
}

impl Mock {
    pub fn start(flags: &[&str]) -> Mock {
        Mock::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), flags)
    }

    /// Starts where another one has been.
    pub fn start_at(address: SocketAddr, flags: &[&str]) -> Mock {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
            .args(["mock", "--listen", &address.to_string()])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stderr = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let mut said = Vec::new();
        let address = loop {
            let line = stderr.next().unwrap_or_else(|| panic!("no mock: {said:#?}"));
            let line = line.expect("text");
            if let Some((_, address)) = line.split_once("mock inference server on http://") {
                break address.trim().parse().expect("an address");
            }
            said.push(line);
        };
        // Its pipe has to be read on, or it would block.
        thread::spawn(move || stderr.for_each(drop));
        Mock { process, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// SIGSTOP, until the standstill ends.
    pub fn stop(&self) -> Standstill {
        Standstill::of_process(self.pid())
    }

    /// SIGKILL, in the middle of whatever it does.
    pub fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("a child");
    }

    /// SIGTERM, and it ends what it has begun.
    pub fn terminate(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        while self.process.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < deadline, "the mock does not end");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Bytes of its own that are resident now, without pages of files: those of the executable, for one.
    pub fn memory_now(&self) -> u64 {
        resident(Pid::from_child(&self.process))
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn resident(pid: Pid) -> u64 {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(path).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
