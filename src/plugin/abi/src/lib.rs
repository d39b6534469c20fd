//! `sluicegate_plugin.h` in Rust, name for name: sizes, offsets and values are those of C.
//!
//! `tests/header.rs` compiles the header and compares. What each thing means stands in the header.
//!
//! Absent on purpose: code.

#![no_std]
#![forbid(unsafe_code)]
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_void};

/// `SG_VERSION`
pub const SG_VERSION: u32 = 1;
/// `SG_HEADER_HASH`
pub const SG_HEADER_HASH: &str = "edffd7b8e0b554519d30eaa84001eda1d4fb6fba137f2492f19c7ca2d12104af";

pub const SG_OK: i32 = 0;
pub const SG_REPLACE: i32 = 1;
pub const SG_ANSWER: i32 = 2;
pub const SG_REFUSE: i32 = 3;

pub const SG_LOG_ERROR: i32 = 1;
pub const SG_LOG_WARN: i32 = 2;
pub const SG_LOG_INFO: i32 = 3;
pub const SG_LOG_DEBUG: i32 = 4;

pub const SG_SELF_TEST: u32 = 1;
pub const SG_WHOLE_BODY: u32 = 2;
pub const SG_TOKENS_KNOWN: u32 = 4;

pub const SG_EVENTS_SHOWN: u32 = 0;
pub const SG_EVENTS_NONE: u32 = 1;
pub const SG_EVENTS_CODED: u32 = 2;
pub const SG_EVENTS_UNFRAMED: u32 = 3;

pub const SG_CHANGES_EVENTS: u32 = 1;

/// The name of the one symbol.
pub const SG_SYMBOL: &str = "sluicegate_plugin";

/// The type of the one symbol.
pub type sg_entry = unsafe extern "C" fn() -> *const sg_plugin;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sg_bytes {
    pub data: *const u8,
    pub length: usize,
}

impl sg_bytes {
    pub const fn of(bytes: &[u8]) -> sg_bytes {
        sg_bytes { data: bytes.as_ptr(), length: bytes.len() }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sg_field {
    pub name: sg_bytes,
    pub value: sg_bytes,
}

/// Known to the host alone.
#[repr(C)]
#[derive(Debug)]
pub struct sg_call {
    _private: [u8; 0],
}

#[repr(C)]
#[derive(Debug)]
pub struct sg_host {
    pub version: u32,
    pub size: u32,
    pub of: *mut c_void,
    pub log: Option<unsafe extern "C" fn(of: *mut c_void, level: i32, text: sg_bytes)>,
    pub write: Option<unsafe extern "C" fn(call: *mut sg_call, bytes: sg_bytes)>,
    pub set_field:
        Option<unsafe extern "C" fn(call: *mut sg_call, name: sg_bytes, value: sg_bytes)>,
    pub add_field:
        Option<unsafe extern "C" fn(call: *mut sg_call, name: sg_bytes, value: sg_bytes)>,
    pub remove_field: Option<unsafe extern "C" fn(call: *mut sg_call, name: sg_bytes)>,
    pub set_target: Option<unsafe extern "C" fn(call: *mut sg_call, target: sg_bytes)>,
    pub set_upstream: Option<unsafe extern "C" fn(call: *mut sg_call, name: sg_bytes)>,
    pub set_status: Option<unsafe extern "C" fn(call: *mut sg_call, status: u16)>,
    pub explain: Option<unsafe extern "C" fn(call: *mut sg_call, text: sg_bytes)>,
}

#[repr(C)]
#[derive(Debug)]
pub struct sg_exchange {
    pub state: *mut c_void,
    pub number: u64,
    pub call: *mut sg_call,
}

#[repr(C)]
#[derive(Debug)]
pub struct sg_request {
    pub size: u32,
    pub flags: u32,
    pub method: sg_bytes,
    pub target: sg_bytes,
    pub id: sg_bytes,
    pub route: sg_bytes,
    pub fields: *const sg_field,
    pub field_count: usize,
    pub body: sg_bytes,
}

#[repr(C)]
#[derive(Debug)]
pub struct sg_response_head {
    pub size: u32,
    pub flags: u32,
    pub events: u32,
    pub status: u16,
    pub reserved: u16,
    pub upstream: sg_bytes,
    pub fields: *const sg_field,
    pub field_count: usize,
}

#[repr(C)]
#[derive(Debug)]
pub struct sg_event {
    pub size: u32,
    pub flags: u32,
    pub number: u64,
    pub name: sg_bytes,
    pub data: sg_bytes,
    pub raw: sg_bytes,
}

#[repr(C)]
#[derive(Debug)]
pub struct sg_end {
    pub size: u32,
    pub flags: u32,
    pub status: u16,
    pub reserved: [u16; 3],
    pub code: sg_bytes,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub duration_us: u64,
    pub tokens_in: u64,
    pub tokens_out: u64,
}

#[repr(C)]
#[derive(Debug)]
pub struct sg_probe {
    pub size: u32,
    pub flags: u32,
    pub status: u16,
    pub reserved: [u16; 3],
    pub upstream: sg_bytes,
    pub body: sg_bytes,
}

pub type sg_open =
    unsafe extern "C" fn(host: *const sg_host, config: sg_bytes, plugin: *mut *mut c_void) -> i32;
pub type sg_close = unsafe extern "C" fn(plugin: *mut c_void);
pub type sg_on_request = unsafe extern "C" fn(
    plugin: *mut c_void,
    exchange: *mut sg_exchange,
    request: *const sg_request,
) -> i32;
pub type sg_on_response_head = unsafe extern "C" fn(
    plugin: *mut c_void,
    exchange: *mut sg_exchange,
    head: *const sg_response_head,
) -> i32;
pub type sg_on_event = unsafe extern "C" fn(
    plugin: *mut c_void,
    exchange: *mut sg_exchange,
    event: *const sg_event,
) -> i32;
pub type sg_on_end = unsafe extern "C" fn(
    plugin: *mut c_void,
    exchange: *mut sg_exchange,
    end: *const sg_end,
) -> i32;
pub type sg_health_probe =
    unsafe extern "C" fn(plugin: *mut c_void, call: *mut sg_call, probe: *const sg_probe) -> i32;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sg_plugin {
    pub version: u32,
    pub size: u32,
    pub header_hash: [c_char; 72],
    pub flags: u32,
    pub reserved: u32,
    pub body_max: u64,
    pub name: sg_bytes,
    pub plugin_version: sg_bytes,
    pub open: Option<sg_open>,
    pub close: Option<sg_close>,
    pub on_request: Option<sg_on_request>,
    pub on_response_head: Option<sg_on_response_head>,
    pub on_event: Option<sg_on_event>,
    pub on_end: Option<sg_on_end>,
    pub on_cancel: Option<sg_on_end>,
    pub health_probe: Option<sg_health_probe>,
}

/// [`SG_HEADER_HASH`] as it stands in the table.
pub const fn header_hash() -> [c_char; 72] {
    let (text, mut hash, mut at) = (SG_HEADER_HASH.as_bytes(), [0; 72], 0);
    while at < text.len() {
        hash[at] = text[at] as c_char;
        at += 1;
    }
    hash
}
