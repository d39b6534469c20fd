//! What `run` gives up, and what is said of it: files before anything else, the rest when its addresses
//! are bound and nobody has been served.
//!
//! What the configuration asks for by name (`process.user`) has to be had, or the gateway does not start.
//! What a kernel may lack (Landlock, seccomp) is told, and the gateway starts without it.

use std::path::{Path, PathBuf};

use super::{RunArguments, end_log};
use crate::config;
use crate::config::parts::ConfigText;
use crate::config::snapshot::unix_path::{UNIX_PREFIX, shown_address};
use crate::config::snapshot::{AccessTarget, Snapshot};
use crate::files;
use crate::lifecycle::place::{ConfigPlace, read_file};
use crate::lifecycle::source::compile;
use crate::lifecycle::store::StoreSource;
use crate::sys::{self, Account, Confinement, FileRules};

/// Gives files up, where the configuration says so: the program begins anew then. To be called before
/// anything is taken or begun that would be lost with that.
///
/// A configuration that cannot be had or is wrong is not told here: whoever reads it next does.
pub fn confine_files(arguments: &RunArguments) {
    if sys::obeys_file_rules() {
        return;
    }
    let Some(snapshot) = asks_for_rules(arguments) else { return };
    let rules = rules(arguments, &snapshot);
    drop(snapshot);
    if rules.are_in_force() {
        return;
    }
    end_log();
    log::warn!("process.landlock is not in force: {}", rules.obey());
}

/// The configuration, where it asks for that.
fn asks_for_rules(arguments: &RunArguments) -> Option<Snapshot> {
    let read = match &arguments.config {
        ConfigPlace::File(path) => read_file(path),
        ConfigPlace::Store(store) => StoreSource::new(store.clone(), None).read(),
    };
    let copy = || read_file(arguments.last_good.as_deref()?).ok();
    let text: ConfigText = read.ok().or_else(copy)?;
    if !config::asks_for_landlock(text.text()) {
        return None;
    }
    Some(compile(&text, arguments.config.folder()).ok()?.snapshot)
}

/// The files that a gateway with this configuration needs.
fn rules(arguments: &RunArguments, snapshot: &Snapshot) -> FileRules {
    let mut rules = FileRules::default();
    if let ConfigPlace::File(path) = &arguments.config {
        rules.reads(path);
    }
    snapshot.files.iter().for_each(|file| rules.reads(file));
    let log = match &snapshot.access_log.target {
        AccessTarget::File(path) => Some(PathBuf::from(path)),
        AccessTarget::Off | AccessTarget::Stdout | AccessTarget::Stderr => None,
    };
    let sockets = snapshot.server.listen.iter().map(|address| shown_address(*address));
    let sockets = sockets.filter_map(|shown| shown.strip_prefix(UNIX_PREFIX).map(PathBuf::from));
    let written = [log, snapshot.gate.spent_file.clone(), arguments.last_good.clone()];
    written.into_iter().flatten().chain(sockets).for_each(|file| rules.writes(&file));
    rules
}

/// Gives up all else. `made`: the paths of Unix sockets that this process has bound. To be called before
/// a thread is started that serves; says why the gateway must not start.
pub fn confine(snapshot: &Snapshot, made: &[PathBuf]) -> Result<(), String> {
    let process = &snapshot.process;
    if let Some(account) = account(snapshot)? {
        if !account.is_ours() {
            for path in made {
                let given = account.give(path);
                given.map_err(|error| format!("{} is not given away: {error}", path.display()))?;
            }
        }
        account.assume()?;
    }
    // Not before: who becomes somebody else is dumpable or not as the system says.
    if let Err(error) = sys::forbid_core_dumps(!process.core_dumps) {
        log::warn!("process.core_dumps = {} is not in force: {error}", process.core_dumps);
    }
    if process.no_new_privs
        && let Err(error) = sys::forbid_new_privileges()
    {
        log::warn!("process.no_new_privs is not in force: {error}");
    }
    if process.seccomp
        && let Err(reason) = sys::deny_system_calls()
    {
        // A service manager that filters may not let others filter as well.
        match Confinement::now().filters_calls {
            true => {
                log::info!("process.seccomp adds nothing to the filter that is there: {reason}")
            }
            false => log::warn!("process.seccomp is not in force: {reason}"),
        }
    }
    Ok(())
}

/// Says what is in force, in one line, and which files cannot be read any more.
pub fn tell(snapshot: &Snapshot, place: &ConfigPlace) {
    let process = &snapshot.process;
    let given_up = Confinement::now();
    let user = match account(snapshot) {
        Ok(Some(account)) => account.to_string(),
        _ if sys::is_root() => "root (process.user would change that)".to_owned(),
        _ => "the user that has started it".to_owned(),
    };
    let seccomp = match (process.seccomp, given_up.filters_calls) {
        (true, true) => format!("{} system calls denied", sys::denied_system_calls()),
        (_, false) => "off".to_owned(),
        (false, true) => "off, but inherited from whoever has started it".to_owned(),
    };
    let landlock = match (process.landlock, sys::has_file_rules()) {
        (true, true) => "the files of the configuration",
        (_, false) => "off",
        (false, true) => "off, but inherited from the predecessor",
    };
    let on = |on: bool| if on { "on" } else { "off" };
    log::info!(
        "process: {user}; no_new_privs: {}; seccomp: {seccomp}; landlock: {landlock}; core dumps: {}",
        on(given_up.no_new_privileges),
        on(process.core_dumps),
    );
    for file in files_of(snapshot, place) {
        if let Err(error) = files::probe(&file)
            && error.kind() == std::io::ErrorKind::PermissionDenied
        {
            log::warn!(
                "{} was read, and can be no more: {error}; a reload that needs it will be refused",
                file.display()
            );
        }
    }
}

/// What `check` has to say of this machine: whom the process could not become, and what that one could
/// not read.
pub fn foreseen(snapshot: &Snapshot, place: &ConfigPlace) -> Vec<String> {
    let account = match account(snapshot) {
        Ok(None) => return Vec::new(),
        Ok(Some(account)) => account,
        Err(reason) => return vec![reason],
    };
    let files = files_of(snapshot, place).into_iter();
    let shut = files.filter(|file| account.may_read(file) == Some(false));
    let told = shut.map(|file| {
        format!("{} cannot be read by {account}: a reload would be refused", file.display())
    });
    told.collect()
}

/// Whom the process is to become.
fn account(snapshot: &Snapshot) -> Result<Option<Account>, String> {
    let process = &snapshot.process;
    let found = process.user.as_deref().map(|user| Account::find(user, process.group.as_deref()));
    found.transpose().map_err(|reason| format!("[process] {reason}"))
}

/// The files that are read again while the gateway runs.
fn files_of(snapshot: &Snapshot, place: &ConfigPlace) -> Vec<PathBuf> {
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let configuration = match place {
        ConfigPlace::File(path) => Some(whole(path)),
        ConfigPlace::Store(_) => None,
    };
    configuration.into_iter().chain(snapshot.files.iter().cloned()).collect()
}
