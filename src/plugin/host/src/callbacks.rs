//! What a plugin may call: the functions of `sg_host`.
//!
//! * Each copies what it is given, so that nothing of the plugin's is kept.
//! * A call of a function with an `sg_call` that is over is a bug of the plugin's that nobody can see.

use std::ffi::c_void;
use std::ptr;
use std::slice;

use sluicegate_plugin_abi::{
    SG_LOG_DEBUG, SG_LOG_ERROR, SG_LOG_WARN, SG_VERSION, sg_bytes, sg_call, sg_host,
};

use crate::contract::Edits;

/// How bad a line is that a plugin logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// Takes the lines that a plugin logs.
pub type Log = Box<dyn Fn(LogLevel, &str) + Send + Sync>;

/// The table that a plugin is given. `log` has to live as long as the plugin is open.
pub(crate) fn table(log: &Log) -> sg_host {
    sg_host {
        version: SG_VERSION,
        size: size_of::<sg_host>() as u32,
        of: ptr::from_ref(log).cast_mut().cast(),
        log: Some(on_log),
        write: Some(on_write),
        set_field: Some(on_set_field),
        add_field: Some(on_add_field),
        remove_field: Some(on_remove_field),
        set_target: Some(on_set_target),
        set_upstream: Some(on_set_upstream),
        set_status: Some(on_set_status),
        explain: Some(on_explain),
    }
}

/// How a plugin names the edits of a call.
pub(crate) fn call_of(edits: &mut Edits) -> *mut sg_call {
    ptr::from_mut(edits).cast()
}

/// The bytes that a plugin gives.
///
/// # Safety
/// They have to be there for `'a`.
pub(crate) unsafe fn bytes_of<'a>(bytes: sg_bytes) -> &'a [u8] {
    if bytes.data.is_null() || bytes.length == 0 {
        return &[];
    }
    // SAFETY: the header says that bytes given in a call are valid until it returns.
    unsafe { slice::from_raw_parts(bytes.data, bytes.length) }
}

/// The edits of a call.
///
/// # Safety
/// The call has to be in progress, on this thread.
unsafe fn edits_of<'a>(call: *mut sg_call) -> Option<&'a mut Edits> {
    // SAFETY: what a plugin gets as `sg_call` is made by `call_of` from edits that nobody else touches
    // while the hook runs.
    unsafe { call.cast::<Edits>().as_mut() }
}

unsafe extern "C" fn on_log(of: *mut c_void, level: i32, text: sg_bytes) {
    // SAFETY: `of` is the `Log` that `table` was made from, which outlives the plugin.
    let log = unsafe { &*of.cast::<Log>() };
    // SAFETY: given in this call.
    let text = String::from_utf8_lossy(unsafe { bytes_of(text) });
    let level = match level {
        ..=SG_LOG_ERROR => LogLevel::Error,
        SG_LOG_WARN => LogLevel::Warn,
        SG_LOG_DEBUG.. => LogLevel::Debug,
        _ => LogLevel::Info,
    };
    log(level, &text);
}

unsafe extern "C" fn on_write(call: *mut sg_call, bytes: sg_bytes) {
    // SAFETY: called inside a hook, with bytes given in this call.
    let (edits, bytes) = unsafe { (edits_of(call), bytes_of(bytes)) };
    if let Some(edits) = edits {
        edits.written.extend_from_slice(bytes);
    }
}

unsafe extern "C" fn on_set_field(call: *mut sg_call, name: sg_bytes, value: sg_bytes) {
    // SAFETY: called inside a hook, with bytes given in this call.
    let (edits, name, value) = unsafe { (edits_of(call), bytes_of(name), bytes_of(value)) };
    if let Some(edits) = edits {
        edits.set.push((name.to_vec(), value.to_vec()));
    }
}

unsafe extern "C" fn on_add_field(call: *mut sg_call, name: sg_bytes, value: sg_bytes) {
    // SAFETY: called inside a hook, with bytes given in this call.
    let (edits, name, value) = unsafe { (edits_of(call), bytes_of(name), bytes_of(value)) };
    if let Some(edits) = edits {
        edits.add.push((name.to_vec(), value.to_vec()));
    }
}

unsafe extern "C" fn on_remove_field(call: *mut sg_call, name: sg_bytes) {
    // SAFETY: called inside a hook, with bytes given in this call.
    let (edits, name) = unsafe { (edits_of(call), bytes_of(name)) };
    if let Some(edits) = edits {
        edits.remove.push(name.to_vec());
    }
}

unsafe extern "C" fn on_set_target(call: *mut sg_call, target: sg_bytes) {
    // SAFETY: called inside a hook, with bytes given in this call.
    let (edits, target) = unsafe { (edits_of(call), bytes_of(target)) };
    if let Some(edits) = edits {
        edits.target = Some(target.to_vec());
    }
}

unsafe extern "C" fn on_set_upstream(call: *mut sg_call, name: sg_bytes) {
    // SAFETY: called inside a hook, with bytes given in this call.
    let (edits, name) = unsafe { (edits_of(call), bytes_of(name)) };
    if let Some(edits) = edits {
        edits.upstream = Some(name.to_vec());
    }
}

unsafe extern "C" fn on_set_status(call: *mut sg_call, status: u16) {
    // SAFETY: called inside a hook.
    if let Some(edits) = unsafe { edits_of(call) } {
        edits.status = Some(status);
    }
}

unsafe extern "C" fn on_explain(call: *mut sg_call, text: sg_bytes) {
    // SAFETY: called inside a hook, with bytes given in this call.
    let (edits, text) = unsafe { (edits_of(call), bytes_of(text)) };
    if let Some(edits) = edits {
        edits.message = Some(text.to_vec());
    }
}
