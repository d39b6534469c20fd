//! Who has come, and what that opens now.
//!
//! A principal holds its place among those under way and what was reserved for it; both go back when it is
//! dropped, if they have not before.

use std::sync::Arc;

use super::budget::Period;
use super::key::{ApiKey, KeyDigest};
use super::network::any_contains;
use super::refusal::{Bar, GateRefusal};
use super::table::KeyTable;
use super::{Asked, AskedModel};
use crate::http::pattern::Pattern;

/// Who has come: by a key, a token, or the word of the authoriser.
#[derive(Debug)]
pub struct Principal {
    pub(super) key: Arc<ApiKey>,
    /// It is counted among those under way.
    pub(super) entered: bool,
    /// By the secret from before a rotation.
    pub(super) previous: bool,
    /// Tokens that were reserved.
    pub(super) reserved: u64,
    /// The digest of the token that it came with, where it was one.
    token: Option<KeyDigest>,
    /// The authoriser has let it in, and nothing else says who it is.
    authorised: bool,
}

impl Principal {
    /// The digest of the token that it has come with, if with one.
    pub fn token(&self) -> Option<KeyDigest> {
        self.token
    }

    pub(super) fn of(key: &Arc<ApiKey>, token: Option<KeyDigest>) -> Principal {
        let key = Arc::clone(key);
        Principal { key, entered: false, previous: false, reserved: 0, token, authorised: false }
    }

    /// Whom the authoriser has let in.
    pub(super) fn authorised(key: &Arc<ApiKey>) -> Principal {
        let mut who = Principal::of(key, None);
        who.authorised = true;
        who
    }

    /// Whether the authoriser has let it in: by which of its credentials nobody knows here.
    pub fn is_authorised(&self) -> bool {
        self.authorised
    }

    pub fn key(&self) -> &ApiKey {
        &self.key
    }

    pub fn name(&self) -> &str {
        &self.key.settings.name
    }

    /// Whether it was let in.
    pub fn has_entered(&self) -> bool {
        self.entered
    }

    /// Whether `keys`, which are younger, still have the key that it came by; `certificate`: what its client
    /// has proved to be. Of who came by a token, or by the word of the authoriser, no key tells anything.
    pub fn is_known_to(&self, keys: &KeyTable, certificate: Option<&str>) -> bool {
        if self.token.is_some() || self.authorised {
            return true;
        }
        let settings = &self.key.settings;
        let secret = match self.previous {
            false => settings.digest(),
            true => settings.previous.map(|(digest, _)| digest),
        };
        match secret {
            Some(digest) => keys.known(&digest).is_some(),
            None => certificate.is_some_and(|name| keys.of_certificate(name).is_some()),
        }
    }

    /// The models that it is for; `None`: all.
    pub fn models(&self) -> Option<&[Pattern]> {
        Some(&*self.key.settings.models).filter(|models| !models.is_empty())
    }

    /// Whether what it uses is counted in tokens, or in money.
    pub fn counts_tokens(&self) -> bool {
        self.key.settings.counts_tokens()
    }

    pub(super) fn is_allowed(&self, asked: &Asked<'_>, unix: u64) -> Result<(), GateRefusal> {
        let settings = &self.key.settings;
        if settings.expires.is_some_and(|end| unix >= end) {
            return Err(GateRefusal::Expired);
        }
        if self.previous && settings.previous.is_none_or(|(_, end)| unix >= end) {
            return Err(GateRefusal::Unknown { ours: true });
        }
        let forbidden = |bar| Err(GateRefusal::Forbidden(bar));
        if !settings.networks.is_empty() && !any_contains(&settings.networks, asked.client) {
            return forbidden(Bar::Network);
        }
        let shown = asked.certificate.unwrap_or_default().as_bytes();
        let is_shown = |it: &Pattern| !shown.is_empty() && it.matches(shown);
        if !settings.certificates.is_empty() && !settings.certificates.iter().any(is_shown) {
            return forbidden(Bar::Certificate);
        }
        if !settings.routes.is_empty() && !settings.routes.iter().any(|it| it == asked.route) {
            return forbidden(Bar::Route);
        }
        if asked.tunnel && (!settings.models.is_empty() || settings.counts_tokens()) {
            return forbidden(Bar::Tunnel);
        }
        if settings.models.is_empty() {
            return Ok(());
        }
        let opens = |name: &str| settings.models.iter().any(|it| it.matches(name.as_bytes()));
        if !asked.named.iter().all(|readings| readings.iter().any(|name| opens(name))) {
            return forbidden(Bar::Model);
        }
        match asked.model {
            AskedModel::None => Ok(()),
            AskedModel::Unknown if !asked.named.is_empty() => Ok(()),
            AskedModel::Unknown => forbidden(Bar::UnnamedModel),
            AskedModel::Named(model) if opens(model) => Ok(()),
            AskedModel::Named(_) => forbidden(Bar::Model),
        }
    }

    pub(super) fn has_budget(&self, unix: u64) -> Result<(), GateRefusal> {
        let settings = &self.key.settings;
        if !settings.has_budget() {
            return Ok(());
        }
        let budgets = [
            (Period::Day, settings.tokens_per_day, settings.cost_per_day),
            (Period::Month, settings.tokens_per_month, settings.cost_per_month),
        ];
        for (period, tokens, cost) in budgets {
            let (spent_tokens, spent_cost) = self.key.used.spent(period, unix);
            let over = |limit: Option<u64>, spent| limit.is_some_and(|limit| spent >= limit);
            if over(tokens, spent_tokens) || over(cost, spent_cost) {
                return Err(GateRefusal::Budget(period, period.rest(unix)));
            }
        }
        Ok(())
    }

    /// Takes back what it holds: its place, and what is reserved and was not used.
    pub(super) fn leave(&mut self) {
        if !std::mem::take(&mut self.entered) {
            return;
        }
        let reserved = std::mem::take(&mut self.reserved);
        if let Some(rate) = self.key.tokens() {
            rate.give_back(reserved);
        }
        self.key.used.end();
    }
}

impl Drop for Principal {
    fn drop(&mut self) {
        self.leave();
    }
}
