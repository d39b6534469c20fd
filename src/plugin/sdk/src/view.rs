//! What a plugin sees, and what it can call: the header's structs, safe to use.

use std::fmt;
use std::marker::PhantomData;
use std::slice;

use sluicegate_plugin_abi::{
    SG_EVENTS_CODED, SG_EVENTS_NONE, SG_EVENTS_SHOWN, SG_LOG_DEBUG, SG_LOG_ERROR, SG_LOG_INFO,
    SG_LOG_WARN, SG_SELF_TEST, SG_TOKENS_KNOWN, SG_WHOLE_BODY, sg_bytes, sg_call, sg_end, sg_event,
    sg_field, sg_host, sg_probe, sg_request, sg_response_head,
};

/// What is to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, with the changes that were asked for in the call. An event passes, and what was written
    /// follows it.
    Pass,
    /// What was written takes the place of the body, or of the event; nothing written: it is dropped.
    Replace,
    /// What was written is the answer.
    Answer,
    /// The client gets an error; a server is not well.
    Refuse,
}

/// A hook has failed. The exchange ends with a 502, or the plugin is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl Error {
    /// With a reason for the log.
    pub fn new(message: impl Into<String>) -> Error {
        Error { code: -1, message: message.into() }
    }

    /// With a code of the plugin's own, which is less than 0.
    pub fn with_code(self, code: i32) -> Error {
        Error { code: code.min(-1), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The gateway, as long as the plugin is open.
#[derive(Clone, Copy, Debug)]
pub struct Host(pub(crate) *const sg_host);

// SAFETY: the header says that the table is constant, and that `log` can be called on any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    pub fn error(&self, text: &str) {
        self.log(SG_LOG_ERROR, text);
    }

    pub fn warn(&self, text: &str) {
        self.log(SG_LOG_WARN, text);
    }

    pub fn info(&self, text: &str) {
        self.log(SG_LOG_INFO, text);
    }

    pub fn debug(&self, text: &str) {
        self.log(SG_LOG_DEBUG, text);
    }

    fn log(&self, level: i32, text: &str) {
        // SAFETY: the table is valid as long as the plugin is open, and only an open plugin has a `Host`.
        unsafe {
            if let Some(log) = (*self.0).log {
                log((*self.0).of, level, sg_bytes::of(text.as_bytes()));
            }
        }
    }
}

/// A call in progress: what a hook asks for.
#[derive(Debug)]
pub struct Call<'a> {
    pub(crate) host: Host,
    pub(crate) call: *mut sg_call,
    pub(crate) life: PhantomData<&'a mut ()>,
}

/// Calls one of the host's functions with this call.
macro_rules! ask {
    ($self:ident, $function:ident $(, $argument:expr)*) => {
        // SAFETY: a `Call` lives no longer than the hook that it was made for, on whose thread it stays: it is
        // neither `Send` nor `Sync`. What is given is borrowed for the call.
        unsafe {
            if let Some(function) = (*$self.host.0).$function {
                function($self.call $(, $argument)*);
            }
        }
    };
}

impl Call<'_> {
    /// Appends to what is written.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        ask!(self, write, sg_bytes::of(bytes.as_ref()));
    }

    /// Gives a field this value alone.
    pub fn set_field(&mut self, name: &str, value: &str) {
        ask!(self, set_field, sg_bytes::of(name.as_bytes()), sg_bytes::of(value.as_bytes()));
    }

    /// Adds a field behind what there is of it.
    pub fn add_field(&mut self, name: &str, value: &str) {
        ask!(self, add_field, sg_bytes::of(name.as_bytes()), sg_bytes::of(value.as_bytes()));
    }

    pub fn remove_field(&mut self, name: &str) {
        ask!(self, remove_field, sg_bytes::of(name.as_bytes()));
    }

    /// The path and query that the server is asked for.
    pub fn set_target(&mut self, target: &str) {
        ask!(self, set_target, sg_bytes::of(target.as_bytes()));
    }

    /// The upstream of the route that is asked first.
    pub fn set_upstream(&mut self, name: &str) {
        ask!(self, set_upstream, sg_bytes::of(name.as_bytes()));
    }

    /// The status of [`Verdict::Answer`] and [`Verdict::Refuse`].
    pub fn set_status(&mut self, status: u16) {
        ask!(self, set_status, status);
    }

    /// What the client is told by [`Verdict::Refuse`].
    pub fn explain(&mut self, text: &str) {
        ask!(self, explain, sg_bytes::of(text.as_bytes()));
    }
}

/// # Safety
/// The bytes have to be there for `'a`.
pub(crate) unsafe fn bytes<'a>(bytes: sg_bytes) -> &'a [u8] {
    if bytes.data.is_null() || bytes.length == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { slice::from_raw_parts(bytes.data, bytes.length) }
}

/// # Safety
/// The fields have to be there for `'a`.
unsafe fn fields<'a>(
    fields: *const sg_field,
    count: usize,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
    let fields: &'a [sg_field] = match fields.is_null() {
        true => &[],
        // SAFETY: as the caller promises.
        false => unsafe { slice::from_raw_parts(fields, count) },
    };
    fields.iter().map(|field| {
        // SAFETY: as the caller promises.
        unsafe { (bytes(field.name), bytes(field.value)) }
    })
}

/// A view of one of the header's structs, for the time of a call.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident, $of:ident { $($(#[$field_doc:meta])* $field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<'a>(pub(crate) &'a $of);

        impl<'a> $name<'a> {
            $($(#[$field_doc])*
            pub fn $field(&self) -> &'a [u8] {
                // SAFETY: what a hook is shown is valid until it returns, and the view lives no longer.
                unsafe { bytes(self.0.$field) }
            })*
        }
    };
}

view!(
    /// A request.
    Request, sg_request {
        method,
        /// Path and query.
        target,
        /// `X-Request-Id`
        id,
        /// The path pattern of its route.
        route,
        /// Up to [`crate::Plugin::BODY_MAX`] bytes of the body.
        body,
    }
);
view!(
    /// The head of an answer.
    ResponseHead, sg_response_head {
        /// The name of the upstream that answers.
        upstream,
    }
);
view!(
    /// An event of a stream.
    Event, sg_event {
        /// `event:`; empty where there is none.
        name,
        /// `data:`, its lines joined by a line feed.
        data,
        /// As it stands in the stream, its end included.
        raw,
    }
);
view!(
    /// The end of an exchange.
    End, sg_end {
        /// Why it failed, as in the access log; empty: it did not.
        code,
    }
);
view!(
    /// What a server has answered to a check.
    Probe, sg_probe {
        upstream,
        body,
    }
);

impl<'a> Request<'a> {
    /// Whether this is the conversation that the gateway plays before it activates the plugin.
    pub fn is_self_test(&self) -> bool {
        self.0.flags & SG_SELF_TEST != 0
    }

    /// Whether [`Request::body`] is all of it.
    pub fn has_whole_body(&self) -> bool {
        self.0.flags & SG_WHOLE_BODY != 0
    }

    /// Names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        // SAFETY: what a hook is shown is valid until it returns, and the view lives no longer.
        unsafe { fields(self.0.fields, self.0.field_count) }
    }

    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields().find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|it| it.1)
    }
}

/// Whether events of an answer are shown, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsShown {
    Shown,
    /// It is no stream.
    None,
    /// It is compressed.
    Coded,
    /// It is a stream, and where its events end is not known.
    Unframed,
}

impl<'a> ResponseHead<'a> {
    pub fn status(&self) -> u16 {
        self.0.status
    }

    pub fn events(&self) -> EventsShown {
        match self.0.events {
            SG_EVENTS_SHOWN => EventsShown::Shown,
            SG_EVENTS_NONE => EventsShown::None,
            SG_EVENTS_CODED => EventsShown::Coded,
            _ => EventsShown::Unframed,
        }
    }

    /// Names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        // SAFETY: what a hook is shown is valid until it returns, and the view lives no longer.
        unsafe { fields(self.0.fields, self.0.field_count) }
    }
}

impl Event<'_> {
    /// From 0.
    pub fn number(&self) -> u64 {
        self.0.number
    }
}

impl End<'_> {
    /// What the client was answered; 499: it left before.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Bytes of the request's and of the answer's body.
    pub fn bytes(&self) -> (u64, u64) {
        (self.0.bytes_in, self.0.bytes_out)
    }

    pub fn duration_us(&self) -> u64 {
        self.0.duration_us
    }

    /// Prompt and completion tokens, where the server has told them.
    pub fn tokens(&self) -> Option<(u64, u64)> {
        (self.0.flags & SG_TOKENS_KNOWN != 0).then_some((self.0.tokens_in, self.0.tokens_out))
    }
}

impl Probe<'_> {
    pub fn status(&self) -> u16 {
        self.0.status
    }
}
