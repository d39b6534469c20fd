//! A plugin that is open, and the calls of its hooks.
//!
//! * `open` is called before any other, and `close` when nobody holds the plugin any more: not the
//!   configuration, and no exchange. Then its object is unloaded.
//! * Who lets it go last may be a worker, so both are done on a thread of their own.

use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::thread;

use sluicegate_plugin_abi::{
    SG_ANSWER, SG_CHANGES_EVENTS, SG_EVENTS_CODED, SG_EVENTS_NONE, SG_EVENTS_SHOWN,
    SG_EVENTS_UNFRAMED, SG_OK, SG_REFUSE, SG_REPLACE, SG_SELF_TEST, SG_TOKENS_KNOWN, SG_WHOLE_BODY,
    sg_bytes, sg_end, sg_event, sg_exchange, sg_field, sg_host, sg_on_end, sg_plugin, sg_probe,
    sg_request, sg_response_head,
};

use crate::callbacks::{Log, bytes_of, call_of, table};
use crate::contract::{
    Edits, EventsShown, Guest, Hook, HookFailed, HookResult, Hooks, Plugin, PluginEnd, PluginEvent,
    PluginField, PluginHead, PluginProbe, PluginRequest, Verdict,
};
use crate::load::Loaded;

/// A hook that is called although the plugin does not have it.
const ABSENT: HookResult = Ok(Verdict::Pass);

/// The plugin's `open` has returned this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFailed(pub i32);

impl fmt::Display for OpenFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "open() returned {}", self.0)
    }
}

impl std::error::Error for OpenFailed {}

/// An open plugin.
pub struct Library {
    hooks: Hooks,
    title: (String, String),
    table: sg_plugin,
    /// `None` only while it is dropped.
    open: Option<Open>,
}

/// What has to go in order: closed first, unloaded last.
struct Open {
    close: unsafe extern "C" fn(*mut c_void),
    plugin: *mut c_void,
    loaded: Loaded,
    /// The plugin points at these.
    host: Box<sg_host>,
    log: Box<Log>,
    said: Box<dyn Fn() + Send + Sync>,
}

// SAFETY: the header says that hooks are called on any thread, several at a time, and a plugin that keeps to it
// can be. The pointers are the plugin's own, or to boxes that are never changed.
unsafe impl Send for Open {}
// SAFETY: as above.
unsafe impl Sync for Open {}

// SAFETY: the table is constant data of the object, which stays loaded as long as `open` is there.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("title", &self.title).field("hooks", &self.hooks).finish()
    }
}

impl Library {
    /// Opens a plugin with its part of the configuration. `closed` is called when it has been closed and
    /// unloaded.
    pub fn open(
        loaded: Loaded,
        config: &str,
        log: Log,
        closed: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Library, OpenFailed> {
        let table = loaded.table;
        let (Some(open), Some(close)) = (table.open, table.close) else {
            return Err(OpenFailed(i32::MIN));
        };
        let text = |bytes: sg_bytes| {
            // SAFETY: constants of the object's, which is loaded.
            String::from_utf8_lossy(unsafe { bytes_of(bytes) }).into_owned()
        };
        let title = (text(table.name), text(table.plugin_version));
        let log = Box::new(log);
        let host = Box::new(self::table(&log));
        let mut plugin = ptr::null_mut();
        // SAFETY: `open` is the object's, and what it is given is valid as the header promises: the table as
        // long as the plugin is open, the rest for the call.
        let code = unsafe { open(&raw const *host, sg_bytes::of(config.as_bytes()), &mut plugin) };
        if code != SG_OK {
            return Err(OpenFailed(code));
        }
        let open = Open { close, plugin, loaded, host, log, said: closed };
        Ok(Library { hooks: hooks_of(&table), title, table, open: Some(open) })
    }

    fn plugin(&self) -> *mut c_void {
        self.open.as_ref().map_or(ptr::null_mut(), |open| open.plugin)
    }
}

fn hooks_of(table: &sg_plugin) -> Hooks {
    let has = [
        (Hook::Request, table.on_request.is_some()),
        (Hook::ResponseHead, table.on_response_head.is_some()),
        (Hook::Event, table.on_event.is_some()),
        (Hook::End, table.on_end.is_some()),
        (Hook::Cancel, table.on_cancel.is_some()),
        (Hook::HealthProbe, table.health_probe.is_some()),
    ];
    has.into_iter().filter(|(_, has)| *has).map(|(hook, _)| hook).collect()
}

impl Open {
    fn close(self) {
        let Open { close, plugin, loaded, host, log, said } = self;
        // SAFETY: nobody else holds the plugin, so no hook of it runs and none will.
        unsafe { close(plugin) };
        let Loaded { dynamic, memory, .. } = loaded;
        drop((host, log));
        drop(dynamic);
        drop(memory);
        said();
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        // The closure is lost where there is no thread, and with it the plugin would be, unclosed: then it
        // is closed here.
        let (give, take) = std::sync::mpsc::channel::<Open>();
        let started = thread::Builder::new().name("plugin-close".into()).spawn(move || {
            if let Ok(open) = take.recv() {
                open.close();
            }
        });
        match started {
            Ok(_) => {
                if let Err(unsent) = give.send(open) {
                    unsent.0.close();
                }
            }
            Err(_) => open.close(),
        }
    }
}

/// What a hook's return value means, among the verdicts that it has.
fn verdict(code: i32, allowed: &[Verdict]) -> HookResult {
    let verdict = match code {
        SG_OK => return Ok(Verdict::Pass),
        SG_REPLACE => Verdict::Replace,
        SG_ANSWER => Verdict::Answer,
        SG_REFUSE => Verdict::Refuse,
        _ => return Err(HookFailed(code)),
    };
    if allowed.contains(&verdict) { Ok(verdict) } else { Err(HookFailed(code)) }
}

fn flag(on: bool, flag: u32) -> u32 {
    if on { flag } else { 0 }
}

fn fields_of(fields: &[PluginField<'_>]) -> Vec<sg_field> {
    let field = |(name, value): &PluginField<'_>| sg_field {
        name: sg_bytes::of(name),
        value: sg_bytes::of(value),
    };
    fields.iter().map(field).collect()
}

impl Plugin for Library {
    fn title(&self) -> (&str, &str) {
        (&self.title.0, &self.title.1)
    }

    fn hooks(&self) -> Hooks {
        self.hooks
    }

    fn changes_events(&self) -> bool {
        self.table.flags & SG_CHANGES_EVENTS != 0
    }

    fn body_max(&self) -> u64 {
        self.table.body_max
    }

    fn begin(self: Arc<Self>, number: u64) -> Box<dyn Guest> {
        Box::new(LibraryGuest { state: ptr::null_mut(), number, library: self })
    }

    fn health_probe(&self, probe: &PluginProbe<'_>, edits: &mut Edits) -> HookResult {
        let Some(hook) = self.table.health_probe else { return ABSENT };
        let probe = sg_probe {
            size: size_of::<sg_probe>() as u32,
            flags: flag(probe.self_test, SG_SELF_TEST),
            status: probe.status,
            reserved: [0; 3],
            upstream: sg_bytes::of(probe.upstream),
            body: sg_bytes::of(probe.body),
        };
        // SAFETY: the plugin is open, and all that it is given is valid until this returns.
        let code = unsafe { hook(self.plugin(), call_of(edits), &raw const probe) };
        verdict(code, &[Verdict::Refuse])
    }
}

/// A plugin in one exchange.
struct LibraryGuest {
    state: *mut c_void,
    number: u64,
    library: Arc<Library>,
}

impl fmt::Debug for LibraryGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibraryGuest").field("number", &self.number).finish()
    }
}

impl LibraryGuest {
    /// Calls a hook with the exchange as the plugin knows it.
    fn call(
        &mut self,
        edits: &mut Edits,
        hook: impl FnOnce(*mut c_void, *mut sg_exchange) -> i32,
    ) -> i32 {
        let call = call_of(edits);
        let mut exchange = sg_exchange { state: self.state, number: self.number, call };
        let code = hook(self.library.plugin(), &raw mut exchange);
        self.state = exchange.state;
        code
    }

    fn end(
        &mut self,
        hook: Option<sg_on_end>,
        end: &PluginEnd<'_>,
        edits: &mut Edits,
    ) -> HookResult {
        let Some(hook) = hook else { return ABSENT };
        let (tokens_in, tokens_out) = end.tokens.unwrap_or_default();
        let told = sg_end {
            size: size_of::<sg_end>() as u32,
            flags: flag(end.tokens.is_some(), SG_TOKENS_KNOWN),
            status: end.status,
            reserved: [0; 3],
            code: sg_bytes::of(end.code.as_bytes()),
            bytes_in: end.bytes_in,
            bytes_out: end.bytes_out,
            duration_us: end.duration_us,
            tokens_in,
            tokens_out,
        };
        // SAFETY: the plugin is open, and all that it is given is valid until this returns.
        let code =
            self.call(edits, |plugin, exchange| unsafe { hook(plugin, exchange, &raw const told) });
        verdict(code, &[])
    }
}

impl Guest for LibraryGuest {
    fn on_request(&mut self, request: &PluginRequest<'_>, edits: &mut Edits) -> HookResult {
        let Some(hook) = self.library.table.on_request else { return ABSENT };
        let fields = fields_of(request.fields);
        let shown = sg_request {
            size: size_of::<sg_request>() as u32,
            flags: flag(request.self_test, SG_SELF_TEST) | flag(request.whole, SG_WHOLE_BODY),
            method: sg_bytes::of(request.method),
            target: sg_bytes::of(request.target),
            id: sg_bytes::of(request.id),
            route: sg_bytes::of(request.route),
            fields: fields.as_ptr(),
            field_count: fields.len(),
            body: sg_bytes::of(request.body),
        };
        // SAFETY: the plugin is open, and all that it is given is valid until this returns.
        let code = self
            .call(edits, |plugin, exchange| unsafe { hook(plugin, exchange, &raw const shown) });
        verdict(code, &[Verdict::Replace, Verdict::Answer, Verdict::Refuse])
    }

    fn on_response_head(&mut self, head: &PluginHead<'_>, edits: &mut Edits) -> HookResult {
        let Some(hook) = self.library.table.on_response_head else { return ABSENT };
        let fields = fields_of(head.fields);
        let shown = sg_response_head {
            size: size_of::<sg_response_head>() as u32,
            flags: flag(head.self_test, SG_SELF_TEST),
            events: match head.events {
                EventsShown::Shown => SG_EVENTS_SHOWN,
                EventsShown::None => SG_EVENTS_NONE,
                EventsShown::Coded => SG_EVENTS_CODED,
                EventsShown::Unframed => SG_EVENTS_UNFRAMED,
            },
            status: head.status,
            reserved: 0,
            upstream: sg_bytes::of(head.upstream),
            fields: fields.as_ptr(),
            field_count: fields.len(),
        };
        // SAFETY: the plugin is open, and all that it is given is valid until this returns.
        let code = self
            .call(edits, |plugin, exchange| unsafe { hook(plugin, exchange, &raw const shown) });
        verdict(code, &[Verdict::Refuse])
    }

    fn on_event(&mut self, event: &PluginEvent<'_>, edits: &mut Edits) -> HookResult {
        let Some(hook) = self.library.table.on_event else { return ABSENT };
        let shown = sg_event {
            size: size_of::<sg_event>() as u32,
            flags: 0,
            number: event.number,
            name: sg_bytes::of(event.name),
            data: sg_bytes::of(event.data),
            raw: sg_bytes::of(event.raw),
        };
        // SAFETY: the plugin is open, and all that it is given is valid until this returns.
        let code = self
            .call(edits, |plugin, exchange| unsafe { hook(plugin, exchange, &raw const shown) });
        match verdict(code, &[Verdict::Replace]) {
            Ok(Verdict::Pass) if edits.written.is_empty() => Ok(Verdict::Pass),
            Ok(verdict) if self.library.changes_events() => Ok(verdict),
            Ok(_) => Err(HookFailed(code)),
            failed => failed,
        }
    }

    fn on_cancel(&mut self, end: &PluginEnd<'_>, edits: &mut Edits) -> HookResult {
        self.end(self.library.table.on_cancel, end, edits)
    }

    fn on_end(&mut self, end: &PluginEnd<'_>, edits: &mut Edits) -> HookResult {
        self.end(self.library.table.on_end, end, edits)
    }
}
