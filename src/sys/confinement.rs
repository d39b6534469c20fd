//! What a process has given up for good, as the kernel tells it, and two things to give up.

use std::fs::File;
use std::io::{self, Read};

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::thread::set_no_new_privs;

/// What `/proc/self/status` says. All of it is no where that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// No program that it starts gets more rights than it has: `sudo` is a program like any other.
    pub no_new_privileges: bool,
    /// Some of its system calls are denied, by us or by whoever started us.
    pub filters_calls: bool,
}

impl Confinement {
    pub fn now() -> Confinement {
        let mut text = String::new();
        let read =
            File::open("/proc/self/status").and_then(|mut file| file.read_to_string(&mut text));
        read.map_or_else(|_| Confinement::default(), |_| Confinement::of(&text))
    }

    fn of(status: &str) -> Confinement {
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map_or("", str::trim)
        };
        Confinement {
            no_new_privileges: value("NoNewPrivs:") == "1",
            filters_calls: value("Seccomp:") == "2",
        }
    }
}

/// For the calling thread, and those that it starts from here on.
pub fn forbid_new_privileges() -> io::Result<()> {
    Ok(set_no_new_privs(true)?)
}

/// Whether the memory of the process, with the secrets in it, may be written to a disk when it crashes, and
/// looked at by other processes of its user while it runs. What a predecessor has said is undone as well.
pub fn forbid_core_dumps(forbidden: bool) -> io::Result<()> {
    let limit = getrlimit(Resource::Core);
    let current = if forbidden { Some(0) } else { limit.maximum };
    setrlimit(Resource::Core, Rlimit { current, ..limit })?;
    let behavior = match forbidden {
        true => DumpableBehavior::NotDumpable,
        false => DumpableBehavior::Dumpable,
    };
    Ok(set_dumpable_behavior(behavior)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let of =
            |no_new_privileges, filters_calls| Confinement { no_new_privileges, filters_calls };
        for (text, expected) in [
            ("NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n", of(true, true)),
            ("NoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n", of(false, false)),
            // Strict mode, in which nothing but reads and writes is left.
            ("NoNewPrivs:\t1\nSeccomp:\t1\n", of(true, false)),
            ("", of(false, false)),
        ] {
            assert_eq!(Confinement::of(text), expected, "{text:?}");
        }
    }
}
