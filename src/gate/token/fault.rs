//! Why a token is not believed, and what its client is told.

use std::fmt;

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is no JWS in compact form, or its header or its claims are not what they have to be.
    Malformed,
    /// It has no `exp`: nobody has said until when it is good.
    Endless,
    /// Its `exp`, `nbf` or `iat` is no number of seconds.
    Moment,
    /// It names an algorithm that is none of ours, or none of the key that it names.
    Algorithm,
    /// Its header says that something has to be understood which is not (`crit`), or that it is none that
    /// opens something (`typ`).
    Header,
    /// Nobody who is configured is its `iss`.
    Issuer,
    Audience,
    Expired,
    /// Its `nbf` has not come.
    NotYet,
    /// Its issuer has no such key, as far as is known.
    Key,
    /// The keys of its issuer are not known, or have not been for too long.
    Unavailable,
    Signature,
    /// What it says of its limits cannot be understood, or it says nothing and has to.
    Claims,
    /// There are as many subjects with limits as are counted.
    Subjects,
}

impl TokenFault {
    pub const ALL: [TokenFault; 14] = [
        TokenFault::Malformed,
        TokenFault::Endless,
        TokenFault::Moment,
        TokenFault::Algorithm,
        TokenFault::Header,
        TokenFault::Issuer,
        TokenFault::Audience,
        TokenFault::Expired,
        TokenFault::NotYet,
        TokenFault::Key,
        TokenFault::Unavailable,
        TokenFault::Signature,
        TokenFault::Claims,
        TokenFault::Subjects,
    ];

    pub fn status(self) -> u16 {
        match self {
            TokenFault::Claims => 403,
            TokenFault::Unavailable | TokenFault::Subjects => 503,
            _ => 401,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            TokenFault::Malformed
            | TokenFault::Endless
            | TokenFault::Moment
            | TokenFault::Algorithm
            | TokenFault::Header
            | TokenFault::Signature => "invalid_token",
            TokenFault::Issuer => "token_issuer_unknown",
            TokenFault::Audience => "token_audience",
            TokenFault::Expired => "token_expired",
            TokenFault::NotYet => "token_not_yet_valid",
            TokenFault::Key => "token_key_unknown",
            TokenFault::Unavailable => "issuer_unavailable",
            TokenFault::Claims => "token_claims",
            TokenFault::Subjects => "subjects_exhausted",
        }
    }

    /// `WWW-Authenticate`, as RFC 6750 §3.1 has it.
    pub fn challenge(self) -> Option<&'static str> {
        Some(match self {
            TokenFault::Malformed => {
                "Bearer error=\"invalid_token\", error_description=\"it is no signed token\""
            }
            TokenFault::Endless => {
                "Bearer error=\"invalid_token\", error_description=\"it has no exp\""
            }
            TokenFault::Moment => {
                "Bearer error=\"invalid_token\", error_description=\"its exp, nbf or iat is no number\""
            }
            TokenFault::Algorithm => {
                "Bearer error=\"invalid_token\", error_description=\"its algorithm is not taken\""
            }
            TokenFault::Header => {
                "Bearer error=\"invalid_token\", error_description=\"its header is not taken\""
            }
            TokenFault::Issuer => {
                "Bearer error=\"invalid_token\", error_description=\"its issuer is not known\""
            }
            TokenFault::Audience => {
                "Bearer error=\"invalid_token\", error_description=\"it is for another audience\""
            }
            TokenFault::Expired => {
                "Bearer error=\"invalid_token\", error_description=\"it has expired\""
            }
            TokenFault::NotYet => {
                "Bearer error=\"invalid_token\", error_description=\"it is not valid yet\""
            }
            TokenFault::Key => {
                "Bearer error=\"invalid_token\", error_description=\"its key is not known\""
            }
            TokenFault::Signature => {
                "Bearer error=\"invalid_token\", error_description=\"its signature is wrong\""
            }
            TokenFault::Claims => "Bearer error=\"insufficient_scope\"",
            TokenFault::Unavailable | TokenFault::Subjects => return None,
        })
    }
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenFault::Malformed => "the token is no signed JWT that can be read",
            TokenFault::Endless => "the token has no exp: it has to say until when it is good",
            TokenFault::Moment => "exp, nbf or iat of the token is no number of seconds",
            TokenFault::Algorithm => {
                "the token is signed in a way that is not taken, or that its key is not for"
            }
            TokenFault::Header => "the token has a header that is not understood: crit, b64 or typ",
            TokenFault::Issuer => "the issuer of the token is not known",
            TokenFault::Audience => "the token is for another audience",
            TokenFault::Expired => "the token has expired",
            TokenFault::NotYet => "the token is not valid yet",
            TokenFault::Key => {
                "the issuer of the token has no such key; its keys are read again, so a new one is \
                 known soon"
            }
            TokenFault::Unavailable => "the keys of the issuer of the token are not known now",
            TokenFault::Signature => "the signature of the token is wrong",
            TokenFault::Claims => {
                "the claims of the token do not say what it opens in a way that is understood"
            }
            TokenFault::Subjects => "more subjects have limits than are counted",
        })
    }
}
