//! Response heads, from upstreams that may be broken or hostile.
//!
//! An upstream we misread would have its next answer given to the wrong client, so its framing is
//! held to the same rules as a client's.

use httparse::{Error, Header, ParserConfig, Status};

use super::diagnose::{Kind, diagnose};
use super::fields::{ConnectionOptions, FieldSet, LengthFields, list, value_of};
use super::{FieldSlots, HeadError, HeadLimits, Version};
use super::{require_crlf, slots_within, window};
use crate::http::body::Framing;
use crate::http::names::Known;

/// What must be known of the request to read its response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseContext {
    /// The method was HEAD: no body follows, whatever the fields say.
    pub head_request: bool,
    /// An upgrade was offered: 101 is a possible answer.
    pub upgrade_asked: bool,
}

/// What the content is, as far as it makes a difference here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Media {
    /// `text/event-stream`
    EventStream,
    /// `application/x-ndjson`: a JSON text a line.
    JsonLines,
    /// `application/json`, or another type that is one.
    Json,
    /// `text/html`: a page for people, whatever was asked for.
    Html,
    #[default]
    Other,
}

/// A response head that may be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'b> {
    pub version: Version,
    /// 100 to 599.
    pub status: u16,
    /// Empty if there was none, or none in ASCII.
    pub reason: &'b str,
    pub framing: Framing,
    /// The upstream would take another request on this connection.
    pub keep_alive: bool,
    /// `Keep-Alive: timeout=N`, in seconds.
    pub keep_alive_timeout: Option<u32>,
    pub media: Media,
    /// The content is compressed, or encoded in another way: its bytes are not those of `media`.
    pub encoded: bool,
    /// The upstream sent a request id of its own.
    pub has_request_id: bool,
    pub has_date: bool,
    pub fields: &'b [Header<'b>],
    /// The fields that may not pass as they came, whatever `Connection` lists.
    pub doubtful: FieldSet,
    /// The fields `Connection` lists: they end here.
    pub connection_listed: FieldSet,
    /// Bytes of the head, its empty line included.
    pub length: usize,
    /// Those bytes.
    pub raw: &'b [u8],
}

impl ResponseHead<'_> {
    /// The value of the first field of this name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        value_of(self.fields, name)
    }

    /// The values of all fields of this name.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value)
    }

    /// Whether the content is a `text/event-stream`.
    pub fn is_event_stream(&self) -> bool {
        self.media == Media::EventStream
    }
}

/// Parses the response head at the start of `input`. `None`: there is no whole head yet.
pub fn parse_response<'b>(
    input: &'b [u8],
    slots: &'b mut FieldSlots<'b>,
    limits: &HeadLimits,
    context: &ResponseContext,
) -> Result<Option<ResponseHead<'b>>, HeadError> {
    // httparse would skip empty lines. Here they are left-overs of the response before.
    if !matches!(input.first(), None | Some(b'H')) {
        return Err(HeadError::InvalidStatusLine);
    }
    let window = window(input, limits);
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        window,
        slots_within(slots, limits),
    );
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if input.len() < limits.bytes => return Ok(None),
        Ok(Status::Partial) => return Err(HeadError::HeadTooLarge),
        Err(Error::TooManyHeaders) => return Err(HeadError::TooManyFields),
        Err(_) => return Err(diagnose(Kind::Response, window)),
    };
    let (Some(version), Some(status)) = (response.version, response.code) else {
        return Err(HeadError::InvalidStatusLine);
    };
    let version = match version {
        0 => Version::Http10,
        _ => Version::Http11,
    };
    let raw = &input[..length];
    require_crlf(raw, response.headers)?;
    let reason = response.reason.unwrap_or_default();
    Reading::of(response.headers)?
        .finish(version, status, reason, response.headers, raw, context)
        .map(Some)
}

/// What one pass over the fields has found.
#[derive(Default)]
struct Reading<'b> {
    doubtful: FieldSet,
    connection: ConnectionOptions,
    lengths: LengthFields<'b>,
    keep_alive_timeout: Option<u32>,
    media: Media,
    encoded: bool,
    has_request_id: bool,
    has_date: bool,
}

impl<'b> Reading<'b> {
    fn of(fields: &'b [Header<'b>]) -> Result<Reading<'b>, HeadError> {
        let mut reading = Reading::default();
        for (index, field) in fields.iter().enumerate() {
            let Some(known) = Known::of(field.name) else { continue };
            if !known.passes() {
                reading.doubtful.insert(index);
            }
            match known {
                Known::Connection => reading.connection.add(field.value)?,
                Known::ContentLength => reading.lengths.add_length(field.value)?,
                Known::TransferEncoding => reading.lengths.add_transfer_encoding(field.value)?,
                Known::FramingLookalike => return Err(HeadError::FramingLookalike),
                Known::KeepAlive => reading.keep_alive_timeout = timeout(field.value),
                Known::ContentEncoding => reading.encoded |= !is_identity(field.value),
                Known::ContentType => reading.media = media(field.value),
                Known::XRequestId => reading.has_request_id = true,
                Known::Date => reading.has_date = true,
                _ => {}
            }
        }
        Ok(reading)
    }

    fn finish(
        self,
        version: Version,
        status: u16,
        reason: &'b str,
        fields: &'b [Header<'b>],
        raw: &'b [u8],
        context: &ResponseContext,
    ) -> Result<ResponseHead<'b>, HeadError> {
        match status {
            101 if !context.upgrade_asked => return Err(HeadError::UnexpectedUpgrade),
            100..=599 => {}
            _ => return Err(HeadError::InvalidStatus),
        }
        // Contradictory fields are refused even where no body follows: whoever sends them does
        // not know what it sends next either.
        let given = self.lengths.framing(version)?;
        let framing = match status {
            _ if context.head_request => Framing::None,
            100..=199 | 204 | 304 => Framing::None,
            _ => given.unwrap_or(Framing::UntilClose),
        };
        Ok(ResponseHead {
            version,
            status,
            reason,
            framing,
            keep_alive: self.connection.keep_alive(version) && framing != Framing::UntilClose,
            keep_alive_timeout: self.keep_alive_timeout,
            media: self.media,
            encoded: self.encoded,
            has_request_id: self.has_request_id,
            has_date: self.has_date,
            fields,
            doubtful: self.doubtful,
            connection_listed: self.connection.listed(fields),
            length: raw.len(),
            raw,
        })
    }
}

/// The `timeout` parameter of a `Keep-Alive` field.
fn timeout(value: &[u8]) -> Option<u32> {
    let seconds = list(value).find_map(|parameter| {
        let (name, seconds) = std::str::from_utf8(parameter).ok()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then_some(seconds.trim())
    })?;
    seconds.trim_matches('"').parse().ok()
}

/// `identity` is no coding; some servers say it all the same.
fn is_identity(content_encoding: &[u8]) -> bool {
    list(content_encoding).all(|coding| coding.eq_ignore_ascii_case(b"identity"))
}

fn media(content_type: &[u8]) -> Media {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    let named = content_type[..end].trim_ascii_end();
    let is = |name: &[u8]| named.eq_ignore_ascii_case(name);
    match () {
        () if is(b"text/event-stream") => Media::EventStream,
        () if is(b"application/x-ndjson") => Media::JsonLines,
        () if is(b"application/json") => Media::Json,
        () if is(b"text/html") => Media::Html,
        () if named.len() > 5 && named[named.len() - 5..].eq_ignore_ascii_case(b"+json") => {
            Media::Json
        }
        () => Media::Other,
    }
}
