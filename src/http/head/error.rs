//! The closed list of reasons to refuse a head.

use std::fmt;

use crate::http::path::PathError;

/// Why a head was refused: one variant per rule, in the order of the lines they concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// More than one empty line before a request line.
    EmptyLines,
    InvalidMethod,
    /// The client begins TLS.
    TlsHello,
    /// The request line is not `method SP target SP version CR LF`.
    InvalidRequestLine,
    InvalidTarget,
    /// A `.` or `..` segment in the path, plain or percent-encoded.
    DotSegment,
    /// `*` with a method other than OPTIONS.
    AsteriskTarget,
    ConnectRefused,
    UnsupportedVersion,
    InvalidStatusLine,
    /// A status outside 100 to 599.
    InvalidStatus,
    /// 101 to a request that did not ask for it.
    UnexpectedUpgrade,

    BareLf,
    BareCr,
    Nul,
    /// A line that begins with white space.
    FoldedLine,
    /// White space in a field name, or between it and its colon.
    SpaceInFieldName,
    InvalidFieldName,
    InvalidFieldValue,

    HostMissing,
    HostRepeated,
    HostInvalid,
    LengthInvalid,
    LengthRepeated,
    LengthWithTransferEncoding,
    TransferEncodingInvalid,
    TransferEncodingRepeated,
    /// A coding we do not know, `chunked` last.
    TransferEncodingUnknown,
    TransferEncodingInHttp10,
    /// `Connection` lists a field without which the message would mean something else.
    ConnectionListsFraming,
    /// `Content_Length` or `Transfer_Encoding`.
    FramingLookalike,
    TooManyConnectionOptions,
    UnknownExpectation,

    TargetTooLong,
    HeadTooLarge,
    TooManyFields,
}

impl HeadError {
    /// The status that answers a refused request. A refused response is the caller's 502.
    pub fn status(&self) -> u16 {
        use HeadError::*;
        match self {
            TargetTooLong => 414,
            UnknownExpectation => 417,
            HeadTooLarge | TooManyFields => 431,
            ConnectRefused | TransferEncodingUnknown => 501,
            UnsupportedVersion => 505,
            EmptyLines
            | InvalidMethod
            | TlsHello
            | InvalidRequestLine
            | InvalidTarget
            | DotSegment
            | AsteriskTarget
            | InvalidStatusLine
            | InvalidStatus
            | UnexpectedUpgrade
            | BareLf
            | BareCr
            | Nul
            | FoldedLine
            | SpaceInFieldName
            | InvalidFieldName
            | InvalidFieldValue
            | HostMissing
            | HostRepeated
            | HostInvalid
            | LengthInvalid
            | LengthRepeated
            | LengthWithTransferEncoding
            | TransferEncodingInvalid
            | TransferEncodingRepeated
            | TransferEncodingInHttp10
            | ConnectionListsFraming
            | FramingLookalike
            | TooManyConnectionOptions => 400,
        }
    }

    /// The machine-readable name, as error bodies and logs give it.
    pub fn code(&self) -> &'static str {
        self.describe().0
    }

    fn describe(&self) -> (&'static str, &'static str) {
        use HeadError::*;
        match self {
            EmptyLines => ("empty_lines", "more than one empty line before the request line"),
            InvalidMethod => ("invalid_method", "the method is not a token"),
            TlsHello => {
                ("tls_on_plain_port", "the client begins TLS, and this port speaks plain HTTP")
            }
            InvalidRequestLine => {
                ("invalid_request_line", "the request line is not a method, a target and a version")
            }
            InvalidTarget => ("invalid_target", "the request target is not valid"),
            DotSegment => ("dot_segment", "the path has a `.` or `..` segment"),
            AsteriskTarget => ("asterisk_target", "the target `*` is for OPTIONS only"),
            ConnectRefused => ("connect_refused", "this is a gateway, not a tunnel: no CONNECT"),
            UnsupportedVersion => {
                ("unsupported_version", "the version is neither HTTP/1.0 nor HTTP/1.1")
            }
            InvalidStatusLine => ("invalid_status_line", "the status line is not valid"),
            InvalidStatus => ("invalid_status", "the status is not within 100 to 599"),
            UnexpectedUpgrade => ("unexpected_upgrade", "a 101 that nobody asked for"),
            BareLf => ("bare_lf", "a line ends in a line feed without a carriage return"),
            BareCr => ("bare_cr", "a carriage return without a line feed"),
            Nul => ("nul", "a NUL byte in the head"),
            FoldedLine => ("folded_line", "a line begins with white space"),
            SpaceInFieldName => {
                ("space_in_field_name", "white space in a field name or before its colon")
            }
            InvalidFieldName => ("invalid_field_name", "a field name is not a token"),
            InvalidFieldValue => ("invalid_field_value", "a control byte in a field value"),
            HostMissing => ("host_missing", "an HTTP/1.1 request needs a Host field"),
            HostRepeated => ("host_repeated", "more than one Host field"),
            HostInvalid => ("host_invalid", "the host is not valid"),
            LengthInvalid => ("content_length_invalid", "Content-Length is not a number"),
            LengthRepeated => ("content_length_repeated", "more than one Content-Length"),
            LengthWithTransferEncoding => (
                "content_length_with_transfer_encoding",
                "both Content-Length and Transfer-Encoding",
            ),
            TransferEncodingInvalid => {
                ("transfer_encoding_invalid", "Transfer-Encoding is not exactly `chunked`")
            }
            TransferEncodingRepeated => {
                ("transfer_encoding_repeated", "more than one Transfer-Encoding field")
            }
            TransferEncodingUnknown => (
                "transfer_encoding_unknown",
                "Transfer-Encoding names a coding other than `chunked`",
            ),
            TransferEncodingInHttp10 => {
                ("transfer_encoding_in_http10", "HTTP/1.0 has no Transfer-Encoding")
            }
            ConnectionListsFraming => {
                ("connection_lists_framing", "Connection lists a field that must reach the server")
            }
            FramingLookalike => {
                ("framing_lookalike", "a field name that some servers take for a framing field")
            }
            TooManyConnectionOptions => {
                ("too_many_connection_options", "Connection lists too many options")
            }
            UnknownExpectation => ("unknown_expectation", "an expectation other than 100-continue"),
            TargetTooLong => {
                ("target_too_long", "the request line is longer than limits.head_bytes")
            }
            HeadTooLarge => ("head_too_large", "the head is longer than limits.head_bytes"),
            TooManyFields => ("too_many_fields", "the head has more fields than limits.headers"),
        }
    }
}

impl From<PathError> for HeadError {
    fn from(error: PathError) -> HeadError {
        match error {
            PathError::DotSegment => HeadError::DotSegment,
            PathError::Invalid => HeadError::InvalidTarget,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe().1)
    }
}

impl std::error::Error for HeadError {}
