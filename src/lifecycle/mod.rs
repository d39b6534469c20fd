//! Lifecycle: a gateway that changes its configuration, and its program, while it serves.
//!
//! | order | what happens |
//! |---|---|
//! | reload | the configuration is read and checked here, and a good one goes to the workers; a bad one changes nothing |
//! | the store has changed | the same, if it holds something else than what was read last |
//! | a name has moved, a source tells other endpoints | the workers are told of that upstream alone (`members`) |
//! | hand over | a new process gets the listening sockets; when it serves, this one drains |
//!
//! Endpoints wait while a reload looks up names or a successor starts; both have an end.
//!
//! It has a thread of its own, so that it may block: on a disk, on a name server, on a successor that
//! takes its time. The workers hear of nothing before it is decided.
//!
//! Absent on purpose: the order to end. It must not wait behind a reload, so whoever hears it tells
//! the workers at once.

mod members;
pub mod place;
pub mod source;
pub mod store;
#[cfg(test)]
mod tests;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use self::members::Members;
use self::source::Source;
pub use self::watch::FileWatch;
use crate::config::Loaded;
use crate::config::parts::ConfigText;
use crate::config::snapshot::Snapshot;
use crate::control::discovery::SourceReport;
use crate::control::names::{Lookup, Names};
use crate::dns::Resolver;
use crate::server::{Control, Reloaded};
use crate::sys::{self, ServiceState, Successor, notify};

/// How long a successor may take to serve: it reads its configuration, resolves names, and binds.
const SUCCESSOR_PATIENCE: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Debug)]
pub enum Chore {
    Reload,
    /// The same, and who asks is told what became of it.
    ReloadFor(Sender<Reloaded>),
    /// The store of the configuration may hold something else.
    Changed,
    /// The candidate of the store serves worse, and the store is away: back to the parts.
    Retreat,
    HandOver,
    /// The addresses that a name has now.
    Found(String, Vec<SocketAddr>),
    /// What a source says of the endpoints of an upstream.
    Told(SourceReport),
}

/// The files that a configuration names, as they are now: certificates and their keys, keys of clients.
fn named_files_of(snapshot: &Snapshot) -> Vec<FileWatch> {
    snapshot.watched_files().iter().map(|path| FileWatch::of(path)).collect()
}

/// The gateway that is looked after.
pub struct Lifecycle {
    control: Control,
    /// What is in force; changed in place where endpoints come and go.
    snapshot: Snapshot,
    members: Members,
    source: Source,
    /// Those that the configuration names.
    named_files: Vec<FileWatch>,
    /// Where its relative paths begin.
    folder: PathBuf,
    /// What was read last, whether it is in force or was refused.
    read: Option<ConfigText>,
    /// Why that is not in force; empty: it is.
    refused: Vec<String>,
    /// Why the last reading told nothing; empty: it was read.
    unread: Vec<String>,
    names: Names,
}

/// What a gateway obeys, and where that comes from.
pub struct Obeyed {
    pub snapshot: Arc<Snapshot>,
    pub source: Source,
    /// Where the relative paths of the configuration begin.
    pub folder: PathBuf,
    /// What `source` held when `snapshot` was made of it; `None`: it was made of something else.
    pub read: Option<ConfigText>,
    /// Why `source` is not obeyed where `snapshot` was made of something else.
    pub refused: Vec<String>,
}

impl Lifecycle {
    /// Looks after the workers behind `control`. `name`: this gateway's, where a store has many.
    pub fn start(control: Control, obeyed: Obeyed, name: String) -> io::Result<Sender<Chore>> {
        let resolver = Arc::new(Resolver::new(obeyed.snapshot.server.dns.clone()));
        let known = Arc::clone(&resolver);
        Lifecycle::start_with(control, obeyed, name, resolver, move |name| known.endpoints(name))
    }

    /// The same, with names that are looked up by `resolve`.
    fn start_with(
        control: Control,
        obeyed: Obeyed,
        name: String,
        resolver: Arc<Resolver>,
        resolve: impl Fn(&str) -> Lookup + Send + Sync + 'static,
    ) -> io::Result<Sender<Chore>> {
        let (sender, requests) = mpsc::channel();
        let finder = sender.clone();
        let publish = move |name, addresses| {
            // Who looks after the gateway lives as long as the process.
            let _ = finder.send(Chore::Found(name, addresses));
        };
        let names = Names::new(sys::random_seed(), resolve, publish);
        let Obeyed { snapshot, mut source, folder, read, refused } = obeyed;
        let now = sys::time_of_day().as_secs();
        control.config().obey(source.to_string(), snapshot.generation.number, now);
        if !refused.is_empty() {
            control.config().refuse(&refused, now);
        }
        if let Source::Store(store) = &mut source {
            if refused.is_empty() {
                control.config().note_revision(store.revision());
            }
            control.on_store_history(store::history::on_demand(store.place().clone()));
            store.watch(name, control.clone(), sender.clone())?;
            store.tell(snapshot.generation.number, &refused);
        }
        let named_files = named_files_of(&snapshot);
        let (snapshot, members) =
            (Arc::unwrap_or_clone(snapshot), Members::new(sender.clone(), resolver));
        let mut lifecycle = Lifecycle {
            control,
            snapshot,
            members,
            source,
            named_files,
            folder,
            read,
            refused: Vec::new(),
            unread: Vec::new(),
            names,
        };
        lifecycle.follow_names()?;
        lifecycle.follow_sources()?;
        thread::Builder::new().name("lifecycle".into()).spawn(move || lifecycle.run(&requests))?;
        Ok(sender)
    }

    fn run(mut self, requests: &Receiver<Chore>) {
        let mut looked = Instant::now();
        loop {
            let look = self.snapshot.server.watch.map(|interval| looked + interval);
            let due = [look, self.members.due()].into_iter().flatten().min();
            let request = match due {
                None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => requests.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match request {
                Ok(Chore::Reload) => drop(self.reload()),
                Ok(Chore::ReloadFor(asker)) => {
                    let reloaded = self.reload();
                    // It may have lost its patience.
                    let _ = asker.send(reloaded);
                }
                Ok(Chore::Changed) => self.follow_store(),
                Ok(Chore::Retreat) => self.retreat(),
                Ok(Chore::HandOver) => self.hand_over(),
                Ok(Chore::Found(name, addresses)) => self.found(&name, addresses),
                Ok(Chore::Told(told)) => self.told(told),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.on_time();
            // Whoever brings news all the time does not keep the file from being looked at.
            if self.snapshot.server.watch.is_some_and(|interval| looked.elapsed() >= interval) {
                looked = Instant::now();
                if let Some(changed) = self.changed() {
                    log::info!("{changed} has changed");
                    let _ = self.reload();
                }
            }
        }
    }

    /// The file that has changed since it was read: that of the configuration, or one that it names.
    fn changed(&mut self) -> Option<String> {
        let source = self.source.has_changed().then(|| self.source.to_string());
        // All are looked at, so that none is taken for changed once more after the reload.
        let files = self.named_files.iter_mut().filter_map(FileWatch::changed_path);
        let named = files.map(|path| path.display().to_string()).last();
        named.or(source)
    }

    fn reload(&mut self) -> Reloaded {
        if self.control.is_draining() {
            let reason = "draining: the configuration is not read again";
            log::warn!("{reason}");
            return Err(vec![reason.to_owned()]);
        }
        let read = self.source.read();
        self.obey(read)
    }

    /// Reads the store again, and obeys what it holds, if that is something else than before.
    fn follow_store(&mut self) {
        if self.control.is_draining() {
            return;
        }
        let read = self.source.read();
        match read {
            // A candidate that is promoted is a part now, and nothing else has changed.
            Ok(text) if self.read.as_ref().is_some_and(|known| known.text() == text.text()) => {
                self.read_the_same(text);
            }
            // It has been told. A store that is written to all the time would fill the log with it.
            Err(reasons) if reasons == self.unread => {}
            read => {
                log::info!("{} has changed", self.source);
                let _ = self.obey(read);
            }
        }
    }

    /// The store holds what was read before, whatever it has held meanwhile.
    fn read_the_same(&mut self, text: ConfigText) {
        let number = self.snapshot.generation.number;
        if self.refused.is_empty() && !self.control.config().in_force().1 {
            let now = sys::time_of_day().as_secs();
            self.control.config().obey(self.source.to_string(), number, now);
        }
        if let Source::Store(store) = &mut self.source {
            store.tell(number, &self.refused);
            if self.refused.is_empty() {
                self.control.config().note_revision(store.revision());
                store.keep(&text);
            }
        }
        self.read = Some(text);
        self.tell_canary();
    }

    /// Goes back from a candidate to the parts.
    fn retreat(&mut self) {
        let Source::Store(store) = &mut self.source else { return };
        if let Some(parts) = store.retreat() {
            let _ = self.obey(Ok(parts));
        }
    }

    /// Tells the admin pages how the canary of the store stands.
    fn tell_canary(&self) {
        if let Source::Store(store) = &self.source {
            self.control.config().follow_canary(store.canary_state());
        }
    }

    /// Gives the workers the configuration that was read, if it is good.
    fn obey(&mut self, read: place::Read) -> Reloaded {
        notify(ServiceState::Reloading);
        // Looked at before they are read: what changes in between is a change.
        self.named_files = named_files_of(&self.snapshot);
        self.unread = read.as_ref().err().cloned().unwrap_or_default();
        let followed = read.and_then(|text| {
            let next = self.follow(&text);
            self.read = Some(text);
            self.refused = next.as_ref().err().cloned().unwrap_or_default();
            next
        });
        let reloaded = match followed {
            Ok(next) => {
                if next.watched_files() != self.snapshot.watched_files() {
                    self.named_files = named_files_of(&next);
                }
                self.snapshot = next;
                if let Err(error) = self.follow_names().and_then(|()| self.follow_sources()) {
                    log::error!("endpoints are not looked up again: {error}");
                }
                let number = self.snapshot.generation.number;
                log::info!("{}: generation {number} is in force", self.source);
                Ok(number)
            }
            Err(reasons) => {
                reasons.iter().for_each(|reason| log::error!("{reason}"));
                let number = self.snapshot.generation.number;
                log::error!("{}: refused; generation {number} stays", self.source);
                Err(reasons)
            }
        };
        let now = sys::time_of_day().as_secs();
        match &reloaded {
            Ok(number) => self.control.config().obey(self.source.to_string(), *number, now),
            Err(reasons) => self.control.config().refuse(reasons, now),
        }
        if let Source::Store(store) = &mut self.source {
            let refused = reloaded.as_ref().err().map_or(&[][..], Vec::as_slice);
            let number = self.snapshot.generation.number;
            match self.unread.is_empty() {
                true => store.tell(number, refused),
                false => store.tell_unread(number, refused),
            }
            if let (Ok(number), Some(candidate)) = (&reloaded, store.candidate()) {
                log::info!(
                    "{}: generation {number} is change {candidate}, tried here",
                    store.place()
                );
            }
            if let (Ok(_), Some(text)) = (&reloaded, &self.read) {
                self.control.config().note_revision(store.revision());
                store.keep(text);
            }
        }
        self.tell_canary();
        notify(ServiceState::Ready);
        reloaded
    }

    /// Gives the workers the configuration of this text.
    fn follow(&self, text: &ConfigText) -> Result<Snapshot, Vec<String>> {
        let Loaded { snapshot, warnings, notes } =
            source::follow(text, &self.snapshot, self.folder.clone())?;
        warnings.iter().for_each(|warning| log::warn!("{}", text.tell(warning)));
        notes.iter().for_each(|note| log::info!("{note}"));
        let next = Arc::new(snapshot);
        self.control.reload(&next).map_err(|error| vec![error.to_string()])?;
        Ok(Arc::unwrap_or_clone(next))
    }

    /// Looks the names of the generation in force up from now on.
    fn follow_names(&mut self) -> io::Result<()> {
        let Snapshot { server, .. } = &self.snapshot;
        self.names.follow(self.snapshot.names(), &self.snapshot.names_down(), server.resolve)
    }

    fn hand_over(&self) {
        if self.control.is_draining() {
            return log::warn!("draining: there is nothing left to hand over");
        }
        match self.start_successor() {
            Ok(successor) => {
                let pid = successor.pid();
                log::info!("handed over to process {pid}; draining");
                notify(ServiceState::Successor(pid));
                self.control.retire();
                attend(successor);
            }
            Err(reason) => log::error!("hand-over failed, serving on: {reason}"),
        }
    }

    fn start_successor(&self) -> Result<Successor, String> {
        // Copies: workers that stop in the meantime must be able to close theirs.
        let listeners = self.control.listeners().try_clone();
        let started = listeners.and_then(Successor::start);
        let mut successor = started.map_err(|error| format!("no process: {error}"))?;
        log::info!("handing over: process {} starts", successor.pid());
        successor.wait_until_ready(SUCCESSOR_PATIENCE)?;
        Ok(successor)
    }
}

/// Tells if the successor ends while this process still drains; nobody else might notice.
fn attend(successor: Successor) {
    let pid = successor.pid();
    let attended =
        thread::Builder::new().name("successor".into()).spawn(move || match successor.wait() {
            // It has handed over in its turn, or was told to end.
            Ok(status) if status.success() => {
                log::info!("process {pid}, which served in our place, has ended in good order");
            }
            Ok(status) => log::error!("process {pid}, which serves in our place, ended: {status}"),
            Err(error) => log::error!("process {pid} cannot be waited for: {error}"),
        });
    if let Err(error) = attended {
        log::warn!("nobody watches process {pid}: {error}");
    }
}
