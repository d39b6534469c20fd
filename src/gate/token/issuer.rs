//! An issuer: who signs tokens, for whom, and with which keys as far as is known now.
//!
//! The settings are those of one generation of the configuration. The keys are fetched by a thread beside
//! the workers (`control/issuers.rs`) and go on over reloads that leave their source alone.
//!
//! * A worker takes the keys in the heavy lane, under a lock that is held for a move of one pointer; which
//!   version they have it reads without one.
//! * Keys that nobody could fetch again for too long do not count: an issuer may have withdrawn one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use super::Window;
use super::fault::TokenFault;
use super::jwks::KeySet;
use super::signature::Algorithm;

/// Where in the claims something stands: the names of members, from the outside to the inside.
pub type ClaimPath = Vec<String>;

/// The claims that are read. `None`: nothing is read for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// Who has come.
    pub name: ClaimPath,
    pub tier: Option<ClaimPath>,
    pub routes: Option<ClaimPath>,
    pub models: Option<ClaimPath>,
    pub networks: Option<ClaimPath>,
    pub priority: Option<ClaimPath>,
    pub concurrency: Option<ClaimPath>,
    pub requests_per_minute: Option<ClaimPath>,
    pub tokens_per_minute: Option<ClaimPath>,
    pub tokens_per_day: Option<ClaimPath>,
    pub tokens_per_month: Option<ClaimPath>,
    pub cost_per_day: Option<ClaimPath>,
    pub cost_per_month: Option<ClaimPath>,
}

impl Default for ClaimNames {
    fn default() -> ClaimNames {
        ClaimNames {
            name: vec!["sub".to_owned()],
            tier: None,
            routes: None,
            models: None,
            networks: None,
            priority: None,
            concurrency: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            tokens_per_day: None,
            tokens_per_month: None,
            cost_per_day: None,
            cost_per_month: None,
        }
    }
}

impl ClaimNames {
    /// Whether any of them says how much money may be spent.
    pub fn tell_cost(&self) -> bool {
        self.cost_per_day.is_some() || self.cost_per_month.is_some()
    }
}

/// `[issuers.NAME]`, as far as tokens are judged by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    pub name: String,
    /// What `iss` has to be, to the letter.
    pub issuer: String,
    /// One of these has to be in `aud`.
    pub audience: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// After what time keys that could not be fetched again do not count.
    pub keys_age_max: Duration,
    /// Where a token says who has come, and how much may be used.
    pub claims: ClaimNames,
    /// What holds for a token that names no tier.
    pub tier: Option<String>,
}

impl IssuerSettings {
    /// When a token is good. It has to say when it ends.
    pub(super) fn window(&self, claims: &Map<String, Value>) -> Result<Window, TokenFault> {
        let leeway = self.leeway.as_secs();
        let end = moment(claims, "exp")?.ok_or(TokenFault::Endless)?;
        let begin = moment(claims, "nbf")?.unwrap_or(0);
        moment(claims, "iat")?;
        Ok(Window { from: begin.saturating_sub(leeway), until: end.saturating_add(leeway) })
    }

    pub(super) fn is_for_us(&self, claims: &Map<String, Value>) -> Result<(), TokenFault> {
        let is_ours = |audience: &Value| {
            audience.as_str().is_some_and(|audience| self.audience.iter().any(|it| it == audience))
        };
        let for_us = match claims.get("aud") {
            Some(Value::Array(list)) => list.iter().any(is_ours),
            Some(audience) => is_ours(audience),
            None => false,
        };
        if for_us { Ok(()) } else { Err(TokenFault::Audience) }
    }
}

/// A `NumericDate` (RFC 7519 §2): seconds, perhaps with a fraction.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, TokenFault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(seconds));
    }
    match value.as_f64() {
        Some(seconds) if (0.0..1e15).contains(&seconds) => Ok(Some(seconds as u64)),
        _ => Err(TokenFault::Moment),
    }
}

/// An issuer of one generation of the configuration.
#[derive(Debug)]
pub struct Issuer {
    pub settings: IssuerSettings,
    pub keys: Arc<IssuerKeys>,
}

type Want = Box<dyn Fn() + Send>;

/// The keys of an issuer that are known now.
#[derive(Default)]
pub struct IssuerKeys {
    known: Mutex<Option<Arc<KeySet>>>,
    /// Becomes another one with the keys.
    version: AtomicU64,
    /// The second of the clock in which they were fetched last, the same ones or others.
    fetched: AtomicU64,
    /// Somebody has asked for them to be fetched, and was not heard yet.
    wanted: AtomicBool,
    /// Whom to ask; nobody before there is one who fetches.
    want: Mutex<Option<Want>>,
}

impl std::fmt::Debug for IssuerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IssuerKeys")
    }
}

impl IssuerKeys {
    /// Has somebody be told from now on when a key is asked for that is not known.
    pub fn on_want(&self, want: impl Fn() + Send + 'static) {
        *self.want.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(want));
    }

    /// Asks for the keys to be fetched, as soon as that may be.
    pub fn want(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel) {
            let want = self.want.lock().unwrap_or_else(PoisonError::into_inner);
            want.iter().for_each(|want| want());
        }
    }

    /// Whether they were asked for since this was asked last.
    pub fn heard(&self) -> bool {
        self.wanted.swap(false, Ordering::AcqRel)
    }

    /// These were fetched at this second. Whether they are others than before.
    pub fn put(&self, keys: impl Into<Arc<KeySet>>, unix: u64) -> bool {
        let keys = keys.into();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.fetched.store(unix, Ordering::Release);
        if known.as_ref().is_some_and(|known| known.digest == keys.digest) {
            return false;
        }
        *known = Some(keys);
        self.version.fetch_add(1, Ordering::Release);
        true
    }

    /// Takes over what others know, if they know any.
    pub fn adopt(&self, others: &IssuerKeys) {
        let keys = others.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(keys) = keys {
            self.put(keys, others.fetched.load(Ordering::Acquire));
        }
    }

    /// How long ago they were fetched; `None`: never.
    pub fn age(&self, unix: u64) -> Option<Duration> {
        let fetched = Some(self.fetched.load(Ordering::Acquire)).filter(|fetched| *fetched > 0)?;
        Some(Duration::from_secs(unix.saturating_sub(fetched)))
    }

    /// Whether these keys are still those by which something was proven.
    pub(super) fn are_still(&self, version: u64, age_max: Duration, unix: u64) -> bool {
        self.version.load(Ordering::Acquire) == version
            && self.age(unix).is_some_and(|age| age <= age_max)
    }

    pub(super) fn known(
        &self,
        age_max: Duration,
        unix: u64,
    ) -> Result<(Arc<KeySet>, u64), TokenFault> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.version.load(Ordering::Acquire);
        match known.as_ref() {
            Some(keys) if self.age(unix).is_some_and(|age| age <= age_max) => {
                Ok((Arc::clone(keys), version))
            }
            _ => Err(TokenFault::Unavailable),
        }
    }
}
