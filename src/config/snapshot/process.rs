//! `[process]`: what the process gives up before it serves anybody.

use super::{Snapshot, WakeBy};

/// `[process]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSettings {
    /// Who it is once its addresses are bound, by name or number. `None`: who started it.
    pub user: Option<String>,
    /// In which group. `None`: that of the user.
    pub group: Option<String>,
    /// No program that it starts gets more rights than it has.
    pub no_new_privs: bool,
    /// System calls that no gateway makes are denied.
    pub seccomp: bool,
    /// Files are opened where the configuration names some, and nowhere else.
    pub landlock: bool,
    /// Its memory may be written to a disk when it crashes.
    pub core_dumps: bool,
}

impl Snapshot {
    /// The first upstream for which a program is started here, or stopped by one.
    pub fn starts_programs(&self) -> Option<&str> {
        let is_command = |by: &WakeBy| matches!(by, WakeBy::Command(_));
        let starts = |upstream: &&super::Upstream| {
            let wake = upstream.wake.as_ref();
            wake.is_some_and(|it| is_command(&it.start) || it.stop.as_ref().is_some_and(is_command))
        };
        self.upstreams.iter().find(starts).map(|upstream| upstream.name.as_str())
    }
}
