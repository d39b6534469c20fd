//! `[process]`, printed.

use std::fmt::{self, Write as _};

use super::super::snapshot::ProcessSettings;
use super::{entry, quoted};

pub(super) fn process(process: &ProcessSettings, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[process]")?;
    match &process.user {
        Some(user) => entry(out, "user", quoted(user))?,
        None => writeln!(out, "# user: whoever starts the gateway")?,
    }
    if let Some(group) = &process.group {
        entry(out, "group", quoted(group))?;
    }
    entry(out, "no_new_privs", process.no_new_privs)?;
    entry(out, "seccomp", process.seccomp)?;
    entry(out, "landlock", process.landlock)?;
    entry(out, "core_dumps", process.core_dumps)
}
