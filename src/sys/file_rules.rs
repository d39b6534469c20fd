//! Files that the process keeps, where it gives up all others: Landlock.
//!
//! Landlock binds the thread that asks for it and what comes of that, no thread beside it. So it is asked
//! for by the only one that counts: the process makes its rules known, then begins anew as the same
//! program, all of whose threads have them. The process id stays, and so do sockets that were passed to us
//! and nobody has touched.
//!
//! * Rules can only become tighter. A successor has those of its predecessor, and adds its own where they
//!   are others; the kernel takes sixteen layers.
//! * A socket on a path can be connected to whatever the rules say, and so can any address.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, path_beneath_rules,
};

/// Whose rules these are: the process that begins anew, and what they say.
pub(super) const VARIABLE: &str = "SLUICEGATE_LANDLOCK";
/// What the rules are about: reading, writing, running, making, moving, truncating, and devices.
const RIGHTS: ABI = ABI::V5;

/// Read by every program, by the resolver, by TLS: libraries and programs, the system's settings, what it
/// knows of us. `/run/systemd/resolve` is where `/etc/resolv.conf` leads to.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc",
    "/proc",
    "/sys",
    "/run/systemd/resolve",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];
/// Variables of the environment that name more of them.
const SYSTEM_VARIABLES: &[&str] = &["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The files and folders that the process keeps.
#[derive(Clone, Debug, Default, Hash)]
pub struct FileRules {
    /// Folders whose files may be read and run.
    read: BTreeSet<PathBuf>,
    /// Folders in which files may be made, written and removed as well.
    write: BTreeSet<PathBuf>,
}

impl FileRules {
    /// The folder of this file may be read, and where the file really stands, if that is elsewhere.
    pub fn reads(&mut self, file: &Path) {
        self.read.extend(folders(file));
    }

    /// Files may be made and written in the folder of this one.
    pub fn writes(&mut self, file: &Path) {
        self.write.extend(folders(file));
    }

    /// Whether this process, or the one that it is the successor of, obeys just these.
    pub fn are_in_force(&self) -> bool {
        told().is_some_and(|(_, rules)| rules == self.name())
    }

    fn name(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Obeys these from here on, in the same program begun anew. Returns only when that fails, or where
    /// the kernel has no Landlock: then nothing has changed.
    pub fn obey(&self) -> io::Error {
        let failed = |error: landlock::RulesetError| io::Error::other(error.to_string());
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => return error,
        };
        let mut read: BTreeSet<PathBuf> = self.read.clone();
        read.extend(SYSTEM.iter().map(PathBuf::from));
        read.extend(SYSTEM_VARIABLES.iter().filter_map(std::env::var_os).map(PathBuf::from));
        read.extend(program.parent().map(Path::to_owned));
        let mut arguments = std::env::args_os();
        let name = arguments.next();
        if let Some(called) = &name {
            // By this name a successor is started.
            read.extend(folders(Path::new(called)));
        }
        let status = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(RIGHTS))
            .and_then(Ruleset::create)
            .and_then(|rules| {
                rules.add_rules(path_beneath_rules(&read, AccessFs::from_read(RIGHTS)))
            })
            .and_then(|rules| {
                rules.add_rules(path_beneath_rules(["/dev/null"], AccessFs::WriteFile))
            })
            .and_then(|rules| {
                let all = AccessFs::from_all(RIGHTS) & !AccessFs::Execute;
                rules.add_rules(path_beneath_rules(&self.write, all))
            })
            .and_then(landlock::RulesetCreated::restrict_self);
        match status {
            Err(error) => return failed(error),
            Ok(status) if status.ruleset == RulesetStatus::NotEnforced => {
                return io::Error::other("this kernel has no Landlock");
            }
            Ok(_) => {}
        }
        let mut again = Command::new(program);
        again.args(arguments);
        again.env(VARIABLE, format!("{} {}", std::process::id(), self.name()));
        if let Some(name) = name {
            again.arg0(name);
        }
        again.exec()
    }
}

/// Whether this process was begun anew with its rules, which holds to its end.
pub fn obeys_file_rules() -> bool {
    told().is_some_and(|(process, _)| process == std::process::id())
}

/// Whether it has rules, its own or those of a predecessor.
pub fn has_file_rules() -> bool {
    told().is_some()
}

/// What the environment says of the rules: whose process they are of, and their name. It is believed: who
/// sets our environment decides about us anyway.
fn told() -> Option<(u32, String)> {
    let told = std::env::var(VARIABLE).ok()?;
    let (process, name) = told.split_once(' ')?;
    Some((process.parse().ok()?, name.to_owned()))
}

/// The folder that a file is in by its name, and the one where it really is.
fn folders(file: &Path) -> impl Iterator<Item = PathBuf> {
    let named = std::path::absolute(file).ok();
    let real = file.canonicalize().ok();
    [named, real].into_iter().flatten().filter_map(|path| path.parent().map(Path::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_named_by_what_they_say() {
        let mut rules = FileRules::default();
        rules.reads(Path::new("/a/b/gate.toml"));
        let name = rules.name();
        rules.reads(Path::new("/a/b/key.pem"));
        assert_eq!(rules.name(), name, "the same folder");
        rules.writes(Path::new("/a/b/access.log"));
        assert_ne!(rules.name(), name, "it may be written in now");
        assert!(!rules.are_in_force());
    }

    #[test]
    fn a_link_opens_the_folder_that_it_is_in_and_the_one_it_leads_to() {
        let base = std::env::temp_dir().canonicalize().expect("a temporary folder");
        let base = base.join(format!("sluicegate-rules-{}", std::process::id()));
        let (here, there) = (base.join("here"), base.join("there"));
        for folder in [&here, &there] {
            std::fs::create_dir_all(folder).expect("a temporary folder");
        }
        std::fs::write(there.join("key.pem"), "").expect("a temporary file");
        std::os::unix::fs::symlink(there.join("key.pem"), here.join("key.pem")).expect("a link");
        let found: Vec<_> = folders(&here.join("key.pem")).collect();
        assert_eq!(found, [here, there]);
        std::fs::remove_dir_all(&base).expect("it is ours");
    }
}
