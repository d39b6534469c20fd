//! Refusals: why the gate lets a request not in, and what its client is told.

use std::fmt;
use std::time::Duration;

use super::authoriser::fault::AuthFault;
use super::budget::Period;
use super::token::fault::TokenFault;

/// When it is worth to come again where an issuer or the authoriser does not answer.
const TOKEN_RETRY: Duration = Duration::from_secs(2);

/// Why a request is refused at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateRefusal {
    /// The route wants a key, and there is none.
    Missing,
    /// There is a key, and it is none of ours, or was revoked.
    Unknown {
        /// It looks like one that `sluicegate key` has made.
        ours: bool,
    },
    Expired,
    /// There is a token, and it is not believed.
    Token(TokenFault),
    /// The authoriser does not let it in.
    Auth(AuthFault),
    /// The key does not open this.
    Forbidden(Bar),
    /// Too much of this in the last minute.
    Rate(RateOf, Duration),
    /// The key has as many requests under way as it may.
    Concurrency,
    /// The budget of this period is used up, which ends after so long.
    Budget(Period, Duration),
    /// The address of the client is not let in.
    Denied,
    /// The address has made as many requests in a second as it may.
    AddressRate(Duration),
}

/// What a key is barred from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    Route,
    Model,
    /// The request names no model, or not where it is read, and the key is for some only.
    UnnamedModel,
    Network,
    /// The client has not shown a certificate that the key is for.
    Certificate,
    /// What is asked for in a tunnel nobody sees, and the key is for some models, or counted in tokens.
    Tunnel,
}

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateOf {
    Requests,
    Tokens,
}

impl GateRefusal {
    pub fn status(self) -> u16 {
        match self {
            GateRefusal::Missing | GateRefusal::Unknown { .. } | GateRefusal::Expired => 401,
            GateRefusal::Token(fault) => fault.status(),
            GateRefusal::Auth(fault) => fault.status(),
            GateRefusal::Forbidden(_) | GateRefusal::Denied => 403,
            GateRefusal::Rate(..)
            | GateRefusal::Concurrency
            | GateRefusal::Budget(..)
            | GateRefusal::AddressRate(_) => 429,
        }
    }

    /// `error.type`, in the words of OpenAI.
    pub fn kind(self) -> &'static str {
        match self {
            GateRefusal::Budget(..) => "insufficient_quota",
            GateRefusal::Rate(..) | GateRefusal::Concurrency | GateRefusal::AddressRate(_) => {
                "rate_limit_error"
            }
            GateRefusal::Token(_) | GateRefusal::Auth(_) if self.status() == 503 => "overloaded",
            _ => "invalid_request_error",
        }
    }

    /// What `WWW-Authenticate` says; `None`: nothing else would be let in.
    pub fn challenge(self) -> Option<&'static str> {
        match self {
            GateRefusal::Token(fault) => fault.challenge(),
            _ => (self.status() == 401).then_some("Bearer"),
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            GateRefusal::Missing => "missing_api_key",
            GateRefusal::Unknown { .. } => "invalid_api_key",
            GateRefusal::Expired => "key_expired",
            GateRefusal::Token(fault) => fault.code(),
            GateRefusal::Auth(fault) => fault.code(),
            GateRefusal::Forbidden(_) => "key_not_allowed",
            GateRefusal::Rate(..) => "rate_limited",
            GateRefusal::Concurrency => "concurrency_limited",
            GateRefusal::Budget(..) => "budget_spent",
            GateRefusal::Denied => "address_denied",
            GateRefusal::AddressRate(_) => "address_limited",
        }
    }

    /// After what time the same request can be let in, as far as others leave it its place. `None`: it
    /// will not be.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            GateRefusal::Rate(_, wait)
            | GateRefusal::Budget(_, wait)
            | GateRefusal::AddressRate(wait) => Some(wait),
            // Nobody knows when the first of them ends: the least there is.
            GateRefusal::Concurrency => Some(Duration::ZERO),
            GateRefusal::Token(TokenFault::Unavailable | TokenFault::Subjects)
            | GateRefusal::Auth(AuthFault::Unavailable | AuthFault::Unclear) => Some(TOKEN_RETRY),
            _ => None,
        }
    }
}

impl fmt::Display for GateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GateRefusal::Missing => {
                "no API key: send it as Authorization: Bearer KEY, x-api-key, api-key or \
                 x-goog-api-key"
            }
            GateRefusal::Unknown { .. } => "the API key is not known, or was revoked",
            GateRefusal::Expired => "the API key has expired",
            GateRefusal::Token(fault) => return fault.fmt(f),
            GateRefusal::Auth(fault) => return fault.fmt(f),
            GateRefusal::Forbidden(Bar::Route) => "the API key is not for this route",
            GateRefusal::Forbidden(Bar::Model) => "the API key is not for this model",
            GateRefusal::Forbidden(Bar::UnnamedModel) => {
                "the API key is for some models only, and the request does not name its model \
                 where that is read"
            }
            GateRefusal::Forbidden(Bar::Tunnel) => {
                "the API key is for some models only, or counted in tokens, and opens no upgraded \
                 connection"
            }
            GateRefusal::Forbidden(Bar::Network) => "the API key may not be used from this address",
            GateRefusal::Forbidden(Bar::Certificate) => {
                "the API key is for clients that show a certificate of another name, or one at all"
            }
            GateRefusal::Rate(RateOf::Requests, _) => {
                "the API key has made as many requests in a minute as it may"
            }
            GateRefusal::Rate(RateOf::Tokens, _) => {
                "the API key has used as many tokens in a minute as it may, those that this \
                 request may take included"
            }
            GateRefusal::Concurrency => "the API key has as many requests under way as it may",
            GateRefusal::Denied => "this address is not let in",
            GateRefusal::AddressRate(_) => {
                "this address has made as many requests in a second as it may"
            }
            GateRefusal::Budget(period, _) => {
                return write!(f, "the API key has used up its budget of the {}", period.name());
            }
        })
    }
}
