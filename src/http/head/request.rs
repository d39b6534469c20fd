//! Request heads.

use httparse::{Error, Header, Status};

use super::diagnose::{Kind, diagnose};
use super::fields::{ConnectionOptions, FieldSet, LengthFields, list, value_of};
use super::{FieldSlots, Fields, HeadError, HeadLimits, Version, target};
use super::{require_crlf, slots_within, window};
use crate::http::body::Framing;
use crate::http::names::Known;

/// The longest request id that is taken over from a client.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// A request head that may be forwarded: everything in it has one meaning.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'b> {
    pub method: &'b str,
    /// The path of the target, still percent-encoded; `*` for an `OPTIONS *`.
    pub path: &'b str,
    /// Without its `?`.
    pub query: Option<&'b str>,
    pub target_is_asterisk: bool,
    pub version: Version,
    /// From an absolute-form target, else from `Host`. Empty only for HTTP/1.0 without either.
    pub authority: &'b [u8],
    /// Never [`Framing::UntilClose`].
    pub framing: Framing,
    /// The client would send another request on this connection.
    pub keep_alive: bool,
    /// The client waits for a 100 before it sends its body.
    pub expect_continue: bool,
    /// The protocols it offers, if it offers any that may follow on this connection.
    pub upgrade: Option<&'b [u8]>,
    /// The client's own, if it is one: 1 to 64 visible ASCII bytes, given once.
    pub request_id: Option<&'b [u8]>,
    pub fields: &'b [Header<'b>],
    /// The fields that may not pass as they came, whatever `Connection` lists.
    pub doubtful: FieldSet,
    /// One of them is `X-Forwarded-For`, `-Host` or `-Proto`.
    pub forwarded: bool,
    /// The fields `Connection` lists: they end here.
    pub connection_listed: FieldSet,
    /// The client takes trailers (`TE: trailers`).
    pub accepts_trailers: bool,
    /// The first `Content-Type`; empty if there is none.
    pub media: &'b [u8],
    /// There is another.
    pub media_repeated: bool,
    /// There is a `Content-Encoding`.
    pub encoded: bool,
    /// Bytes of the head, its empty line included.
    pub length: usize,
    /// Those bytes.
    pub raw: &'b [u8],
}

impl<'b> RequestHead<'b> {
    /// The fields by name.
    pub fn lookup(&self) -> Fields<'b> {
        Fields(self.fields)
    }

    /// The values of all fields of this name, in their order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let named = self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value)
    }

    /// The value of the first field of this name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        value_of(self.fields, name)
    }
}

/// Parses the request head at the start of `input`. `None`: there is no whole head yet.
pub fn parse_request<'b>(
    input: &'b [u8],
    slots: &'b mut FieldSlots<'b>,
    limits: &HeadLimits,
) -> Result<Option<RequestHead<'b>>, HeadError> {
    let skipped = match leading_line(input)? {
        Some(skipped) => skipped,
        None => return Ok(None),
    };
    let window = &window(input, limits)[skipped.min(limits.bytes)..];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(window, slots_within(slots, limits));
    let length = match parsed {
        Ok(Status::Complete(length)) => skipped + length,
        // At the limit already: the byte that is missing would be one too many.
        Ok(Status::Partial) if input.len() < limits.bytes => return Ok(None),
        Ok(Status::Partial) if memchr::memchr(b'\n', window).is_none() => {
            return Err(HeadError::TargetTooLong);
        }
        Ok(Status::Partial) => return Err(HeadError::HeadTooLarge),
        Err(Error::TooManyHeaders) => return Err(HeadError::TooManyFields),
        Err(_) => return Err(diagnose(Kind::Request, window)),
    };
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(HeadError::InvalidRequestLine);
    };
    let version = match version {
        0 => Version::Http10,
        _ => Version::Http11,
    };
    let raw = &input[..length];
    require_crlf(raw, request.headers)?;
    Reading::of(request.headers)?.finish(method, target, version, request.headers, raw).map(Some)
}

/// The bytes of the one empty line that may stand before a request line (RFC 9112 §2.2); `None`:
/// it cannot be told yet.
fn leading_line(input: &[u8]) -> Result<Option<usize>, HeadError> {
    let second_line = match input {
        [] | [b'\r'] | [b'\r', b'\n'] => return Ok(None),
        [b'\n', ..] => return Err(HeadError::BareLf),
        [b'\r', b'\n', rest @ ..] => rest,
        [b'\r', ..] => return Err(HeadError::BareCr),
        _ => return Ok(Some(0)),
    };
    match second_line.first() {
        Some(b'\n') => Err(HeadError::BareLf),
        Some(b'\r') => Err(HeadError::EmptyLines),
        _ => Ok(Some(2)),
    }
}

/// What one pass over the fields has found.
#[derive(Default)]
struct Reading<'b> {
    doubtful: FieldSet,
    forwarded: bool,
    connection: ConnectionOptions,
    lengths: LengthFields<'b>,
    host: Option<&'b [u8]>,
    expects: bool,
    upgrade: Option<&'b [u8]>,
    upgrade_refused: bool,
    request_ids: usize,
    request_id: Option<&'b [u8]>,
    accepts_trailers: bool,
    media: Option<&'b [u8]>,
    media_repeated: bool,
    encoded: bool,
}

impl<'b> Reading<'b> {
    fn of(fields: &'b [Header<'b>]) -> Result<Reading<'b>, HeadError> {
        let mut reading = Reading::default();
        for (index, field) in fields.iter().enumerate() {
            if let Some(known) = Known::of(field.name) {
                // A length that was read stays.
                if !(known.passes() || known == Known::ContentLength) {
                    reading.doubtful.insert(index);
                }
                reading.take(known, field.value)?;
            }
        }
        Ok(reading)
    }

    fn take(&mut self, known: Known, value: &'b [u8]) -> Result<(), HeadError> {
        match known {
            Known::Connection => self.connection.add(value)?,
            Known::ContentLength => self.lengths.add_length(value)?,
            Known::TransferEncoding => self.lengths.add_transfer_encoding(value)?,
            Known::FramingLookalike => return Err(HeadError::FramingLookalike),
            Known::Host => match self.host.replace(value) {
                None => {}
                Some(_) => return Err(HeadError::HostRepeated),
            },
            Known::Expect => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(HeadError::UnknownExpectation);
                }
                self.expects = true;
            }
            Known::Upgrade => {
                self.upgrade = self.upgrade.or(Some(value).filter(|value| !value.is_empty()));
                self.upgrade_refused |= list(value).any(carries_requests);
            }
            Known::Te => {
                self.accepts_trailers |=
                    list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
            }
            Known::ContentType => match self.media {
                None => self.media = Some(value),
                Some(_) => self.media_repeated = true,
            },
            Known::ContentEncoding => self.encoded = true,
            Known::XForwardedFor | Known::XForwardedHost | Known::XForwardedProto => {
                self.forwarded = true;
            }
            Known::XRequestId => {
                self.request_ids += 1;
                self.request_id = Some(value).filter(|value| is_request_id(value));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(
        self,
        method: &'b str,
        target: &'b str,
        version: Version,
        fields: &'b [Header<'b>],
        raw: &'b [u8],
    ) -> Result<RequestHead<'b>, HeadError> {
        let target = target::parse(method, target)?;
        match self.host {
            None if version == Version::Http11 => return Err(HeadError::HostMissing),
            Some(host) if !target::is_authority(host) => return Err(HeadError::HostInvalid),
            _ => {}
        }
        let framing = self.lengths.framing(version)?.unwrap_or(Framing::None);
        self.connection.refuse_framing(fields)?;
        let has_body = !matches!(framing, Framing::None | Framing::Length(0));
        let may_upgrade =
            version == Version::Http11 && self.connection.upgrade && !self.upgrade_refused;
        Ok(RequestHead {
            method,
            path: target.path,
            query: target.query,
            target_is_asterisk: target.is_asterisk,
            version,
            // Absolute form wins over Host (RFC 9112 §3.2.2).
            authority: target.authority.map_or(self.host.unwrap_or_default(), str::as_bytes),
            framing,
            keep_alive: self.connection.keep_alive(version),
            // HTTP/1.0 has no 100, and nothing to send needs no leave (RFC 9110 §10.1.1).
            expect_continue: self.expects && has_body && version == Version::Http11,
            upgrade: self.upgrade.filter(|_| may_upgrade),
            request_id: self.request_id.filter(|_| self.request_ids == 1),
            fields,
            doubtful: self.doubtful,
            forwarded: self.forwarded,
            connection_listed: self.connection.listed(fields),
            accepts_trailers: self.accepts_trailers && version == Version::Http11,
            media: self.media.unwrap_or_default(),
            media_repeated: self.media_repeated,
            encoded: self.encoded,
            length: raw.len(),
            raw,
        })
    }
}

/// Whether a protocol of an `Upgrade` field would carry further requests past our routes, unseen:
/// another HTTP, or TLS with one inside. An offer with one of these is not passed on.
fn carries_requests(protocol: &[u8]) -> bool {
    let name = protocol.split(|&byte| byte == b'/').next().unwrap_or_default();
    [&b"h2c"[..], b"h2", b"http", b"tls"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn is_request_id(value: &[u8]) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&value.len())
        && value.iter().all(|byte| byte.is_ascii_graphic())
}
