//! Answers made in this process: error replies, heads of responders, chunks.
//!
//! * Every reply is a complete, self-delimited message, or a head whose framing is stated.
//! * Text from outside goes into an error body only through the JSON escape.

use std::borrow::Cow;

use super::body::Framing;
use super::date::DateLine;
use super::explained;
use super::head::Version;
use super::json::{escape, escaped_length};
use super::lines::{
    ConnectionField, attempts_field, connection_field, decimal, field, framing_field, status_line,
};

#[cfg(test)]
mod tests;

/// The shapes in which the SDKs of inference APIs read an error. Each has the code, so that programs need
/// not know which one they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error":{"message","type","code","hint"}}`
    #[default]
    OpenAi,
    /// `{"type":"error","error":{"type","message","code","hint"}}`
    Anthropic,
    /// `{"error":"message","code","hint"}`: Ollama's, KServe's, Triton's.
    Sentence,
    /// `{"error":"message","error_type","hint"}`, whose `error_type` is the code.
    Tgi,
    /// `{"error":{"code":503,"message","status":"UNAVAILABLE","details":[{"reason"}]}}`, of which the
    /// reason is the code.
    Gemini,
    /// `{"error":{"code":503,"message","type","reason"}}`, of which the reason is the code.
    LlamaCpp,
}

/// The name that Google's APIs give an error with this status.
pub fn google_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        400..=498 => "INVALID_ARGUMENT",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}

/// An error, in the shape that the client's SDK parses.
#[derive(Clone, Copy, Debug)]
pub struct ErrorReply<'a> {
    pub form: ErrorForm,
    pub status: u16,
    /// `type` in the body: `invalid_request_error`, `upstream_error`, `timeout`, …
    pub kind: &'a str,
    pub code: &'a str,
    pub message: &'a str,
    /// The `Allow` field of a 405.
    pub allow: Option<&'a str>,
    /// Seconds.
    pub retry_after: Option<u32>,
    /// What must be presented, in the `WWW-Authenticate` field: of a 401, mostly.
    pub challenge: Option<&'a str>,
    pub date: &'a DateLine,
    /// The connection ends behind this reply.
    pub close: bool,
    pub request_id: Option<&'a [u8]>,
    /// The upstream that was asked last, if one was.
    pub upstream: Option<&'a str>,
    /// How often one was asked; `None`: the request was for none.
    pub attempts: Option<u8>,
    /// The request was a HEAD: the body is only announced.
    pub head_request: bool,
    /// The version of the client.
    pub client: Version,
}

/// Appends a complete error response to `out`.
pub fn error(reply: &ErrorReply<'_>, out: &mut Vec<u8>) {
    let status = reply.status.to_string();
    let body = reply.body(&status);
    let written = |(index, text): (usize, &&str)| match index % 2 {
        0 => text.len(),
        _ => escaped_length(text),
    };
    let length: usize = body.iter().enumerate().map(written).sum();
    let reply_head = ReplyHead {
        status: reply.status,
        content_type: "application/json",
        fields: &[],
        framing: Framing::Length(length as u64),
        date: reply.date,
        connection: match reply.close {
            true => ConnectionField::Close,
            false => ConnectionField::KeepAlive,
        },
        client: reply.client,
        request_id: reply.request_id,
    };
    head_without_end(&reply_head, out);
    if let Some(methods) = reply.allow {
        field(out, b"Allow: ", methods.as_bytes());
    }
    if let Some(challenge) = reply.challenge {
        field(out, b"WWW-Authenticate: ", challenge.as_bytes());
    }
    if let Some(seconds) = reply.retry_after {
        out.extend_from_slice(b"Retry-After: ");
        decimal(u64::from(seconds), out);
        out.extend_from_slice(b"\r\n");
    }
    if let Some(upstream) = reply.upstream {
        field(out, b"X-Sluice-Upstream: ", upstream.as_bytes());
    }
    if let Some(attempts) = reply.attempts {
        attempts_field(attempts, out);
    }
    out.extend_from_slice(b"\r\n");
    if !reply.head_request {
        for (index, text) in body.iter().enumerate() {
            match index % 2 {
                0 => out.extend_from_slice(text.as_bytes()),
                _ => escape(text, out),
            }
        }
    }
}

impl<'a> ErrorReply<'a> {
    /// The body: every second part is a text to be escaped. A code that is not explained has no hint.
    fn body<'b>(&'b self, status: &'b str) -> [&'b str; 11] {
        let (message, kind, code) = (self.message, self.kind, self.code);
        let [named, hint] = explained::member(code);
        let sentence =
            |then| [r#"{"error":""#, message, then, code, named, hint, r#""}"#, "", "", "", ""];
        match self.form {
            ErrorForm::OpenAi => {
                let (first, second, third) =
                    (r#"{"error":{"message":""#, r#"","type":""#, r#"","code":""#);
                [first, message, second, kind, third, code, named, hint, r#""}}"#, "", ""]
            }
            ErrorForm::Anthropic => {
                let (first, second, third) =
                    (r#"{"type":"error","error":{"type":""#, r#"","message":""#, r#"","code":""#);
                [first, kind, second, message, third, code, named, hint, r#""}}"#, "", ""]
            }
            ErrorForm::Sentence => sentence(r#"","code":""#),
            ErrorForm::Tgi => sentence(r#"","error_type":""#),
            ErrorForm::Gemini => self.google_body(status),
            ErrorForm::LlamaCpp => [
                r#"{"error":{"code":"#,
                status,
                r#","message":""#,
                message,
                r#"","type":""#,
                kind,
                r#"","reason":""#,
                code,
                named,
                hint,
                r#""}}"#,
            ],
        }
    }

    fn google_body<'b>(&'b self, status: &'b str) -> [&'b str; 11] {
        let hint = explained::hint(self.code);
        let [named, end] = match hint {
            "" => [r#"","domain":"sluicegate"}]}}"#, ""],
            _ => [r#"","domain":"sluicegate","metadata":{"hint":""#, r#""}}]}}"#],
        };
        [
            r#"{"error":{"code":"#,
            status,
            r#","message":""#,
            self.message,
            r#"","status":""#,
            google_status(self.status),
            r#"","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":""#,
            self.code,
            named,
            hint,
            end,
        ]
    }
}

/// The head of an answer whose body follows.
#[derive(Clone, Copy, Debug)]
pub struct ReplyHead<'a> {
    pub status: u16,
    /// Empty: no `Content-Type`.
    pub content_type: &'a str,
    /// Written as they are.
    pub fields: &'a [(Cow<'static, str>, String)],
    pub framing: Framing,
    pub date: &'a DateLine,
    pub connection: ConnectionField,
    /// The version of the client.
    pub client: Version,
    pub request_id: Option<&'a [u8]>,
}

/// Appends the head of an answer to `out`.
pub fn head(reply: &ReplyHead<'_>, out: &mut Vec<u8>) {
    head_without_end(reply, out);
    out.extend_from_slice(b"\r\n");
}

fn head_without_end(reply: &ReplyHead<'_>, out: &mut Vec<u8>) {
    status_line(reply.status, reason(reply.status), out);
    // An operator may have written one into a predefined answer.
    if !reply.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
        out.extend_from_slice(reply.date);
    }
    if !reply.content_type.is_empty() {
        field(out, b"Content-Type: ", reply.content_type.as_bytes());
    }
    framing_field(reply.framing, false, out);
    for (name, value) in reply.fields {
        out.extend_from_slice(name.as_bytes());
        field(out, b": ", value.as_bytes());
    }
    if let Some(request_id) = reply.request_id {
        field(out, b"X-Request-Id: ", request_id);
    }
    connection_field(reply.connection, reply.client, out);
}

/// What ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The longest [`chunk_line`]: sixteen digits and CR LF.
pub const CHUNK_LINE_MAX: usize = 18;

/// The line in front of a chunk of `length` bytes, written into `line`.
pub fn chunk_line(length: usize, line: &mut [u8; CHUNK_LINE_MAX]) -> &[u8] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = length;
    let mut start = CHUNK_LINE_MAX - 2;
    line[start..].copy_from_slice(b"\r\n");
    loop {
        start -= 1;
        line[start] = HEX[rest & 15];
        rest >>= 4;
        if rest == 0 {
            return &line[start..];
        }
    }
}

/// Appends `data` as one chunk. Nothing for no data: an empty chunk would end the body.
pub fn chunk(data: &[u8], out: &mut Vec<u8>) {
    if !data.is_empty() {
        out.extend_from_slice(chunk_line(data.len(), &mut [0; CHUNK_LINE_MAX]));
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

/// The reason phrase of a status; empty for one without a name.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
