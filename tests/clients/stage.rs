//! What the tests of `clients.rs` start and stop: servers, the binary, scripts.
//!
//! Everything listens on 127.0.0.1, everything started here ends with the value that stands for
//! it, and a server also ends by itself when this process does (`--lifeline`: its standard input
//! is a pipe from us).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Per worker. The defaults may be more than the descriptors of the machine that runs the tests.
const CONNECTIONS: u32 = 200;

const START_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// The exit code of a script in which only a clock said no: `evidence.check_time`.
const LATE: i32 = 75;
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(2);

/// Arrival times prove something only while nothing else runs.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // Poisoned means that another test failed, which says nothing about this one.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A file of the environment that `tests/run` makes.
fn installed(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.env").join(name);
    assert!(
        path.exists(),
        "the real clients are not installed ({} is missing): run `tests/run --install` first",
        path.display()
    );
    path
}

/// Runs a client script to its end, which it keeps to itself within its own limit. What only a clock says,
/// five runs have to say: a machine with other work is late for a while, a gateway that holds tokens back
/// always.
pub fn script(name: &str, arguments: &[&str]) {
    for attempt in 1.. {
        let output = run_script(name, arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return print!("{said}");
        }
        let late = output.status.code() == Some(LATE) && attempt < ATTEMPTS;
        assert!(late, "{name} {arguments:?}: {}\n{said}{failed}", output.status);
        print!("{name}, once more: {failed}");
        thread::sleep(BETWEEN_ATTEMPTS);
    }
}

fn run_script(name: &str, arguments: &[&str]) -> Output {
    let path = scripts().join(name);
    let mut command = match path.extension().and_then(OsStr::to_str) {
        Some("py") => {
            let mut python = Command::new(installed("bin/python"));
            python.arg(path);
            python
        }
        Some("js") => {
            let mut node = Command::new("node");
            node.arg(path).env("NODE_PATH", installed("node/node_modules"));
            node
        }
        _ => Command::new(path),
    };
    let output = command.args(arguments).stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{name} did not start: {error}"))
}

/// A server of `tests/clients/`, ended with this value.
pub struct Server {
    process: Child,
    address: String,
    _log: Temporary,
}

impl Server {
    pub fn start(name: &str, arguments: &[&str]) -> Server {
        Server::run(name, &[&["0"], arguments, &["--lifeline"]].concat())
    }

    /// llama.cpp's own server on the tiny model.
    pub fn llama() -> Server {
        Server::llama_with(&[])
    }

    /// The same with more arguments.
    pub fn llama_with(arguments: &[&str]) -> Server {
        let model = installed("tiny.gguf");
        let model = model.to_str().expect("a path in UTF-8");
        Server::run("llama/serve.py", &[&["0", model, "--lifeline"], arguments].concat())
    }

    /// MLServer with a small model, in an environment of its own.
    pub fn mlserver() -> Server {
        Server::run_in("mlserver/bin/python", "mlserver/serve.py", &["0", "--lifeline"])
    }

    fn run(name: &str, arguments: &[&str]) -> Server {
        Server::run_in("bin/python", name, arguments)
    }

    fn run_in(python: &str, name: &str, arguments: &[&str]) -> Server {
        let (log, file) = Temporary::log(name);
        let mut process = Command::new(installed(python))
            .arg(scripts().join(name))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} did not start: {error}"));
        let stdout = process.stdout.take().expect("a pipe was asked for");
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let ready = BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .find_map(|line| Some(line.strip_prefix("ready ")?.to_owned()));
            tell.send(ready)
        });
        match told.recv_timeout(START_WITHIN) {
            Ok(Some(address)) => Server { process, address, _log: log },
            _ => {
                end(&mut process);
                panic!("{name} {arguments:?} was not ready within {START_WITHIN:?}");
            }
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// The binary under test, as a gateway or as the mock server.
pub struct Gateway {
    process: Child,
    address: String,
    log: Temporary,
    /// Its configuration and what that names: read again when it is told to.
    files: Vec<Temporary>,
}

impl Gateway {
    /// A gateway that sends every request to one upstream. Two workers, so that what must hold
    /// with a pool for each of them is tested with more than one.
    pub fn before(upstream: &str) -> Gateway {
        Gateway::with(upstream, "")
    }

    /// The same with an admin address, which is given with its token.
    pub fn watched(upstream: &str) -> (Gateway, String, &'static str) {
        const TOKEN: &str = "a-token-for-the-tests";
        let token = Temporary::new("admin.token");
        fs::write(&token.0, TOKEN).expect("a temporary file");
        let address = format!("127.0.0.1:{}", free_port());
        let file = token.0.display();
        let section = format!(
            "[admin]\nlisten = \"{address}\"\ntoken_file = \"{file}\"\nplayground = true\n\n"
        );
        // What lies elsewhere is refused by the gateway itself.
        let mut gateway = Gateway::made(upstream, &section, "", &["/v1/*", "/stream"], "");
        gateway.files.push(token);
        (gateway, format!("http://{address}/"), TOKEN)
    }

    /// One with more in its configuration.
    pub fn with(upstream: &str, section: &str) -> Gateway {
        Gateway::with_route(upstream, section, "")
    }

    /// One with more, and more in its route.
    pub fn with_route(upstream: &str, section: &str, route: &str) -> Gateway {
        Gateway::with_keys(upstream, section, "", route)
    }

    /// One that asks its upstream in this dialect, whatever it is asked in.
    pub fn translating(upstream: &str, to: &str) -> Gateway {
        Gateway::with_keys(upstream, "", &format!("translate_to = \"{to}\"\n"), "")
    }

    fn with_keys(upstream: &str, section: &str, keys: &str, route: &str) -> Gateway {
        Gateway::made(upstream, section, keys, &["/*"], route)
    }

    fn made(upstream: &str, section: &str, keys: &str, paths: &[&str], route: &str) -> Gateway {
        let routes: String = paths
            .iter()
            .map(|path| format!("[[route]]\npath = \"{path}\"\nupstream = \"server\"\n{route}\n"))
            .collect();
        let address = format!("127.0.0.1:{}", free_port());
        let configuration = format!(
            "[server]\nlisten = [\"{address}\"]\nworkers = 2\n\n{section}\
             [limits]\nconnections = {CONNECTIONS}\n\n\
             [[upstream]]\nname = \"server\"\nendpoints = [\"{upstream}\"]\n{keys}\n\
             {routes}"
        );
        let file = Temporary::new("gateway.toml");
        fs::write(&file.0, configuration).expect("a temporary file");
        let path = file.0.to_str().expect("a path in UTF-8");
        let mut gateway = Gateway::run(&["run", "--config", path], address);
        gateway.files.push(file);
        gateway
    }

    pub fn mock() -> Gateway {
        let address = format!("127.0.0.1:{}", free_port());
        let connections = CONNECTIONS.to_string();
        let arguments = ["mock", "--listen", &address, "--connections", &connections];
        Gateway::run(&arguments, address.clone())
    }

    fn run(arguments: &[&str], address: String) -> Gateway {
        let (log, file) = Temporary::log("sluicegate");
        let process = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle of the log"))
            .stderr(file)
            .spawn()
            .expect("the binary starts");
        let mut gateway = Gateway { process, address, log, files: Vec::new() };
        let begin = Instant::now();
        while TcpStream::connect(&gateway.address).is_err() {
            let ended = gateway.process.try_wait().expect("its state");
            assert!(
                ended.is_none() && begin.elapsed() < START_WITHIN,
                "sluicegate {arguments:?} does not listen on {}: {}",
                gateway.address,
                gateway.said()
            );
            thread::sleep(Duration::from_millis(10));
        }
        gateway
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log.0).unwrap_or_default()
    }

    /// Nothing is left to drain, so SIGTERM ends it at once, with exit code 0 and without a panic
    /// of any of its threads behind it.
    pub fn stop(mut self) {
        let begin = Instant::now();
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it still runs");
        let status = loop {
            match self.process.try_wait().expect("its state") {
                Some(status) => break status,
                None => assert!(
                    begin.elapsed() < STOP_WITHIN,
                    "it still runs {STOP_WITHIN:?} after SIGTERM: {}",
                    self.said()
                ),
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status} after SIGTERM: {}", self.said());
        assert!(!self.said().contains("panicked"), "{}", self.said());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let ended = self.process.try_wait();
        end(&mut self.process);
        if thread::panicking() {
            eprintln!("sluicegate (ended before: {ended:?}) said:\n{}", self.said());
        }
    }
}

/// Ends a process and waits for it. One that has ended already is no error.
fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

/// A file or folder that goes with this value, unless its test failed: then it may tell why.
pub struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("clients-{}-{number}-{name}", std::process::id());
        Temporary(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    pub fn folder(name: &str) -> Temporary {
        let folder = Temporary::new(name);
        fs::create_dir_all(&folder.0).expect("a temporary folder");
        folder
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn log(of: &str) -> (Temporary, File) {
        let log = Temporary::new(&format!("{}.log", of.replace('/', "-")));
        let file = File::create(&log.0).expect("a temporary file");
        (log, file)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = match self.0.is_dir() {
                true => fs::remove_dir_all(&self.0),
                false => fs::remove_file(&self.0),
            };
        }
    }
}
