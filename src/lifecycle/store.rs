//! A configuration in a store: read whole, watched, and told about.
//!
//! ```text
//!   store thread ── watch ──▶ quiet for a moment ──▶ Chore::Changed ──▶ lifecycle: read, check, apply
//!        ▲                                                                   │
//!        └───────────── what became of it: the status key ◀──────────────────┘
//! ```
//!
//! | key below the prefix | holds |
//! |---|---|
//! | `config`, `upstreams/NAME`, `routes/NAME`, `prices/NAME`, `keys/NAME` | the parts of the configuration |
//! | `.status/GATEWAY` | which revision is in force in one gateway, and why a later one is not |
//! | `.head`, `.history/NUMBER` | who changed what, and when ([`record`]) |
//! | `.canary` | a change that some gateways obey before the others ([`canary`]) |
//!
//! * What is in force stays, whatever becomes of the store: away, empty, or with something in it that
//!   is refused.
//! * A good configuration is kept on disk, so that a gateway can start without the store. A candidate
//!   is not kept, and none starts with one: what it breaks is a reload, never a start.
//! * The thread of the store may block. Nobody waits for it.

pub mod canary;
pub mod history;
pub mod record;
mod status;
mod watching;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;
use std::{io, thread};

use self::canary::attendance::Attendance;
use self::canary::meter::Totals;
use self::canary::{Canary, CanaryOutcome, HeldCanary, SeenCanary};
use self::status::StatusLine;
use self::watching::Watcher;
use super::Chore;
use super::place::{Read, StorePlace, read_file};
use crate::config::parts::ConfigText;
pub use crate::control::etcd::EtcdFailure;
use crate::control::etcd::{Etcd, StoredKey};
use crate::files;
use crate::measure::stats::Counters;
use crate::observe::obeyed::{CanaryEnd, CanaryState};
use crate::server::Control;

/// Parts of one configuration.
pub const PARTS_MAX: usize = 4096;

/// The parts of a configuration lie between these keys. What begins with a dot lies before them.
pub fn range_of(prefix: &str) -> (String, String) {
    (format!("{prefix}//"), format!("{prefix}0"))
}

/// The configuration that entries of a store make, or every reason why they make none.
pub fn text_of(place: &StorePlace, entries: &[StoredKey]) -> Read {
    if entries.is_empty() {
        return Err(vec![format!("{place}: there is no configuration here")]);
    }
    let parts = entries.iter().map(|entry| (name_below(place, entry), &entry.value[..]));
    ConfigText::of_parts(&place.to_string(), parts)
}

/// The name of a part: what stands below the prefix.
fn name_below<'e>(place: &StorePlace, entry: &'e StoredKey) -> &'e str {
    entry.key.get(place.prefix.len() + 1..).unwrap_or("")
}

/// A configuration in a store.
#[derive(Clone)]
pub struct StoreSource {
    place: StorePlace,
    etcd: Etcd,
    /// Where the last good configuration is kept.
    last_good: Option<PathBuf>,
    /// This gateway's name; empty: it is none, or does not run yet, and obeys the parts.
    name: String,
    /// The last change of a part that was read.
    revision: i64,
    /// What the key of the canary held.
    canary: HeldCanary,
    /// The same, if one is under way.
    seen: Option<Arc<SeenCanary>>,
    /// The number of the canary whose candidate was read last; `None`: the parts were.
    candidate: Option<u64>,
    /// The canary that is obeyed no more here, whatever the store says.
    given_up: Arc<AtomicU64>,
    /// When the canary was read last, and what was counted by then.
    mark: Option<Arc<(Instant, Totals)>>,
    /// What the workers count, one each.
    counters: Vec<Arc<Counters>>,
    /// What the parts were when they were read last.
    parts: Option<ConfigText>,
    /// What is kept on disk.
    kept: Option<String>,
    /// The number of the canary whose candidate is in force.
    obeyed: Option<u64>,
    /// Why the candidate that was read is not in force.
    refusal: Option<String>,
    /// To the thread that watches, once there is one.
    status: Option<Sender<StatusLine>>,
}

impl StoreSource {
    pub fn new(place: StorePlace, last_good: Option<PathBuf>) -> StoreSource {
        let etcd = Etcd::new(place.etcd.clone());
        StoreSource {
            place,
            etcd,
            last_good,
            name: String::new(),
            revision: 0,
            canary: HeldCanary { revision: 0, canary: Ok(None) },
            seen: None,
            candidate: None,
            given_up: Arc::default(),
            mark: None,
            counters: Vec::new(),
            parts: None,
            kept: None,
            obeyed: None,
            refusal: None,
            status: None,
        }
    }

    pub fn place(&self) -> &StorePlace {
        &self.place
    }

    /// The configuration that the store has now for this gateway.
    pub fn read(&mut self) -> Read {
        let told = |failure: EtcdFailure| vec![format!("{}: {failure}", self.place)];
        // The canary first: one that is promoted between the two does not fit the parts any more.
        let held = match self.name.is_empty() {
            true => HeldCanary { revision: 0, canary: Ok(None) },
            false => read_canary(&mut self.etcd, &self.place).map_err(told)?,
        };
        let (first, end) = range_of(&self.place.prefix);
        let listing = self.etcd.range(&first, &end, PARTS_MAX).map_err(told)?;
        self.revision = listing.entries.iter().map(|entry| entry.revision).max().unwrap_or(0);
        let parts = text_of(&self.place, &listing.entries);
        self.parts = parts.as_ref().ok().cloned();
        self.see(held, &listing.entries);
        // Before it comes into force: what ends from now on is compared.
        let marked = self.seen.is_some();
        self.mark = marked.then(|| Arc::new((Instant::now(), Totals::of(&self.counters))));
        match self.seen.clone().filter(|seen| self.is_tried(seen)) {
            None => parts,
            Some(seen) => {
                self.candidate = Some(seen.canary.number);
                let texts = &seen.canary.parts;
                let parts = texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
                let text = ConfigText::of_parts(&format!("{}/.canary", self.place), parts);
                self.refusal = text.as_ref().err().and_then(|reasons| reasons.first().cloned());
                text
            }
        }
    }

    /// Takes note of what the key of the canary holds, and tells what is new about it.
    fn see(&mut self, held: HeldCanary, entries: &[StoredKey]) {
        let place = &self.place;
        if held != self.canary {
            match &held.canary {
                // How one ended that nobody here has seen is no news.
                Ok(Some(canary)) if canary.decided.is_none() || self.canary.is_of(canary) => {
                    tell_canary(place, canary);
                }
                Ok(_) => {}
                Err(why) => log::warn!("{place}/.canary is no canary: {why}"),
            }
        }
        self.seen = held.running().map(|canary| {
            let holds = canary.holds_on(place, entries);
            Arc::new(SeenCanary { canary: canary.clone(), revision: held.revision, holds })
        });
        (self.canary, self.candidate, self.refusal) = (held, None, None);
    }

    fn is_tried(&self, seen: &SeenCanary) -> bool {
        seen.holds
            && seen.canary.is_for(&self.name)
            && self.given_up.load(Ordering::Relaxed) != seen.canary.number
    }

    /// The parts as they were read last, instead of the candidate that was read; `None`: it was not.
    pub fn retreat(&mut self) -> Option<ConfigText> {
        self.mark = None;
        self.candidate.take().and(self.parts.clone())
    }

    /// The number of the canary whose candidate was read last.
    pub fn candidate(&self) -> Option<u64> {
        self.candidate
    }

    /// What is to be told of the canary; `None`: there was none.
    pub fn canary_state(&self) -> Option<CanaryState> {
        let Canary { number, gateways, decided, .. } =
            self.canary.canary.as_ref().ok()?.as_ref()?;
        Some(CanaryState {
            number: *number,
            gateways: gateways.clone(),
            obeyed: self.obeyed == Some(*number),
            decided: decided.as_ref().map(|decision| CanaryEnd {
                promoted: decision.outcome == CanaryOutcome::Promoted,
                by: decision.by.clone(),
                why: decision.why.clone(),
            }),
        })
    }

    /// The last change of what was read last.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The configuration that was good last, if there is a copy of it.
    pub fn last_good(&self) -> Option<(PathBuf, Read)> {
        let path = self.last_good.clone().filter(|path| path.exists())?;
        let read = read_file(&path);
        Some((path, read))
    }

    /// Keeps a configuration that is in force, if it is that of all gateways.
    pub fn keep(&mut self, text: &ConfigText) {
        let Some(path) = &self.last_good else { return };
        if self.candidate.is_some() || self.kept.as_deref() == Some(text.text()) {
            return;
        }
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        match folder.and_then(|()| files::replace(path, text.text())) {
            Ok(()) => self.kept = Some(text.text().to_owned()),
            Err(error) => {
                log::error!("{}: the last good configuration is not kept: {error}", path.display())
            }
        }
    }

    /// Watches the store from now on, on a thread of its own, for whoever does these chores. `name`:
    /// this gateway's; `control`: its workers.
    pub fn watch(
        &mut self,
        name: String,
        control: Control,
        chores: Sender<Chore>,
    ) -> io::Result<()> {
        let (status, told) = channel();
        self.name.clone_from(&name);
        let (place, given_up) = (self.place.clone(), Arc::clone(&self.given_up));
        let counters = control.counters().to_vec();
        self.counters.clone_from(&counters);
        let attendance = Attendance::new(place.clone(), name.clone(), counters, given_up);
        let mut watcher = Watcher::new(place, name, told, chores, control, attendance);
        thread::Builder::new().name("store".into()).spawn(move || watcher.run())?;
        self.status = Some(status);
        Ok(())
    }

    /// Tells the store what became of what was read last.
    pub fn tell(&mut self, generation: u32, refused: &[String]) {
        if refused.is_empty() {
            self.obeyed = self.candidate;
        }
        self.refusal = refused.first().filter(|_| self.candidate.is_some()).cloned();
        self.tell_unread(generation, refused);
    }

    /// Tells the store why there was nothing to be judged: it was away, or what it holds is no
    /// configuration.
    pub fn tell_unread(&self, generation: u32, reasons: &[String]) {
        let Some(status) = &self.status else { return };
        let line = StatusLine::new(generation, self.revision, reasons);
        // The thread lives as long as the process.
        let (seen, refusal, mark) = (self.seen.clone(), self.refusal.clone(), self.mark.clone());
        let _ = status.send(line.with_canary(seen, self.obeyed, refusal, mark));
    }
}

/// What the key of the canary holds.
fn read_canary(etcd: &mut Etcd, place: &StorePlace) -> Result<HeldCanary, EtcdFailure> {
    let key = canary::key(place);
    match etcd.range(&key, &format!("{key}\0"), 1) {
        Ok(listing) => Ok(HeldCanary::of(listing.entries.first())),
        // Who may not read it takes no part, and obeys the parts.
        Err(EtcdFailure::Denied(_)) => Ok(HeldCanary { revision: 0, canary: Ok(None) }),
        Err(failure) => Err(failure),
    }
}

/// One line of the log.
fn tell_canary(place: &StorePlace, canary: &Canary) {
    let number = canary.number;
    match &canary.decided {
        None => {
            let (gateways, seconds) = (canary.gateways.join(", "), canary.watch_seconds);
            log::info!("{place}: change {number} goes to {gateways} first, for {seconds} s");
        }
        Some(decision) => {
            let (by, why) = (&decision.by, &decision.why);
            match decision.outcome {
                CanaryOutcome::Promoted => {
                    log::info!("{place}: change {number} was promoted by {by}: {why}");
                }
                CanaryOutcome::Stopped => {
                    log::warn!("{place}: change {number} was stopped by {by}: {why}");
                }
            }
        }
    }
}

/// Whether a failure is the store's, and may pass by itself.
pub(super) fn may_pass(failure: &EtcdFailure) -> bool {
    matches!(failure, EtcdFailure::Away(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_in_their_range_and_what_begins_with_a_dot_does_not() {
        let (first, end) = range_of("/p");
        for (key, lies) in [
            ("/p/config", true),
            ("/p/upstreams/a", true),
            ("/p/.head", false),
            ("/p/.status/x", false),
            ("/p2/config", false),
            ("/p", false),
            ("/o/config", false),
        ] {
            assert_eq!((first.as_str()..end.as_str()).contains(&key), lies, "{key}");
        }
    }
}
