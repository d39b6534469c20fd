//! Claims: what a token says of its subject, made into what a key says of itself.
//!
//! ```text
//!   tier   by a claim, or the one of the issuer, or none     ─▶  the limits that hold
//!   claims of their own, where the configuration names them  ─▶  each in the place of the tier's
//! ```
//!
//! * A claim that is named in the configuration and is not in the token changes nothing, but for the tier:
//!   where a claim says the tier, a token without it needs the issuer to have one.
//! * A claim that cannot be understood refuses the token. So does an empty list: for a key it would mean
//!   everything.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fault::TokenFault;
use super::issuer::{ClaimNames, ClaimPath};
use super::subjects::SubjectId;
use crate::gate::key::{CONCURRENCY_MAX, KeyDigest, KeySettings, PRIORITIES, RATE_MAX, TOKENS_MAX};
use crate::gate::network::Cidr;
use crate::http::pattern::Pattern;

/// `[tiers.NAME]`: what tokens of a tier open, and how much they may use. The name and the digest of such
/// settings mean nothing.
pub type Tiers = BTreeMap<String, KeySettings>;

/// Bytes of a subject's name.
const SUBJECT_MAX: usize = 255;
/// Bytes of it that are shown.
const SHOWN_MAX: usize = 64;
/// Entries of a list, and bytes of each.
const LIST_MAX: usize = 256;
const ENTRY_MAX: usize = 256;

/// Who claims it, and where they do.
#[derive(Clone, Copy, Debug)]
pub(in crate::gate) struct Saying<'a> {
    /// The name of the issuer.
    pub by: &'a str,
    pub names: &'a ClaimNames,
    /// What holds where no tier is named.
    pub tier: Option<&'a str>,
}

/// Who has come by these claims, and what that opens.
pub(in crate::gate) fn settings_of(
    saying: Saying<'_>,
    tiers: &Tiers,
    claims: &Map<String, Value>,
) -> Result<(SubjectId, KeySettings), TokenFault> {
    let unclear = TokenFault::Claims;
    let names = saying.names;
    let name = find(claims, &names.name).and_then(Value::as_str).ok_or(unclear)?;
    if name.is_empty() || name.len() > SUBJECT_MAX {
        return Err(unclear);
    }
    let mut settings = tier_of(saying, tiers, claims)?;
    settings.name = shown(saying.by, name);
    let claim = |path: &Option<ClaimPath>| find(claims, path.as_ref()?);
    if let Some(value) = claim(&names.routes) {
        settings.routes = strings(value)?.into_iter().map(str::to_owned).collect();
    }
    if let Some(value) = claim(&names.models) {
        settings.models = strings(value)?.into_iter().map(Pattern::new).collect();
    }
    if let Some(value) = claim(&names.networks) {
        let read = |text| Cidr::parse(text).map_err(|_| unclear);
        settings.networks = strings(value)?.into_iter().map(read).collect::<Result<_, _>>()?;
    }
    if let Some(value) = claim(&names.priority) {
        let last = u64::from(PRIORITIES) - 1;
        // It fits: the last priority does.
        settings.priority = Some(number(value, 0, last)? as u8);
    }
    if let Some(value) = claim(&names.concurrency) {
        settings.concurrency = Some(number(value, 1, CONCURRENCY_MAX)? as u32);
    }
    for (path, limit, most) in [
        (&names.requests_per_minute, &mut settings.requests_per_minute, RATE_MAX),
        (&names.tokens_per_minute, &mut settings.tokens_per_minute, RATE_MAX),
        (&names.tokens_per_day, &mut settings.tokens_per_day, TOKENS_MAX),
        (&names.tokens_per_month, &mut settings.tokens_per_month, TOKENS_MAX),
    ] {
        if let Some(value) = claim(path) {
            *limit = Some(number(value, 1, most)?);
        }
    }
    for (path, limit) in [
        (&names.cost_per_day, &mut settings.cost_per_day),
        (&names.cost_per_month, &mut settings.cost_per_month),
    ] {
        if let Some(value) = claim(path) {
            *limit = Some(money(value)?);
        }
    }
    Ok((SubjectId { issuer: saying.by.to_owned(), name: name.to_owned() }, settings))
}

fn tier_of(
    saying: Saying<'_>,
    tiers: &Tiers,
    claims: &Map<String, Value>,
) -> Result<KeySettings, TokenFault> {
    let said = saying.names.tier.as_ref().and_then(|path| find(claims, path));
    let name = match (said, saying.tier) {
        (Some(name), _) => Some(name.as_str().ok_or(TokenFault::Claims)?),
        (None, Some(name)) => Some(name),
        (None, None) if saying.names.tier.is_some() => return Err(TokenFault::Claims),
        (None, None) => None,
    };
    match name {
        None => Ok(KeySettings::unlimited("", KeyDigest([0; 32]))),
        Some(name) => tiers.get(name).cloned().ok_or(TokenFault::Claims),
    }
}

/// The claim at this path; one that is null is none.
fn find<'c>(claims: &'c Map<String, Value>, path: &[String]) -> Option<&'c Value> {
    let (first, rest) = path.split_first()?;
    let mut value = claims.get(first)?;
    for name in rest {
        value = value.as_object()?.get(name)?;
    }
    Some(value).filter(|value| !value.is_null())
}

/// A list of strings, or strings between spaces as in `scope`. Each is one at least.
fn strings(value: &Value) -> Result<Vec<&str>, TokenFault> {
    let strings: Option<Vec<&str>> = match value {
        Value::String(text) => Some(text.split_ascii_whitespace().collect()),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let good = |list: &Vec<&str>| {
        (1..=LIST_MAX).contains(&list.len())
            && list.iter().all(|text| (1..=ENTRY_MAX).contains(&text.len()))
    };
    strings.filter(good).ok_or(TokenFault::Claims)
}

fn number(value: &Value, least: u64, most: u64) -> Result<u64, TokenFault> {
    let number = value.as_u64().filter(|number| (least..=most).contains(number));
    number.ok_or(TokenFault::Claims)
}

/// Billionths of the currency.
fn money(value: &Value) -> Result<u64, TokenFault> {
    let whole = value.as_f64().filter(|whole| (0.0..=1e6).contains(whole) && *whole > 0.0);
    whole.map(|whole| (whole * 1e9).round() as u64).ok_or(TokenFault::Claims)
}

/// What logs, pages and metrics call a subject. No name of a key has a colon in it, so nobody can pass for
/// one; what no name has is shown as `_`.
fn shown(issuer: &str, name: &str) -> String {
    let letter = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() => letter,
        '-' | '_' | '.' | '@' | '|' | '/' | '+' | ':' => letter,
        _ => '_',
    };
    let name: String = name.chars().take(SHOWN_MAX).map(letter).collect();
    format!("{issuer}:{name}")
}
