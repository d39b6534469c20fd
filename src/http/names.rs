//! Names: what one may be made of, and the fields that a gateway acts on.
//!
//! * A name is looked at once by its length; most fields are passed over with that one comparison.
//! * `_` counts as `-` where a server that turns names into variables would take one for the other.

/// Whether a byte may be part of a token (RFC 9110 §5.6.2): a method or a field name.
#[inline]
pub(super) fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z'
        | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.'
        | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// The fields a gateway acts on. Everything else is passed on unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Connection,
    ContentEncoding,
    ContentLength,
    ContentType,
    Date,
    Expect,
    Forwarded,
    /// `Content_Length` or `Transfer_Encoding`. To a server that turns names into variables these
    /// are the real ones.
    FramingLookalike,
    Host,
    Http2Settings,
    KeepAlive,
    /// The name of a field that ends here or that we set, with `_` for `-`: what such a server would
    /// take for ours.
    Lookalike,
    ProxyAuthenticate,
    ProxyAuthenticationInfo,
    ProxyAuthorization,
    ProxyConnection,
    /// `X-Sluice-Upstream` or `X-Sluice-Attempts`: what a gateway tells of an answer's way.
    Served,
    Te,
    TraceParent,
    TraceState,
    TransferEncoding,
    Upgrade,
    XAccelBuffering,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
    XRequestId,
}

impl Known {
    /// The names of all of them, in lower case.
    pub(super) const NAMES: [&str; 26] = [
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "upgrade",
        "x-accel-buffering",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
        "x-sluice-attempts",
        "x-sluice-upstream",
    ];

    /// Whether such a field passes as it came in any head, unless `Connection` lists it.
    pub(super) fn passes(self) -> bool {
        matches!(self, Known::ContentEncoding | Known::ContentType | Known::Date)
    }

    /// Which of them `name` is. The length decides alone for nearly every other field.
    #[inline]
    pub(super) fn of(name: &str) -> Option<Known> {
        let is = |known: &str, found: Known| same_name(name, known).then_some(found);
        // With `_` for `-`: to a server that turns names into variables both are the same field.
        let reads_as = |known: &str, found: Known| same_variable(name, known).then_some(found);
        let like = |known: &str| reads_as(known, Known::Lookalike);
        match name.len() {
            2 => is("te", Known::Te),
            4 => is("host", Known::Host).or_else(|| is("date", Known::Date)),
            6 => is("expect", Known::Expect),
            7 => is("upgrade", Known::Upgrade),
            9 => is("forwarded", Known::Forwarded),
            10 => is("connection", Known::Connection)
                .or_else(|| is("keep-alive", Known::KeepAlive))
                .or_else(|| is("tracestate", Known::TraceState))
                .or_else(|| like("keep-alive")),
            11 => is("traceparent", Known::TraceParent),
            12 => is("content-type", Known::ContentType)
                .or_else(|| is("x-request-id", Known::XRequestId))
                .or_else(|| like("x-request-id")),
            14 => is("content-length", Known::ContentLength)
                .or_else(|| is("http2-settings", Known::Http2Settings))
                .or_else(|| reads_as("content-length", Known::FramingLookalike))
                .or_else(|| like("http2-settings")),
            15 => reads_as("x-forwarded-for", Known::XForwardedFor),
            16 => reads_as("x-forwarded-host", Known::XForwardedHost)
                .or_else(|| is("content-encoding", Known::ContentEncoding))
                .or_else(|| is("proxy-connection", Known::ProxyConnection))
                .or_else(|| like("proxy-connection")),
            17 => is("transfer-encoding", Known::TransferEncoding)
                .or_else(|| is("x-accel-buffering", Known::XAccelBuffering))
                .or_else(|| is("x-sluice-upstream", Known::Served))
                .or_else(|| is("x-sluice-attempts", Known::Served))
                .or_else(|| reads_as("x-forwarded-proto", Known::XForwardedProto))
                .or_else(|| reads_as("transfer-encoding", Known::FramingLookalike))
                .or_else(|| like("x-accel-buffering"))
                .or_else(|| like("x-sluice-upstream"))
                .or_else(|| like("x-sluice-attempts")),
            18 => is("proxy-authenticate", Known::ProxyAuthenticate)
                .or_else(|| like("proxy-authenticate")),
            19 => is("proxy-authorization", Known::ProxyAuthorization)
                .or_else(|| like("proxy-authorization")),
            25 => is("proxy-authentication-info", Known::ProxyAuthenticationInfo)
                .or_else(|| like("proxy-authentication-info")),
            _ => None,
        }
    }
}

/// Whether a field name of the same length as `known`, which is in lower case, is that name.
///
/// Setting the sixth bit makes letters small and leaves `-` and digits alone, and it makes none of
/// these of any other byte that a name may have (RFC 9110 §5.6.2).
#[inline]
fn same_name(name: &str, known: &str) -> bool {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let same = |these: &[u8; 8], those: &[u8; 8]| {
        u64::from_le_bytes(*these) | SMALL == u64::from_le_bytes(*those)
    };
    let (name, known) = (name.as_bytes(), known.as_bytes());
    // The last eight may overlap those before, so there is no rest to go through by bytes.
    let (Some(end), Some(known_end)) = (name.last_chunk(), known.last_chunk()) else {
        return name.iter().zip(known).all(|(this, that)| this | 0x20 == *that);
    };
    let mut chunks = name.as_chunks().0.iter().zip(known.as_chunks().0);
    chunks.all(|(these, those)| same(these, those)) && same(end, known_end)
}

/// Whether a field name of the same length as `known` becomes the same variable name.
fn same_variable(name: &str, known: &str) -> bool {
    // Two fields of one length seldom begin with one letter: nearly every comparison ends here.
    let initial = |name: &str| name.as_bytes().first().map(|byte| byte | 0x20);
    initial(name) == initial(known)
        && name.bytes().zip(known.bytes()).all(|(byte, expected)| {
            byte.eq_ignore_ascii_case(&expected) || (byte == b'_' && expected == b'-')
        })
}
