//! The gateway: the real binary with a configuration of its own, killed when the test ends.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::peer::Peer;
use super::upstream::Upstream;

/// Stands in the log when the process has ended.
const LOG_END: &str = "(the log ends here)";

/// A configuration: one worker, one upstream, one route that takes everything. Each field is TOML
/// that goes into its section.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub server: String,
    pub limits: String,
    pub timeouts: String,
    pub upstream: String,
    pub route: String,
    /// Whole sections: more upstreams and routes.
    pub more: String,
    /// Where the upstream listens.
    pub endpoint: String,
}

/// A running gateway.
pub struct Gateway {
    process: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    file: PathBuf,
}

impl Config {
    pub fn to(upstream: SocketAddr) -> Config {
        Config { endpoint: upstream.to_string(), ..Config::default() }
    }

    /// Starts a gateway and waits until it listens.
    pub fn start(&self) -> Gateway {
        Gateway::start(&self.text())
    }

    /// The file.
    pub fn text(&self) -> String {
        format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n{}\n\
             [limits]\n{}\n{}\n[timeouts]\n{}\n\
             [[upstream]]\nname = \"scripted\"\nendpoints = [\"{}\"]\n{}\n{}\n\
             [[route]]\n{}\nupstream = \"scripted\"\n{}\n",
            self.server,
            // Few, so that the tests run where few descriptors may be open.
            if self.limits.contains("connections =") { "" } else { "connections = 1000" },
            self.limits,
            self.timeouts,
            self.endpoint,
            self.upstream,
            // One attempt, so that it can be seen what an attempt does. Tests of more say so.
            if self.upstream.contains("retry =") {
                ""
            } else {
                "retry = \"off\"\nbreaker = \"off\""
            },
            if self.route.contains("path") { "" } else { "path = \"/*\"" },
            format_args!("{}\n{}", self.route, self.more),
        )
    }
}

impl Gateway {
    /// A gateway in front of one upstream, with every default, but that nothing is retried.
    pub fn to(upstream: SocketAddr) -> Gateway {
        Config::to(upstream).start()
    }

    /// A gateway whose route leads to `first`, then to `second`, each with keys of its own.
    pub fn chain(first: (&Upstream, &str), second: (&Upstream, &str)) -> Gateway {
        let upstream = |name: &str, (upstream, keys): (&Upstream, &str)| {
            let address = upstream.address();
            format!(
                "[[upstream]]\nname = \"{name}\"\nendpoints = [\"{address}\"]\nretry = {{ attempts = 1 }}\n{keys}\n"
            )
        };
        Gateway::start(&format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n{}{}\
             [[route]]\npath = \"/*\"\nupstream = [\"first\", \"second\"]\n",
            upstream("first", first),
            upstream("second", second),
        ))
    }

    /// A gateway with this configuration; it should listen on port 0.
    pub fn start(config: &str) -> Gateway {
        Gateway::start_with(config, |_| {})
    }

    /// The same, with a command that is not the usual one.
    pub fn start_with(config: &str, change: impl FnOnce(&mut Command)) -> Gateway {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-wire-{}-{number}.toml", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, config).expect("a temporary file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        quiet(command.args(["--log-level", "debug", "run", "--config"]).arg(&file));
        change(&mut command);
        Gateway::launch(command, file)
    }

    /// A gateway whose configuration is in a store, and says that it listens on port 0.
    pub fn of_store(place: &str, more: &[&str]) -> Gateway {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        quiet(command.args(["--log-level", "debug", "run", "--config", place]).args(more));
        Gateway::launch(command, PathBuf::new())
    }

    fn launch(mut command: Command, file: PathBuf) -> Gateway {
        let mut process = command.spawn().expect("the binary starts");
        drop(command);
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(process.stderr.take().expect("a pipe"));
        let lines = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(LOG_END.to_owned());
        });
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut gateway = Gateway { process, address: any, log, file };
        let line = gateway.wait_for_log("listening on http://");
        let (_, address) = line.split_once("http://").expect("an address");
        gateway.address = address.trim().parse().expect("an address");
        gateway
    }

    /// Replaces the configuration's file, as an editor does that cares.
    pub fn rewrite(&self, config: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, config).expect("a temporary file");
        std::fs::rename(&new, &self.file).expect("a temporary file");
    }

    /// The processes that have taken over, the latest last.
    pub fn successors(&self) -> Vec<rustix::process::Pid> {
        self.processes("handed over to process ")
    }

    /// The processes that are named in the log behind `words`.
    fn processes(&self, words: &str) -> Vec<rustix::process::Pid> {
        let log = self.log();
        let pids = log.iter().filter_map(|line| {
            let behind = line.split_once(words)?.1;
            let pid = behind.split(|c: char| !c.is_ascii_digit()).next()?;
            rustix::process::Pid::from_raw(pid.parse().ok()?)
        });
        pids.collect()
    }

    /// Its configuration.
    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.process)
    }

    pub fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Every line that was logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of the lines logged so far hold `text`.
    pub fn count_in_log(&self, text: &str) -> usize {
        self.log().iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until `count` lines hold `text`, and asserts that there are no more.
    pub fn expect_in_log(&self, text: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.count_in_log(text) < count && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(200));
        }
        assert_eq!(self.count_in_log(text), count, "lines with {text:?}: {:#?}", self.log());
    }

    /// Waits for a line that holds `text`.
    pub fn wait_for_log(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if let Some(line) = log.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let over = log.last().is_some_and(|line| line == LOG_END);
            assert!(!over && Instant::now() < deadline, "{text:?} is not in the log: {log:#?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    }

    /// How the process ended, if it does within `patience`.
    pub fn wait_exit(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.process.try_wait().expect("a child");
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The most memory the process has had resident, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory of its own that the process has resident now, in bytes, without pages of files: those of its
    /// executable, for one.
    pub fn memory_now(&self) -> u64 {
        self.memory("RssAnon:")
    }

    /// The bound on memory for connections and buffers that was printed at the start, in bytes.
    pub fn memory_bound(&self) -> u64 {
        let line = self.wait_for_log("memory for connections and buffers: at most ");
        let (_, bound) = line.rsplit_once("at most ").expect("a bound");
        let (figure, unit) = bound.trim().split_once(' ').expect("a figure and its unit");
        let unit = ["KiB", "MiB", "GiB"].iter().position(|it| *it == unit).expect("a unit");
        (figure.parse::<f64>().expect("a number") * f64::from(1 << (10 * (unit + 1)))) as u64
    }

    fn memory(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    /// The time that its threads have spent on a CPU.
    pub fn cpu_time(&self) -> Duration {
        let path = format!("/proc/{}/task", self.process.id());
        let threads = std::fs::read_dir(path).expect("a running process").flatten();
        let nanos = threads.map(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
        });
        Duration::from_nanos(nanos.sum())
    }

    /// How many descriptors the process has open.
    pub fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(path).expect("a running process").count()
    }
}

/// Nothing goes in, and only the log comes out.
fn quiet(command: &mut Command) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for successor in self.processes("handing over: process ") {
            let _ = rustix::process::kill_process(successor, rustix::process::Signal::KILL);
        }
        let _ = std::fs::remove_file(&self.file);
        if thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.log().join("\n"));
        }
    }
}
