//! A process that serves an upstream: how it is started, told to end, and what it says.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

/// Of a line of a server's output so much is logged.
const LINE_MAX: u64 = 1024;
/// So many lines a second are logged; of the others only how many there were.
const LINES_MAX: u32 = 200;

/// Variables that are for the gateway alone: who supervises it, and what it was given.
const OURS: [&str; 8] = [
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "SLUICEGATE_PREDECESSOR",
    "SLUICEGATE_ADMIN_SOCKET",
    "SLUICEGATE_SECCOMP",
    "SLUICEGATE_LANDLOCK",
];

/// A process that was started here, with all that it starts itself.
pub(super) struct ServerProcess {
    child: Child,
}

impl ServerProcess {
    /// Starts a command. It is the leader of a process group of its own, gets our environment but for
    /// what is ours alone, nothing to read, and its output goes to the log, line by line.
    pub fn start(name: &str, words: &[String]) -> io::Result<ServerProcess> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        for variable in OURS {
            command.env_remove(variable);
        }
        let child = command.spawn()?;
        // Our ends of the pipe that writes: without them it ends with the last that has one.
        drop(command);
        let name = name.to_owned();
        let tell = move || tell_output(&name, BufReader::new(reader));
        thread::Builder::new().name("wake-output".to_owned()).spawn(tell)?;
        Ok(ServerProcess { child })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has. It is reaped then.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Tells it and all that it has started to end.
    pub fn terminate(&self) {
        sys::end_group(self.child.id(), false);
    }

    /// Ends it and all that it has started.
    pub fn kill(&self) {
        sys::end_group(self.child.id(), true);
    }
}

/// Logs what a server says, until it says no more.
fn tell_output(name: &str, mut output: impl BufRead) {
    let mut line = Vec::new();
    let (mut second, mut told, mut left_out) = (Instant::now(), 0, 0u64);
    loop {
        line.clear();
        let taken = output.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
        if !matches!(taken, Ok(1..)) {
            break;
        }
        if second.elapsed() >= Duration::from_secs(1) {
            if left_out > 0 {
                log::warn!("{name} | ({left_out} lines left out)");
            }
            (second, told, left_out) = (Instant::now(), 0, 0);
        }
        told += 1;
        match told {
            ..=LINES_MAX => {
                log::info!("{name} | {}", String::from_utf8_lossy(&line).trim_end());
            }
            _ => left_out += 1,
        }
    }
    if left_out > 0 {
        log::warn!("{name} | ({left_out} lines left out)");
    }
}
