//! A plugin in one exchange: a call of a hook, and what follows when that fails.
//!
//! | a call | `fail = "open"` | `fail = "closed"` |
//! |---|---|---|
//! | returns a verdict | that is done | the same |
//! | returns an error code, or asks for what cannot be done | goes on, as if it had said nothing | the exchange ends |
//! | is not made: quarantine | goes on | the exchange ends |
//!
//! * `on_end` is the last call of every exchange that has had another, in quarantine too: what the plugin keeps
//!   of the exchange is freed there.
//! * A line is written of what failed and of what was slow, one a second for each thread at most.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::calls::{Lane, Told};
use super::loaded::LoadedPlugin;
use super::settings::{ActivePlugin, FailMode, PluginSettings};
use super::{
    AnswerSlot, Edits, Guest, Hook, HookFailed, HookResult, PluginEnd, PluginEvent, PluginHead,
    PluginProbe, PluginRequest, Verdict, Wake, remote,
};

/// Why an exchange may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginStop {
    /// A hook has failed.
    Failed,
    /// The plugin is in quarantine.
    Quarantined,
}

/// A seat that the steps of an exchange and the watchers of its answer share. All are on one thread, and no
/// call of a hook leads to another: it is never borrowed twice.
pub type SharedSeat = Rc<RefCell<PluginSeat>>;

/// Whether a plugin says that a server is well which has answered this to a check.
pub fn probe(plugin: &ActivePlugin, upstream: &str, status: u16, body: &[u8]) -> bool {
    let ActivePlugin { settings, loaded, .. } = plugin;
    let open = settings.fail[Hook::HealthProbe as usize] == FailMode::Open;
    if loaded.is_quarantined() {
        return open;
    }
    let shown = PluginProbe { self_test: false, status, upstream: upstream.as_bytes(), body };
    let mut edits = Edits::default();
    let begun = Instant::now();
    let result = loaded.plugin.health_probe(&shown, &mut edits);
    // Checks have threads of their own, and are few: a lane is taken for each.
    let lane = loaded.calls.open_lane();
    let took = begun.elapsed();
    if lane.note(Hook::HealthProbe, took, settings.budget) {
        lane.note_slow(Hook::HealthProbe);
    }
    let said = edits.message.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    match result {
        Ok(Verdict::Refuse) => {
            log::info!("plugin {}: {upstream} is not well: {said}", settings.name);
            false
        }
        Ok(_) => true,
        Err(failed) => {
            lane.note_error(Hook::HealthProbe);
            log::warn!("plugin {}: health_probe failed with {failed}: {said}", settings.name);
            open
        }
    }
}

/// A plugin in one exchange.
#[derive(Debug)]
pub struct PluginSeat {
    guest: Box<dyn Guest>,
    loaded: Arc<LoadedPlugin>,
    settings: Arc<PluginSettings>,
    lane: Arc<Lane>,
    /// Names the exchange in lines of the log.
    id: Box<str>,
    /// A hook has been called.
    begun: bool,
    /// The answer that a plugin behind a socket owes, and since when.
    pending: Option<(Arc<AnswerSlot>, Instant)>,
}

impl PluginSeat {
    /// `number` differs from exchange to exchange.
    pub fn new(plugin: &ActivePlugin, number: u64, id: &str) -> PluginSeat {
        PluginSeat {
            guest: Arc::clone(&plugin.loaded.plugin).begin(number),
            loaded: Arc::clone(&plugin.loaded),
            settings: Arc::clone(&plugin.settings),
            lane: Arc::clone(&plugin.lane),
            id: id.into(),
            begun: false,
            pending: None,
        }
    }

    pub fn name(&self) -> &str {
        &self.settings.name
    }

    pub fn has(&self, hook: Hook) -> bool {
        self.loaded.hooks().has(hook)
    }

    pub fn changes_events(&self) -> bool {
        self.loaded.plugin.changes_events()
    }

    pub fn body_max(&self) -> u64 {
        self.loaded.plugin.body_max()
    }

    pub fn on_request(
        &mut self,
        request: &PluginRequest<'_>,
        edits: &mut Edits,
    ) -> Result<Verdict, PluginStop> {
        self.call(Hook::Request, edits, |guest, edits| guest.on_request(request, edits))
    }

    pub fn on_response_head(
        &mut self,
        head: &PluginHead<'_>,
        edits: &mut Edits,
    ) -> Result<Verdict, PluginStop> {
        self.call(Hook::ResponseHead, edits, |guest, edits| guest.on_response_head(head, edits))
    }

    #[inline]
    pub fn on_event(
        &mut self,
        event: &PluginEvent<'_>,
        edits: &mut Edits,
    ) -> Result<Verdict, PluginStop> {
        self.call(Hook::Event, edits, |guest, edits| guest.on_event(event, edits))
    }

    /// The exchange is over; `cancelled`: before its end.
    pub fn on_end(&mut self, end: &PluginEnd<'_>, cancelled: bool) {
        let mut edits = Edits::default();
        if cancelled && self.has(Hook::Cancel) && !self.loaded.is_quarantined() {
            // What it says cannot change anything any more.
            let _ = self.run(Hook::Cancel, &mut edits, |guest, edits| guest.on_cancel(end, edits));
        }
        if self.has(Hook::End) && self.begun {
            let _ = self.run(Hook::End, &mut edits, |guest, edits| guest.on_end(end, edits));
        }
    }

    /// Asks about a request, where the answer comes later: then this is called again until it is there.
    /// `None`: not yet.
    pub fn ask_about_request(
        &mut self,
        request: &PluginRequest<'_>,
        edits: &mut Edits,
        wake: impl FnOnce() -> Wake,
    ) -> Option<Result<Verdict, PluginStop>> {
        if self.pending.is_none() && !self.loaded.is_quarantined() {
            self.begun = true;
            let slot = self.guest.ask_about_request(request, wake());
            self.pending = slot.map(|slot| (slot, Instant::now()));
        }
        match self.pending.take() {
            None => Some(self.on_request(request, edits)),
            Some(pending) => self.answered(Hook::Request, pending, edits),
        }
    }

    /// The same of the head of an answer.
    pub fn ask_about_head(
        &mut self,
        head: &PluginHead<'_>,
        edits: &mut Edits,
        wake: impl FnOnce() -> Wake,
    ) -> Option<Result<Verdict, PluginStop>> {
        if self.pending.is_none() && !self.loaded.is_quarantined() {
            self.begun = true;
            let slot = self.guest.ask_about_head(head, wake());
            self.pending = slot.map(|slot| (slot, Instant::now()));
        }
        match self.pending.take() {
            None => Some(self.on_response_head(head, edits)),
            Some(pending) => self.answered(Hook::ResponseHead, pending, edits),
        }
    }

    /// Whether an answer of the plugin's is awaited that has not come.
    pub fn is_awaited(&self) -> bool {
        self.pending.is_some()
    }

    /// No answer is waited for any more: the try that it was about is over.
    pub fn forget_question(&mut self) {
        self.pending = None;
    }

    /// What has come of a question.
    #[cold]
    fn answered(
        &mut self,
        hook: Hook,
        (slot, asked): (Arc<AnswerSlot>, Instant),
        edits: &mut Edits,
    ) -> Option<Result<Verdict, PluginStop>> {
        let Some((result, told)) = slot.take() else {
            self.pending = Some((slot, asked));
            return None;
        };
        *edits = told;
        let took = asked.elapsed();
        if self.lane.note(hook, took, self.settings.budget) {
            // Nobody has waited but this exchange: that is no reason for quarantine.
            self.lane.count_slow(hook);
        }
        let result = match (hook, result) {
            (Hook::ResponseHead, Ok(Verdict::Replace | Verdict::Answer)) => Err(HookFailed(-1)),
            (_, result) => result,
        };
        if let Err(failed) = &result {
            self.was_in_vain(hook, *failed, edits);
        }
        Some(self.concluded(hook, result, edits))
    }

    /// A hook has asked for what cannot be done: the rest of a sentence about it.
    #[cold]
    pub fn was_wrong(&mut self, hook: Hook, why: &str) -> Result<(), PluginStop> {
        self.lane.note_error(hook);
        self.tell_failed(hook, why);
        self.outcome(hook, PluginStop::Failed)
    }

    #[inline]
    fn call(
        &mut self,
        hook: Hook,
        edits: &mut Edits,
        run: impl FnOnce(&mut dyn Guest, &mut Edits) -> HookResult,
    ) -> Result<Verdict, PluginStop> {
        if self.loaded.is_quarantined() {
            return self.outcome(hook, PluginStop::Quarantined).map(|()| Verdict::Pass);
        }
        let result = self.run(hook, edits, run);
        self.concluded(hook, result, edits)
    }

    /// What follows a call.
    #[inline]
    fn concluded(
        &self,
        hook: Hook,
        result: HookResult,
        edits: &mut Edits,
    ) -> Result<Verdict, PluginStop> {
        match result {
            Ok(verdict) => Ok(verdict),
            Err(_) => {
                *edits = Edits::default();
                self.outcome(hook, PluginStop::Failed).map(|()| Verdict::Pass)
            }
        }
    }

    /// Calls a hook, and counts the call.
    #[inline]
    fn run(
        &mut self,
        hook: Hook,
        edits: &mut Edits,
        run: impl FnOnce(&mut dyn Guest, &mut Edits) -> HookResult,
    ) -> HookResult {
        self.begun = true;
        let begun = Instant::now();
        let result = run(&mut *self.guest, edits);
        let took = begun.elapsed();
        if self.lane.note(hook, took, self.settings.budget) {
            self.was_slow(hook, took);
        }
        if let Err(failed) = &result {
            self.was_in_vain(hook, *failed, edits);
        }
        result
    }

    #[cold]
    fn was_in_vain(&self, hook: Hook, failed: HookFailed, edits: &Edits) {
        self.lane.note_error(hook);
        let said = edits.message.as_deref().map(String::from_utf8_lossy);
        let said = said.map_or(String::new(), |said| format!(": {said}"));
        let told = remote::reason(failed).map_or_else(|| failed.to_string(), str::to_owned);
        self.tell_failed(hook, &format!("failed with {told}{said}"));
    }

    #[cold]
    fn tell_failed(&self, hook: Hook, why: &str) {
        if self.lane.may_tell(Told::Failed) {
            let (id, name, hook) = (&self.id, self.name(), hook.name());
            log::warn!("{id}: plugin {name}: {hook} {why}");
        }
    }

    #[cold]
    fn was_slow(&self, hook: Hook, took: Duration) {
        let (id, name, budget) = (&self.id, self.name(), self.settings.budget.as_micros());
        let too_often = self.lane.note_slow(hook);
        if self.lane.may_tell(Told::Slow) {
            let (hook, took) = (hook.name(), took.as_micros());
            log::warn!("{id}: plugin {name}: {hook} took {took} us; its budget is {budget} us");
        }
        if too_often && self.loaded.quarantine() {
            log::error!(
                "plugin {name} is in quarantine: ten of its last hundred calls took longer than \
                 {budget} us; a reload has it called again"
            );
        }
    }

    /// What follows where a hook gives no verdict.
    #[cold]
    fn outcome(&self, hook: Hook, stop: PluginStop) -> Result<(), PluginStop> {
        match self.settings.fail[hook as usize] {
            FailMode::Open => Ok(()),
            FailMode::Closed => Err(stop),
        }
    }
}
