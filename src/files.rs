//! Files: the one way to open one by a name that somebody has given us.
//!
//! A name may stand for anything. Opening a FIFO waits for its other end, reading a device may never
//! end, and both may take the place of a file between two looks at it. So a file is opened without
//! waiting, looked at once it is open, and read up to a limit.
//!
//! | what it is | read | appended to | written |
//! |---|---|---|---|
//! | a regular file | up to the limit | yes | yes |
//! | a character device (`/dev/null`) | refused | yes, without waiting | refused |
//! | a FIFO, a socket, a directory, a block device | refused | refused | refused |
//!
//! Absent on purpose: `/proc` and the like, which are no files that anybody names.

use std::fmt;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// Why a file is not read.
#[derive(Debug)]
pub enum Unread {
    Failed(io::Error),
    /// It is no regular file but this.
    Kind(&'static str),
    TooLong,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Failed(error) => error.fmt(f),
            Unread::Kind(kind) => write!(f, "this is {kind}, not a file"),
            Unread::TooLong => f.write_str("it is too long"),
        }
    }
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Unread {
        Unread::Failed(error)
    }
}

impl From<Unread> for io::Error {
    fn from(unread: Unread) -> io::Error {
        match unread {
            Unread::Failed(error) => error,
            other => io::Error::other(other.to_string()),
        }
    }
}

/// The bytes of a regular file, if there are at most `limit`.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Unread> {
    let file = open(OpenOptions::new().read(true), path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        return Err(Unread::Kind(name(kind)));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read; one byte more than is allowed tells that there are more.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(Unread::TooLong) } else { Ok(bytes) }
}

/// Whether a file can be opened to be read; its bytes are nobody's business here.
pub fn probe(path: &Path) -> io::Result<()> {
    open(OpenOptions::new().read(true), path).map(drop)
}

/// Writes a file that is there whole or not at all, and that nobody else may read.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut options = OpenOptions::new();
    let mut file = open(options.write(true).create(true).truncate(true).mode(0o600), &beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Puts a text in the place of a file that is there, whole or not at all. It keeps its mode and its owner,
/// or is left as it is: somebody else may have to read it.
pub fn exchange(path: &Path, text: &str) -> io::Result<()> {
    // Of a link the file is meant that it leads to.
    let path = std::fs::canonicalize(path)?;
    let there = std::fs::metadata(&path)?;
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    let mut options = OpenOptions::new();
    let mut file =
        open(options.write(true).create(true).truncate(true).mode(0o600), Path::new(&beside))?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (there.uid(), there.gid()) {
        fchown(&file, Some(there.uid()), Some(there.gid()))?;
    }
    file.set_permissions(there.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Keeps everybody else who asks for this waiting until it is dropped, so that a file in the folder of `path` may
/// be read, changed and written by one at a time. The folder is locked and not the file: that is another one
/// after each change, and there may be none yet. A file system without locks keeps nobody waiting.
pub fn lock_beside(path: &Path) -> io::Result<File> {
    // Of a link the folder is meant that it leads to.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    match flock(&folder, FlockOperation::LockExclusive) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOLCK) => Ok(folder),
        Err(error) => Err(error.into()),
    }
}

/// A file to write lines to the end of; made, if it is not there.
pub fn append(path: &Path) -> Result<File, Unread> {
    let opened = open(OpenOptions::new().create(true).append(true), path);
    let file = opened.map_err(|error| match std::fs::metadata(path) {
        // ENXIO: a socket, or a FIFO that nobody reads.
        Ok(there) if !is_written_to(there.file_type()) => Unread::Kind(name(there.file_type())),
        _ => Unread::Failed(error),
    })?;
    let kind = file.metadata()?.file_type();
    if is_written_to(kind) { Ok(file) } else { Err(Unread::Kind(name(kind))) }
}

/// Writes a text to a new file, or, if `replace`, in the place of a regular one.
pub fn write(path: &Path, text: &str, replace: bool) -> Result<(), Unread> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).create_new(!replace);
    let mut file = open(&mut options, path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        return Err(Unread::Kind(name(kind)));
    }
    file.set_len(0)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Makes a file that is not there yet, with these permissions from its first byte on.
pub fn create(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = open(OpenOptions::new().write(true).create_new(true).mode(mode), path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn is_written_to(kind: FileType) -> bool {
    kind.is_file() || kind.is_char_device()
}

/// Does not wait for the other end of a FIFO, and takes no terminal for its own.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed()).open(path)
}

fn name(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a FIFO",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::process::Command;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("sluicegate-files-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).expect("a folder");
            Folder(path)
        }

        fn fifo(&self) -> PathBuf {
            let path = self.0.join("fifo");
            let made = Command::new("mkfifo").arg(&path).status().expect("coreutils");
            assert!(made.success());
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_written_and_nothing_else() {
        let folder = Folder::new("write");
        let path = folder.0.join("file");
        write(&path, "a longer text", false).expect("it is new");
        write(&path, "again", false).expect_err("it is there");
        write(&path, "short", true).expect("it is replaced");
        assert_eq!(read(&path, 99).expect("it is there"), b"short");
        let reader = open(OpenOptions::new().read(true), &folder.fifo()).expect("a FIFO");
        assert!(matches!(write(&folder.0.join("fifo"), "x", true), Err(Unread::Kind("a FIFO"))));
        drop(reader);
    }

    #[test]
    fn a_regular_file_is_read_up_to_the_limit() {
        let folder = Folder::new("read");
        let path = folder.0.join("file");
        std::fs::write(&path, "four").expect("written");
        assert_eq!(read(&path, 4).expect("it fits"), b"four");
        assert!(matches!(read(&path, 3), Err(Unread::TooLong)));
        let missing = read(&folder.0.join("none"), 4);
        assert!(
            matches!(missing, Err(Unread::Failed(error)) if error.kind() == io::ErrorKind::NotFound)
        );
    }

    /// None of these may wait: the test would hang.
    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = Folder::new("kinds");
        let (fifo, socket) = (folder.fifo(), folder.0.join("socket"));
        let _listener = UnixListener::bind(&socket).expect("a socket");
        for (path, kind) in [
            (fifo.as_path(), "this is a FIFO, not a file"),
            (&folder.0, "this is a directory, not a file"),
            (Path::new("/dev/zero"), "this is a device, not a file"),
        ] {
            assert_eq!(read(path, 9).expect_err("refused").to_string(), kind);
        }
        assert!(read(&socket, 9).is_err());
        assert_eq!(append(&fifo).expect_err("refused").to_string(), "this is a FIFO, not a file");
        assert_eq!(
            append(&socket).expect_err("refused").to_string(),
            "this is a socket, not a file"
        );
        assert!(append(&folder.0).is_err());
        assert!(append(Path::new("/dev/null")).is_ok());
    }

    #[test]
    fn a_fifo_that_somebody_reads_is_refused_too() {
        let folder = Folder::new("reader");
        let fifo = folder.fifo();
        let reader = open(OpenOptions::new().read(true), &fifo).expect("it does not wait");
        assert_eq!(append(&fifo).expect_err("refused").to_string(), "this is a FIFO, not a file");
        drop(reader);
    }

    #[test]
    fn a_copy_is_written_whole_and_read_by_nobody_else() {
        use std::fs;
        use std::os::unix::fs::PermissionsExt;

        let folder = std::env::temp_dir().join(format!("sluicegate-good-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("last-good.toml");
        for text in ["a longer one\n", "one\n"] {
            replace(&path, text).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
        }
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).expect("ours").count(), 1);
        fs::remove_dir_all(&folder).expect("ours");
    }
}
