//! What a plugin is to the gateway: asked by two traits, wherever it runs.
//!
//! * Nothing here is unsafe, and nothing knows C.
//! * Data that is shown is borrowed for the call. What a plugin wants is collected in [`Edits`].

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A hook of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Hook {
    Request,
    ResponseHead,
    Event,
    End,
    Cancel,
    HealthProbe,
}

impl Hook {
    pub const ALL: [Hook; 6] = [
        Hook::Request,
        Hook::ResponseHead,
        Hook::Event,
        Hook::End,
        Hook::Cancel,
        Hook::HealthProbe,
    ];

    /// Its name in the header, in the configuration and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Request => "on_request",
            Hook::ResponseHead => "on_response_head",
            Hook::Event => "on_event",
            Hook::End => "on_end",
            Hook::Cancel => "on_cancel",
            Hook::HealthProbe => "health_probe",
        }
    }
}

/// A set of hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks(u8);

impl Hooks {
    pub const fn with(self, hook: Hook) -> Hooks {
        Hooks(self.0 | 1 << hook as u8)
    }

    pub const fn has(self, hook: Hook) -> bool {
        self.0 & 1 << hook as u8 != 0
    }

    pub const fn union(self, other: Hooks) -> Hooks {
        Hooks(self.0 | other.0)
    }
}

impl FromIterator<Hook> for Hooks {
    fn from_iter<I: IntoIterator<Item = Hook>>(hooks: I) -> Hooks {
        hooks.into_iter().fold(Hooks::default(), Hooks::with)
    }
}

/// What a hook wants to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, with what [`Edits`] say.
    Pass,
    /// What was written takes the place of the body or the event.
    Replace,
    /// What was written is the answer.
    Answer,
    /// The client gets an error; a server is not well.
    Refuse,
}

/// A hook has failed, with this code. Why may stand in [`Edits::message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookFailed(pub i32);

impl fmt::Display for HookFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error code {}", self.0)
    }
}

/// What a call comes to.
pub type HookResult = Result<Verdict, HookFailed>;

/// What a plugin has asked for in one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// What was written.
    pub written: Vec<u8>,
    pub set: Vec<(Vec<u8>, Vec<u8>)>,
    pub add: Vec<(Vec<u8>, Vec<u8>)>,
    pub remove: Vec<Vec<u8>>,
    pub target: Option<Vec<u8>>,
    pub upstream: Option<Vec<u8>>,
    pub status: Option<u16>,
    pub message: Option<Vec<u8>>,
}

impl Edits {
    pub fn changes_fields(&self) -> bool {
        !self.set.is_empty() || !self.add.is_empty() || !self.remove.is_empty()
    }
}

/// A field of a head: name and value.
pub type PluginField<'a> = (&'a [u8], &'a [u8]);

/// A request, as `on_request` is shown it.
#[derive(Clone, Copy, Debug)]
pub struct PluginRequest<'a> {
    pub self_test: bool,
    pub method: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    pub id: &'a [u8],
    pub route: &'a [u8],
    pub fields: &'a [PluginField<'a>],
    pub body: &'a [u8],
    /// `body` is all of it.
    pub whole: bool,
}

/// Whether events of an answer are shown, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsShown {
    Shown,
    /// It is no stream.
    None,
    Coded,
    Unframed,
}

/// The head of an answer, as `on_response_head` is shown it.
#[derive(Clone, Copy, Debug)]
pub struct PluginHead<'a> {
    pub self_test: bool,
    pub events: EventsShown,
    pub status: u16,
    pub upstream: &'a [u8],
    pub fields: &'a [PluginField<'a>],
}

/// An event of a stream, as `on_event` is shown it.
#[derive(Clone, Copy, Debug)]
pub struct PluginEvent<'a> {
    pub number: u64,
    pub name: &'a [u8],
    pub data: &'a [u8],
    pub raw: &'a [u8],
}

/// The end of an exchange, as `on_cancel` and `on_end` are told it.
#[derive(Clone, Copy, Debug)]
pub struct PluginEnd<'a> {
    pub status: u16,
    /// Empty: it did not fail.
    pub code: &'a str,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub duration_us: u64,
    /// Prompt and completion tokens, where the server has told them.
    pub tokens: Option<(u64, u64)>,
}

/// What a server has answered to a check, as `health_probe` is shown it.
#[derive(Clone, Copy, Debug)]
pub struct PluginProbe<'a> {
    pub self_test: bool,
    pub status: u16,
    pub upstream: &'a [u8],
    pub body: &'a [u8],
}

/// A plugin that is open. It is closed when it is dropped.
pub trait Plugin: fmt::Debug + Send + Sync {
    /// What it calls itself, and which version of itself it is.
    fn title(&self) -> (&str, &str);
    fn hooks(&self) -> Hooks;
    /// Whether `on_event` may change what it is shown.
    fn changes_events(&self) -> bool;
    /// How many bytes of a request's body `on_request` wants.
    fn body_max(&self) -> u64;
    /// Its part in an exchange that begins. The plugin stays open as long as that is there.
    fn begin(self: Arc<Self>, number: u64) -> Box<dyn Guest>;
    fn health_probe(&self, probe: &PluginProbe<'_>, edits: &mut Edits) -> HookResult;
}

/// A plugin in one exchange. A hook that the plugin does not have is not called.
pub trait Guest: fmt::Debug {
    fn on_request(&mut self, request: &PluginRequest<'_>, edits: &mut Edits) -> HookResult;
    fn on_response_head(&mut self, head: &PluginHead<'_>, edits: &mut Edits) -> HookResult;
    fn on_event(&mut self, event: &PluginEvent<'_>, edits: &mut Edits) -> HookResult;
    fn on_cancel(&mut self, end: &PluginEnd<'_>, edits: &mut Edits) -> HookResult;
    fn on_end(&mut self, end: &PluginEnd<'_>, edits: &mut Edits) -> HookResult;

    /// Asks about a request, where the answer comes later. `None`: it can be called.
    fn ask_about_request(
        &mut self,
        _request: &PluginRequest<'_>,
        _wake: Wake,
    ) -> Option<Arc<AnswerSlot>> {
        None
    }

    /// Asks about the head of an answer, where the answer comes later. `None`: it can be called.
    fn ask_about_head(&mut self, _head: &PluginHead<'_>, _wake: Wake) -> Option<Arc<AnswerSlot>> {
        None
    }
}

/// Tells whoever has asked that the answer lies in its slot. Called once, on any thread.
pub type Wake = Box<dyn FnOnce() + Send>;

/// The place of an answer that comes later.
#[derive(Debug, Default)]
pub struct AnswerSlot {
    answer: Mutex<Option<(HookResult, Edits)>>,
    here: Condvar,
}

impl AnswerSlot {
    /// Puts the answer in; the first one counts.
    pub fn put(&self, result: HookResult, edits: Edits) {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.get_or_insert((result, edits));
        self.here.notify_all();
    }

    /// Takes the answer, if it is here.
    pub fn take(&self) -> Option<(HookResult, Edits)> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the answer. Whoever asks without waiting takes it.
    pub fn wait(&self) -> (HookResult, Edits) {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(answer) = answer.take() {
                return answer;
            }
            answer = self.here.wait(answer).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
