//! The border: functions that C calls, around those of a [`Plugin`].
//!
//! Nothing but a code crosses it: a panic is caught, and becomes [`PANICKED`].

use std::any::Any;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sluicegate_plugin_abi::{
    SG_ANSWER, SG_CHANGES_EVENTS, SG_OK, SG_REFUSE, SG_REPLACE, SG_VERSION, header_hash, sg_bytes,
    sg_call, sg_end, sg_event, sg_exchange, sg_host, sg_plugin, sg_probe, sg_request,
    sg_response_head,
};

use crate::view::{Call, End, Error, Event, Host, Probe, Request, ResponseHead, Verdict, bytes};
use crate::{Hook, Plugin};

/// The error code of a hook that has panicked.
const PANICKED: i32 = -0x5047;

/// What the gateway knows as the plugin.
struct Opened<P> {
    plugin: P,
    host: Host,
}

/// The plugin's table.
#[doc(hidden)]
pub const fn table<P: Plugin>() -> sg_plugin {
    // Whatever an exchange keeps goes at its end.
    let ends = has::<P>(Hook::Request)
        || has::<P>(Hook::ResponseHead)
        || has::<P>(Hook::Event)
        || has::<P>(Hook::End)
        || has::<P>(Hook::Cancel);
    sg_plugin {
        version: SG_VERSION,
        size: size_of::<sg_plugin>() as u32,
        header_hash: header_hash(),
        flags: if P::CHANGES_EVENTS { SG_CHANGES_EVENTS } else { 0 },
        reserved: 0,
        body_max: P::BODY_MAX,
        name: sg_bytes::of(P::NAME.as_bytes()),
        plugin_version: sg_bytes::of(P::VERSION.as_bytes()),
        open: Some(open::<P>),
        close: Some(close::<P>),
        on_request: if has::<P>(Hook::Request) { Some(on_request::<P>) } else { None },
        on_response_head: match has::<P>(Hook::ResponseHead) {
            true => Some(on_response_head::<P>),
            false => None,
        },
        on_event: if has::<P>(Hook::Event) { Some(on_event::<P>) } else { None },
        on_end: if ends { Some(on_end::<P>) } else { None },
        on_cancel: if has::<P>(Hook::Cancel) { Some(on_cancel::<P>) } else { None },
        health_probe: if has::<P>(Hook::HealthProbe) { Some(health_probe::<P>) } else { None },
    }
}

const fn has<P: Plugin>(hook: Hook) -> bool {
    let mut at = 0;
    while at < P::HOOKS.len() {
        if P::HOOKS[at] as u8 == hook as u8 {
            return true;
        }
        at += 1;
    }
    false
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "with no message".to_owned()))
}

fn code(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Pass => SG_OK,
        Verdict::Replace => SG_REPLACE,
        Verdict::Answer => SG_ANSWER,
        Verdict::Refuse => SG_REFUSE,
    }
}

/// Runs a hook. What goes wrong is explained through its call.
fn guarded(call: &mut Call<'_>, hook: impl FnOnce(&mut Call<'_>) -> Result<i32, Error>) -> i32 {
    let ran = catch_unwind(AssertUnwindSafe(|| hook(call)));
    match ran {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            call.explain(&error.message);
            error.code
        }
        Err(panic) => {
            call.explain(&said(&*panic));
            // A payload may panic again while it is dropped.
            std::mem::forget(panic);
            PANICKED
        }
    }
}

/// # Safety
/// `plugin` has to be what `open` has given, and not closed.
unsafe fn opened<'a, P>(plugin: *mut c_void) -> &'a Opened<P> {
    // SAFETY: as the caller promises.
    unsafe { &*plugin.cast::<Opened<P>>() }
}

fn call_of<'a, P>(opened: &Opened<P>, call: *mut sg_call) -> Call<'a> {
    Call { host: opened.host, call, life: PhantomData }
}

/// What the plugin keeps of an exchange, made when it is first asked for.
///
/// # Safety
/// `exchange` has to be that of a hook in progress, of a plugin whose exchanges keep an `E`.
unsafe fn kept<'a, E: Default>(exchange: *mut sg_exchange) -> &'a mut E {
    // SAFETY: the exchange is valid for the call, and its state is NULL or what was put here before.
    unsafe {
        if (*exchange).state.is_null() {
            (*exchange).state = Box::into_raw(Box::<E>::default()).cast();
        }
        &mut *(*exchange).state.cast::<E>()
    }
}

unsafe extern "C" fn open<P: Plugin>(
    host: *const sg_host,
    config: sg_bytes,
    plugin: *mut *mut c_void,
) -> i32 {
    let host = Host(host);
    // SAFETY: given in this call.
    let config = String::from_utf8_lossy(unsafe { bytes(config) });
    match catch_unwind(AssertUnwindSafe(|| P::open(host, &config))) {
        Ok(Ok(opened)) => {
            let opened = Box::new(Opened { plugin: opened, host });
            // SAFETY: the host gives a place for it.
            unsafe { *plugin = Box::into_raw(opened).cast() };
            SG_OK
        }
        Ok(Err(error)) => {
            host.error(&format!("cannot open: {error}"));
            error.code
        }
        Err(panic) => {
            host.error(&format!("open {}", said(&*panic)));
            std::mem::forget(panic);
            PANICKED
        }
    }
}

unsafe extern "C" fn close<P: Plugin>(plugin: *mut c_void) {
    // SAFETY: `open` has made it, and the host calls this once, when no hook runs and none will.
    let opened = unsafe { Box::from_raw(plugin.cast::<Opened<P>>()) };
    let host = opened.host;
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(opened))) {
        host.error(&format!("close {}", said(&*panic)));
        std::mem::forget(panic);
    }
}

unsafe extern "C" fn on_request<P: Plugin>(
    plugin: *mut c_void,
    exchange: *mut sg_exchange,
    request: *const sg_request,
) -> i32 {
    // SAFETY: the host calls with what `open` has given, and with what is valid until this returns.
    let (opened, call, shown) = unsafe { (opened::<P>(plugin), (*exchange).call, &*request) };
    guarded(&mut call_of(opened, call), |call| {
        // SAFETY: as above; its state is this plugin's.
        let kept = unsafe { kept::<P::Exchange>(exchange) };
        opened.plugin.on_request(kept, &Request(shown), call).map(code)
    })
}

unsafe extern "C" fn on_response_head<P: Plugin>(
    plugin: *mut c_void,
    exchange: *mut sg_exchange,
    head: *const sg_response_head,
) -> i32 {
    // SAFETY: the host calls with what `open` has given, and with what is valid until this returns.
    let (opened, call, shown) = unsafe { (opened::<P>(plugin), (*exchange).call, &*head) };
    guarded(&mut call_of(opened, call), |call| {
        // SAFETY: as above; its state is this plugin's.
        let kept = unsafe { kept::<P::Exchange>(exchange) };
        opened.plugin.on_response_head(kept, &ResponseHead(shown), call).map(code)
    })
}

unsafe extern "C" fn on_event<P: Plugin>(
    plugin: *mut c_void,
    exchange: *mut sg_exchange,
    event: *const sg_event,
) -> i32 {
    // SAFETY: the host calls with what `open` has given, and with what is valid until this returns.
    let (opened, call, shown) = unsafe { (opened::<P>(plugin), (*exchange).call, &*event) };
    guarded(&mut call_of(opened, call), |call| {
        // SAFETY: as above; its state is this plugin's.
        let kept = unsafe { kept::<P::Exchange>(exchange) };
        opened.plugin.on_event(kept, &Event(shown), call).map(code)
    })
}

unsafe extern "C" fn on_cancel<P: Plugin>(
    plugin: *mut c_void,
    exchange: *mut sg_exchange,
    end: *const sg_end,
) -> i32 {
    // SAFETY: the host calls with what `open` has given, and with what is valid until this returns.
    let (opened, call, shown) = unsafe { (opened::<P>(plugin), (*exchange).call, &*end) };
    guarded(&mut call_of(opened, call), |call| {
        // SAFETY: as above; its state is this plugin's.
        let kept = unsafe { kept::<P::Exchange>(exchange) };
        opened.plugin.on_cancel(kept, &End(shown), call).map(|()| SG_OK)
    })
}

unsafe extern "C" fn on_end<P: Plugin>(
    plugin: *mut c_void,
    exchange: *mut sg_exchange,
    end: *const sg_end,
) -> i32 {
    // SAFETY: the host calls with what `open` has given, and with what is valid until this returns.
    let (opened, call, shown) = unsafe { (opened::<P>(plugin), (*exchange).call, &*end) };
    guarded(&mut call_of(opened, call), |call| {
        // SAFETY: as above.
        let state = unsafe { std::mem::replace(&mut (*exchange).state, std::ptr::null_mut()) };
        let kept = match state.is_null() {
            true => P::Exchange::default(),
            // SAFETY: `kept` has made it, and this is the last call of its exchange.
            false => *unsafe { Box::from_raw(state.cast::<P::Exchange>()) },
        };
        opened.plugin.on_end(kept, &End(shown), call).map(|()| SG_OK)
    })
}

unsafe extern "C" fn health_probe<P: Plugin>(
    plugin: *mut c_void,
    call: *mut sg_call,
    probe: *const sg_probe,
) -> i32 {
    // SAFETY: the host calls with what `open` has given, and with what is valid until this returns.
    let (opened, shown) = unsafe { (opened::<P>(plugin), &*probe) };
    guarded(&mut call_of(opened, call), |call| {
        opened.plugin.health_probe(&Probe(shown), call).map(code)
    })
}
