//! Watch: has a file changed since it was read?
//!
//! By asking, not by inotify: a question every few seconds costs nothing, and it is the same for an
//! editor that writes in place, one that renames, and a directory whose symbolic link is turned
//! (Kubernetes' ConfigMaps).

use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells one content of a path from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            device: metadata.st_dev(),
            inode: metadata.st_ino(),
            size: metadata.st_size(),
            modified: (metadata.st_mtime(), metadata.st_mtime_nsec()),
        })
    }
}

/// A file as it was when it was last read, and when it was last looked at.
#[derive(Clone, Debug)]
pub struct FileWatch {
    path: PathBuf,
    read: Option<Stamp>,
    seen: Option<Stamp>,
}

impl FileWatch {
    /// To be called before the file is read.
    pub fn of(path: &Path) -> FileWatch {
        let stamp = Stamp::of(path);
        FileWatch { path: path.to_owned(), read: stamp, seen: stamp }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its path, if it [has changed](FileWatch::has_changed).
    pub fn changed_path(&mut self) -> Option<PathBuf> {
        self.has_changed().then(|| self.path.clone())
    }

    /// Whether it is there, is not what was read, and has not changed since the last look: whoever
    /// writes it has finished.
    pub fn has_changed(&mut self) -> bool {
        let now = Stamp::of(&self.path);
        let settled = now == std::mem::replace(&mut self.seen, now);
        settled && now.is_some() && now != self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_change_is_told_once_it_has_settled() {
        let folder = std::env::temp_dir().join(format!("sluicegate-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("file");
        fs::write(&path, "one").expect("written");
        let mut watch = FileWatch::of(&path);
        assert!(!watch.has_changed());
        fs::write(&path, "half of tw").expect("written");
        assert!(!watch.has_changed(), "somebody may be writing");
        fs::write(&path, "the whole of two").expect("written");
        assert!(!watch.has_changed());
        assert!(watch.has_changed());
        watch = FileWatch::of(&path);
        assert!(!watch.has_changed(), "it has been read");
        fs::remove_file(&path).expect("there");
        assert!(!watch.has_changed() && !watch.has_changed(), "nothing to read");
        // Of the same size, perhaps in the same instant: another file all the same.
        fs::write(folder.join("new"), "THE WHOLE OF TWO").expect("written");
        fs::rename(folder.join("new"), &path).expect("renamed");
        assert!(!watch.has_changed() && watch.has_changed());
        fs::remove_dir_all(&folder).expect("ours");
    }
}
