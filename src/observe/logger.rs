//! The log: whoever has a line puts it into a bounded queue, and a thread of its own writes it.
//!
//! ```text
//!   worker ── format ── try_send ──▶ [ queue ] ──▶ log thread ── write ──▶ standard error, a file
//!                           └ full: dropped, counted
//! ```
//!
//! * Nobody waits for a line to be written: not for a slow disk, not for a full pipe, not for a
//!   terminal that somebody has stopped. Lines that find the queue full are dropped and counted.
//! * The thread writes what it finds in one go and then rests for a moment, so that under load it
//!   is woken a few hundred times a second and not once per line.
//! * A line that cannot be written, on a full disk say, is dropped and counted too; the log says so
//!   when it begins and when it is over. No later line is appended to half of one.
//! * A file can be renamed and opened again (SIGUSR1) at any time; not a line is lost between.
//!
//! Absent on purpose: levels per module, colours, rotation. Others do that better.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

use log::{LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

use super::access::{self, Format};
use super::time::Utc;
use crate::escape::escaped;
use crate::files;
use crate::measure::journal;

/// Lines that wait at most. At two hundred bytes each this is under two megabytes.
const QUEUE_LINES: usize = 8192;
/// How long the thread rests after it has written. A line is late by this much at most.
const REST: Duration = Duration::from_millis(5);

static DROPPED: AtomicU64 = AtomicU64::new(0);
static QUEUE: OnceLock<SyncSender<Message>> = OnceLock::new();

/// Where access lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    Stdout,
    Stderr,
    File(PathBuf),
}

enum Message {
    Diagnostic(String),
    Access(SystemTime, Arc<journal::Record>),
    AccessTo(Output, Format),
    Reopen,
    Flush(SyncSender<()>),
}

/// Lines that found the queue full, or could not be written.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Puts the log behind the `log` crate's macros, and starts its thread.
pub fn start(level: LevelFilter) -> io::Result<()> {
    let (queue, messages) = mpsc::sync_channel(QUEUE_LINES);
    thread::Builder::new().name("log".into()).spawn(move || write_all(&messages))?;
    QUEUE.set(queue).map_err(|_| io::Error::other("the log has been started already"))?;
    log::set_logger(&Sink).map_err(io::Error::other)?;
    log::set_max_level(level);
    Ok(())
}

/// The same without a thread: whoever logs a line writes it.
pub fn start_unqueued(level: LevelFilter) -> io::Result<()> {
    let printer = SimpleLogger::new().with_level(level).with_utc_timestamps();
    log::set_boxed_logger(Box::new(Unqueued(printer))).map_err(io::Error::other)?;
    log::set_max_level(level);
    Ok(())
}

/// Writes the access log to `target` from here on.
pub fn access_to(target: &LogTarget, format: Format) -> io::Result<()> {
    let output = Output::open(target)?;
    match QUEUE.get() {
        Some(queue) => queue.send(Message::AccessTo(output, format)).map_err(io::Error::other),
        None => Err(io::Error::other("the log has not been started")),
    }
}

/// An exchange that ended at `time`.
pub fn access(time: SystemTime, record: Arc<journal::Record>) {
    put(Message::Access(time, record));
}

/// Opens files again, which somebody may have renamed.
pub fn reopen() {
    put(Message::Reopen);
}

/// Waits until what was logged so far is written, or `patience` is at its end.
pub fn flush(patience: Duration) {
    let (done, written) = mpsc::sync_channel(1);
    put(Message::Flush(done));
    // A stuck terminal must not keep the process from ending.
    let _ = written.recv_timeout(patience);
}

fn put(message: Message) {
    let Some(queue) = QUEUE.get() else { return };
    if let Err(TrySendError::Full(_)) = queue.try_send(message) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the `log` crate calls.
struct Sink;

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            put(Message::Diagnostic(diagnostic(Utc::now(), record)));
        }
    }

    fn flush(&self) {
        flush(Duration::from_secs(1));
    }
}

/// The log of a command that serves nobody: the printer of lines, given no line that acts on a
/// terminal.
struct Unqueued(SimpleLogger);

impl Log for Unqueued {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().to_string();
            let shown = escaped(&text);
            let mut line = Record::builder();
            line.metadata(record.metadata().clone());
            self.0.log(&line.args(format_args!("{shown}")).build());
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// A line for people.
fn diagnostic(time: Utc, record: &Record<'_>) -> String {
    format!("{time} {:<5} [{}] {}", record.level(), record.target(), record.args())
}

/// The log thread: until the process ends.
fn write_all(messages: &Receiver<Message>) {
    let mut desk = LogState::default();
    loop {
        let first = match messages.recv_timeout(Duration::from_secs(1)) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => {
                desk.report_dropped();
                desk.write();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        desk.take(first);
        loop {
            match messages.try_recv() {
                Ok(message) => desk.take(message),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    desk.write();
                    return;
                }
            }
            if desk.lines.len() + desk.access_lines.len() > 1 << 20 {
                desk.write();
            }
        }
        desk.report_dropped();
        desk.write();
        thread::sleep(REST);
    }
}

/// What the log thread holds.
#[derive(Default)]
struct LogState {
    access: Option<(Output, Format)>,
    /// Dropped lines that have been told.
    reported: u64,
    /// Why the access log could not be written the last time, if it could not.
    failing: Option<io::ErrorKind>,
    lines: Vec<u8>,
    access_lines: Vec<u8>,
}

impl LogState {
    fn take(&mut self, message: Message) {
        match message {
            Message::Diagnostic(line) => append(&mut self.lines, &line),
            Message::Access(time, record) => {
                if let Some((_, format)) = &self.access {
                    let line = access::line(time, &record, *format);
                    append(&mut self.access_lines, &line);
                }
            }
            Message::AccessTo(output, format) => {
                self.write();
                self.access = Some((output, format));
            }
            Message::Reopen => {
                self.write();
                self.reopen();
            }
            Message::Flush(done) => {
                self.write();
                let _ = done.try_send(());
            }
        }
    }

    fn reopen(&mut self) {
        if let Some(Err(error)) = self.access.as_mut().map(|(output, _)| output.reopen()) {
            append(
                &mut self.lines,
                &format!(
                    "{} ERROR [sluicegate] the access log cannot be opened again: {error}; it \
                     goes on in the file it had",
                    Utc::now()
                ),
            );
        }
    }

    /// Says in the log itself that it has gaps.
    fn report_dropped(&mut self) {
        let dropped = dropped();
        if dropped > self.reported {
            let count = dropped - self.reported;
            self.reported = dropped;
            let line = format!(
                "{} WARN  [sluicegate] {count} lines were dropped: the log is written too slowly",
                Utc::now()
            );
            append(&mut self.lines, &line);
        }
    }

    fn write(&mut self) {
        // First, as it may have something to say.
        if !self.access_lines.is_empty() {
            if let Some((output, _)) = &mut self.access {
                let written = output.write_lines(&self.access_lines);
                self.note_access(written);
            }
            self.access_lines.clear();
        }
        if !self.lines.is_empty() {
            // Where these cannot be written, nothing can be said of it.
            if let Err((lost, _)) = write_lines(&mut io::stderr(), &self.lines) {
                self.lose(lost);
            }
            self.lines.clear();
        }
    }

    /// Counts lines that could not be written, and says when that begins and when it is over.
    fn note_access(&mut self, written: Result<(), (u64, io::Error)>) {
        let before = self.failing.take();
        let told = match written {
            Ok(()) if before.is_none() => return,
            Ok(()) => "INFO  [sluicegate] the access log is written again".to_owned(),
            Err((lost, error)) => {
                self.lose(lost);
                self.failing = Some(error.kind());
                if before == self.failing {
                    return;
                }
                format!(
                    "ERROR [sluicegate] the access log cannot be written: {error}; until it can, \
                     its lines are dropped and counted"
                )
            }
        };
        append(&mut self.lines, &format!("{} {told}", Utc::now()));
    }

    /// Counts lines that nobody has to be told of as too slowly written.
    fn lose(&mut self, lost: u64) {
        DROPPED.fetch_add(lost, Ordering::Relaxed);
        self.reported += lost;
    }
}

/// Writes whole lines. An error tells how many of them are lost, one that was torn included.
fn write_lines(out: &mut impl Write, mut lines: &[u8]) -> Result<(), (u64, io::Error)> {
    while !lines.is_empty() {
        let error = match out.write(lines) {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(count) => {
                lines = &lines[count..];
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        return Err((lines.iter().filter(|byte| **byte == b'\n').count() as u64, error));
    }
    Ok(())
}

/// Every line that is written comes by here: none becomes two, and none acts on a terminal.
fn append(lines: &mut Vec<u8>, line: &str) {
    lines.extend_from_slice(escaped(line).as_bytes());
    lines.push(b'\n');
}

/// An open target.
enum Output {
    Stdout,
    Stderr,
    File {
        path: PathBuf,
        file: File,
        /// Its last line may be half of one.
        torn: bool,
    },
}

impl Output {
    fn open(target: &LogTarget) -> io::Result<Output> {
        Ok(match target {
            LogTarget::Stdout => Output::Stdout,
            LogTarget::Stderr => Output::Stderr,
            LogTarget::File(path) => {
                Output::File { path: path.clone(), file: files::append(path)?, torn: false }
            }
        })
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Output::File { path, file, torn } = self {
            (*file, *torn) = (files::append(path)?, false);
        }
        Ok(())
    }

    fn write_lines(&mut self, lines: &[u8]) -> Result<(), (u64, io::Error)> {
        match self {
            Output::Stdout => {
                let mut out = io::stdout().lock();
                write_lines(&mut out, lines)?;
                out.flush().map_err(|error| (0, error))
            }
            Output::Stderr => write_lines(&mut io::stderr(), lines),
            Output::File { file, torn, .. } => {
                if *torn {
                    let lost =
                        |(_, error)| (lines.split(|byte| *byte == b'\n').count() as u64 - 1, error);
                    write_lines(file, b"\n").map_err(lost)?;
                }
                let written = write_lines(file, lines);
                *torn = written.is_err();
                written
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_line_tells_when_how_bad_and_where() {
        let record = Record::builder()
            .level(Level::Warn)
            .target("sluicegate::server")
            .args(format_args!("it rains"))
            .build();
        assert_eq!(
            diagnostic(Utc::at(UNIX_EPOCH), &record),
            "1970-01-01T00:00:00.000000Z WARN  [sluicegate::server] it rains"
        );
    }

    #[test]
    fn a_line_stays_a_line_and_acts_on_no_terminal() {
        let mut lines = Vec::new();
        append(&mut lines, "a\nERROR b\x1b[2J\x7f\u{9b}\u{202e}c\u{2028}");
        let shown = "a\\nERROR b\\u001b[2J\\u007f\\u009b\\u202ec\\u2028\n";
        assert_eq!(String::from_utf8_lossy(&lines), shown);
    }

    /// Takes so many bytes, like a disk that is nearly full.
    struct Disk(Vec<u8>, usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match bytes.len().min(self.1 - self.0.len()) {
                0 => Err(io::ErrorKind::StorageFull.into()),
                count => {
                    self.0.extend_from_slice(&bytes[..count]);
                    Ok(count)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_do_not_fit_on_the_disk_are_counted() {
        for (room, lost) in [(0, 3), (3, 3), (4, 2), (6, 2), (11, 1), (12, 0)] {
            let mut disk = Disk(Vec::new(), room);
            let written = write_lines(&mut disk, b"one\ntwo\nend\n");
            assert_eq!(written.map_or_else(|(lost, _)| lost, |()| 0), lost, "{room}");
            assert_eq!(disk.0.len(), room);
        }
    }

    #[test]
    fn a_full_disk_is_told_once_and_so_is_its_end() {
        let mut desk = LogState::default();
        let full = |lost| Err((lost, io::ErrorKind::StorageFull.into()));
        for written in [full(2), full(3), Ok(()), Ok(()), full(1)] {
            desk.note_access(written);
        }
        let lines = String::from_utf8(desk.lines).expect("text");
        let told: Vec<&str> = lines.lines().filter_map(|line| line.get(28..33)).collect();
        assert_eq!(told, ["ERROR", "INFO ", "ERROR"], "{lines}");
        assert_eq!(desk.reported, 6);
    }

    #[test]
    fn a_file_is_opened_again_under_its_name() {
        let name = format!("sluicegate-logger-{}.log", std::process::id());
        let path = std::env::temp_dir().join(name);
        let moved = path.with_extension("old");
        let output = Output::open(&LogTarget::File(path.clone())).expect("a temporary file");
        let mut desk = LogState {
            access: Some((output, Format::Json)),
            reported: dropped(),
            ..LogState::default()
        };
        let write = |desk: &mut LogState, line: &str| {
            append(&mut desk.access_lines, line);
            desk.write();
        };
        write(&mut desk, "first");
        std::fs::rename(&path, &moved).expect("it is there");
        write(&mut desk, "second");
        desk.take(Message::Reopen);
        write(&mut desk, "third");
        let read = |path| std::fs::read_to_string(path).expect("it is there");
        assert_eq!((read(&moved), read(&path)), ("first\nsecond\n".into(), "third\n".into()));
        let _ = (std::fs::remove_file(&path), std::fs::remove_file(&moved));
    }
}
