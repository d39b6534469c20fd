//! A stand of our own: the mock and a gateway in front of it, as processes of this executable.
//!
//! Processes, because their CPU and memory are to be told apart, and because that is how they are
//! run. Each is pinned by its parent thread, whose affinity it inherits.
//!
//! * Nothing is left behind: dropping the stand ends both.
//! * The configuration is a file without a name, so there is none to clean up.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

const START_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Which core is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    pub generator: usize,
    pub mock: usize,
    pub gateway: usize,
}

impl Cores {
    /// The gateway has a core of its own if there are two, everybody if there are three.
    pub fn of(allowed: &[usize]) -> Cores {
        let first = allowed.first().copied().unwrap_or(0);
        let last = allowed.last().copied().unwrap_or(first);
        let mock = if allowed.len() > 2 { allowed[1] } else { first };
        Cores { generator: first, mock, gateway: last }
    }
}

/// Running servers.
pub struct Stand {
    mock: Running,
    gateway: Running,
}

/// One server, ended with this value.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It fails only if the process has ended, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stand {
    /// Starts both for as many connections.
    pub fn start(connections: usize, cores: Cores) -> io::Result<Stand> {
        // The gateway's connections and our own, and a few that are on their way out.
        let connections = connections + connections / 8 + 64;
        let twice = (2 * connections).to_string();
        let mock = Running::start("mock", cores.mock, |address| Launch {
            arguments: ["mock", "--listen", &address.to_string(), "--connections", &twice]
                .map(str::to_owned)
                .to_vec(),
            input: String::new(),
        })?;
        let gateway = Running::start("gateway", cores.gateway, |address| Launch {
            arguments: ["run", "--config", "/dev/stdin"].map(str::to_owned).to_vec(),
            input: configuration(address, mock.address, connections, cores.gateway),
        })?;
        Ok(Stand { mock, gateway })
    }

    pub fn direct_url(&self) -> String {
        format!("http://{}/stream", self.mock.address)
    }

    pub fn gateway_url(&self) -> String {
        format!("http://{}/stream", self.gateway.address)
    }

    pub fn gateway_pid(&self) -> u32 {
        self.gateway.child.id()
    }
}

struct Launch {
    arguments: Vec<String>,
    input: String,
}

impl Running {
    fn start(name: &str, cpu: usize, launch: impl Fn(SocketAddr) -> Launch) -> io::Result<Running> {
        let address = free_address()?;
        let Launch { arguments, input } = launch(address);
        let executable = std::env::current_exe()?;
        let child = spawn_pinned(executable, arguments, nameless(&input)?, cpu)?;
        let mut running = Running { child, address };
        running.wait_until_listening(name)?;
        Ok(running)
    }

    fn wait_until_listening(&mut self, name: &str) -> io::Result<()> {
        let give_up = Instant::now() + START_WITHIN;
        loop {
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the {name} ended at once: {status}")));
            }
            if Instant::now() > give_up {
                return Err(io::Error::other(format!("the {name} does not listen")));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
}

/// A child inherits the affinity of the thread that starts it.
fn spawn_pinned(
    executable: PathBuf,
    arguments: Vec<String>,
    input: File,
    cpu: usize,
) -> io::Result<Child> {
    let starter = thread::Builder::new().name("starter".to_owned()).spawn(move || {
        sys::pin_to_cpu(cpu)?;
        Command::new(executable)
            .args(["--log-level", "warn"])
            .args(arguments)
            .stdin(input)
            .stdout(Stdio::null())
            .spawn()
    })?;
    starter.join().unwrap_or_else(|_| Err(io::Error::other("the starter panicked")))
}

/// A file that holds `text` and is gone when nobody has it open. A configuration is a file: no pipe
/// is read.
fn nameless(text: &str) -> io::Result<File> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("sluicegate-stand-{}-{number}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    let written = file.write_all(text.as_bytes());
    fs::remove_file(&path)?;
    written.map(|()| file)
}

/// An address that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn configuration(listen: SocketAddr, mock: SocketAddr, connections: usize, cpu: usize) -> String {
    format!(
        r#"
[server]
listen = ["{listen}"]
cpus = [{cpu}]

[limits]
connections = {connections}

[[upstream]]
name = "mock"
endpoints = ["{mock}"]
pool = {{ connections = {connections}, idle_per_endpoint = {connections} }}

[[route]]
path = "/*"
upstream = "mock"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_has_a_core_of_its_own_where_there_are_two() {
        let cores = |allowed: &[usize]| {
            let Cores { generator, mock, gateway } = Cores::of(allowed);
            [generator, mock, gateway]
        };
        assert_eq!(cores(&[3]), [3, 3, 3]);
        assert_eq!(cores(&[0, 1]), [0, 0, 1]);
        assert_eq!(cores(&[2, 4, 6, 8]), [2, 4, 8]);
        assert_eq!(cores(&[]), [0, 0, 0]);
    }
}
