//! Why somebody is not let in whom the authoriser was asked about, and what their client is told.

use std::fmt;

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFault {
    /// It says that it does not know who that is, or was shown nothing that could be told.
    Denied,
    /// It says that they may not.
    Forbidden,
    /// It has not decided: no answer, or one that is neither yes nor no.
    Unavailable,
    /// It says yes, and who has come or what they may cannot be understood.
    Unclear,
}

impl AuthFault {
    pub fn status(self) -> u16 {
        match self {
            AuthFault::Denied => 401,
            AuthFault::Forbidden => 403,
            AuthFault::Unavailable | AuthFault::Unclear => 503,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            AuthFault::Denied => "auth_denied",
            AuthFault::Forbidden => "auth_forbidden",
            AuthFault::Unavailable => "auth_unavailable",
            AuthFault::Unclear => "auth_unclear",
        }
    }
}

impl fmt::Display for AuthFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthFault::Denied => "the authoriser does not let this credential in",
            AuthFault::Forbidden => "the authoriser does not let this request in",
            AuthFault::Unavailable => "the authoriser has not decided about this request",
            AuthFault::Unclear => {
                "the authoriser lets this request in, and what it says of it is not understood"
            }
        })
    }
}
