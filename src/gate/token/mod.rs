//! Tokens: JWTs that an issuer has signed, and who comes in by one.
//!
//! ```text
//!   looks_like_token ──▶ Memory::recall ──▶ who it is, or why not       light: a hash and a look
//!                              │ not seen before
//!                              ▼
//!                        Gate::prove: read ▸ issuer ▸ claims ▸ key ▸ signature ▸ limits    heavy
//!                              └──▶ Memory::keep
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`json`] | objects in which every member stands once |
//! | [`signature`] | public keys and what they have signed; the one file with cryptography |
//! | [`jwks`] | the keys of an issuer, as it publishes them |
//! | [`issuer`] | who signs, for whom, and the keys that are known now |
//! | [`claims`] | what a token says of limits, made into those of a key |
//! | [`subjects`] | what subjects have used, in one table for all workers |
//! | [`memory`] | tokens that one worker has seen |
//! | [`fault`] | why a token is not believed |
//!
//! * The algorithm is that of the key. A token that names another one is refused; `none` and the symmetric
//!   ones are names of nothing here.
//! * No key is taken from a token: `jwk`, `jku`, `x5c` and `x5u` are not looked at.
//! * A token is read in one way: base64url without padding and without stray bits, JSON without a member
//!   that stands twice, three parts and no more.
//! * What a wrong token costs is done behind all that waits for a token of a model.

pub mod claims;
pub mod fault;
pub mod issuer;
mod json;
pub mod jwks;
pub mod memory;
pub mod signature;
pub mod subjects;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use self::claims::Saying;
use self::fault::TokenFault;
use self::issuer::{Issuer, IssuerSettings};
use self::signature::Algorithm;
use super::key::ApiKey;
use super::{Gate, GateTime};

/// No token is longer: what is said of a subject fits in less.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Signatures that one token can make us check: a token that names no key is tried with those of its
/// algorithm.
const KEYS_TRIED_MAX: usize = 4;

/// Who comes by a token that is good.
#[derive(Clone, Debug)]
pub struct Proven {
    pub key: Arc<ApiKey>,
    pub window: Window,
    issuer: Arc<Issuer>,
    /// Of the keys by which it was proven.
    version: u64,
}

/// When a token is good, in seconds of the clock, leeway included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: u64,
    until: u64,
}

impl Window {
    fn at(self, unix: u64) -> Result<(), TokenFault> {
        if unix >= self.until {
            return Err(TokenFault::Expired);
        }
        if unix < self.from { Err(TokenFault::NotYet) } else { Ok(()) }
    }
}

/// Whether a credential is a JWT, as far as its first bytes tell: base64url of an object, and two dots at
/// least.
pub fn looks_like_token(credential: &[u8]) -> bool {
    let Some(first) = memchr::memchr(b'.', credential) else { return false };
    let (header, rest) = credential.split_at(first);
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    // The first six bits of `{`, and a second letter that begins with its last two.
    header.len() > 2
        && header[0] == b'e'
        && ((b'w'..=b'z').contains(&header[1]) || header[1].is_ascii_digit())
        && header.iter().all(letter)
        && memchr::memchr(b'.', &rest[1..]).is_some()
}

/// A token that was read, and not proven.
struct Unproven<'t> {
    algorithm: Result<Algorithm, TokenFault>,
    /// Whether nothing in its header forbids to take it.
    taken: Result<(), TokenFault>,
    key_id: Option<String>,
    claims: Map<String, Value>,
    /// What is signed.
    message: &'t [u8],
    signature: Vec<u8>,
}

fn read(token: &[u8]) -> Result<Unproven<'_>, TokenFault> {
    let malformed = || TokenFault::Malformed;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenFault::Malformed);
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenFault::Malformed);
    };
    let message = &token[..header.len() + 1 + payload.len()];
    let decoded = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed);
    let header = json::object(&decoded(header)?).ok_or_else(malformed)?;
    let claims = json::object(&decoded(payload)?).ok_or_else(malformed)?;
    let signature = decoded(signature)?;
    let algorithm = header.get("alg").and_then(Value::as_str).ok_or_else(malformed)?;
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= jwks::KEY_ID_MAX => Some(id.clone()),
        Some(_) => return Err(TokenFault::Malformed),
    };
    Ok(Unproven {
        algorithm: Algorithm::named(algorithm).ok_or(TokenFault::Algorithm),
        taken: if is_taken(&header) { Ok(()) } else { Err(TokenFault::Header) },
        key_id,
        claims,
        message,
        signature,
    })
}

/// Whether a header asks for nothing that is not understood. A token that is made for something else than
/// to open, as those that tell of a logout, says so in `typ` (RFC 8725 §3.11).
fn is_taken(header: &Map<String, Value>) -> bool {
    let typ = match header.get("typ") {
        None => true,
        Some(Value::String(typ)) => {
            let typ = typ.to_ascii_lowercase();
            let typ = typ.strip_prefix("application/").unwrap_or(&typ);
            typ == "jwt" || typ == "at+jwt"
        }
        Some(_) => false,
    };
    let detached = header.get("b64").is_some_and(|b64| b64 != &Value::Bool(true));
    typ && !detached && !header.contains_key("crit")
}

impl Gate {
    /// Whether anybody comes in by a token.
    pub fn takes_tokens(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// The issuer that a token names, whether or not it is proven.
    pub fn names_issuer(&self, token: &[u8]) -> bool {
        let read = read(token);
        read.is_ok_and(|token| self.issuer_of(&token.claims).is_ok())
    }

    fn issuer_of(&self, claims: &Map<String, Value>) -> Result<&Arc<Issuer>, TokenFault> {
        let named = claims.get("iss").and_then(Value::as_str).ok_or(TokenFault::Issuer)?;
        let is = |issuer: &&Arc<Issuer>| issuer.settings.issuer == named;
        self.issuers.iter().find(is).ok_or(TokenFault::Issuer)
    }

    /// Proves a token: reads it, and checks its signature. This is for the heavy lane.
    pub fn prove(&self, token: &[u8], at: GateTime) -> Result<Proven, TokenFault> {
        let token = read(token)?;
        // What costs little comes first: nobody can have us check a signature who would be refused anyway.
        let issuer = self.issuer_of(&token.claims)?;
        token.taken?;
        let algorithm = token.algorithm?;
        let settings = &issuer.settings;
        let window = settings.window(&token.claims)?;
        settings.is_for_us(&token.claims)?;
        window.at(at.unix)?;
        let (keys, version) = issuer.keys.known(settings.keys_age_max, at.unix)?;
        let mut named = keys.named(token.key_id.as_deref()).peekable();
        if named.peek().is_none() {
            issuer.keys.want();
            return Err(TokenFault::Key);
        }
        let mut fitting = named.filter(|key| key.algorithm() == algorithm).peekable();
        fitting.peek().ok_or(TokenFault::Algorithm)?;
        let mut tried = fitting.take(KEYS_TRIED_MAX);
        if !tried.any(|key| key.verifies(token.message, &token.signature)) {
            return Err(TokenFault::Signature);
        }
        let IssuerSettings { name, claims: names, tier, .. } = settings;
        let saying = Saying { by: name, names, tier: tier.as_deref() };
        let (subject, settings) = claims::settings_of(saying, &self.tiers, &token.claims)?;
        let used = self.subjects.used_by(&subject, &settings, at).ok_or(TokenFault::Subjects)?;
        let key = Arc::new(ApiKey { settings, used });
        Ok(Proven { key, window, issuer: Arc::clone(issuer), version })
    }
}
