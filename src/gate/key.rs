//! One API key: what the configuration says of it, and what it has used.
//!
//! The two have different lives. The settings are those of one generation of the configuration; what was
//! used goes on under the key's name, over reloads and rotations, and is counted by all workers together.
//!
//! * The secret itself is nowhere: a key is known by the SHA-256 of it, or it has none and is a certificate's.
//! * A fast hash is enough, since what is hashed are 256 random bits: nobody guesses them, however fast.
//!   A slow hash defends weak passwords, and would cost each request more than all else.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::GateTime;
use super::bucket::MinuteBucket;
use super::budget::{Period, PeriodSum};
use super::network::Cidr;
use super::share::{KeyRate, RateShare};
use crate::clock::Instant;
use crate::http::pattern::Pattern;

/// What the secrets of keys that `sluicegate key` makes begin with.
pub const SECRET_PREFIX: &str = "sg-";

/// The most urgent priority is 0, the least urgent this minus one.
pub const PRIORITIES: u8 = 4;
/// The most that a rate per minute may be.
pub const RATE_MAX: u64 = 1_000_000_000;
/// The most that a budget of tokens may be.
pub const TOKENS_MAX: u64 = 1_000_000_000_000;
/// The most requests that may be under way at once.
pub const CONCURRENCY_MAX: u64 = 1_000_000;

/// The SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    pub fn of(secret: &[u8]) -> KeyDigest {
        KeyDigest(Sha256::digest(secret).into())
    }

    /// Takes as long whether or not they are the same.
    pub(super) fn is(&self, other: &KeyDigest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// As it is written in a configuration.
impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Who keeps the rates and the concurrency of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Across {
    /// Each gateway by itself.
    #[default]
    Gateway,
    /// All gateways of a fleet together, each its share.
    Fleet,
}

/// By what whoever has a key is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyHolder {
    /// They send its secret, whose digest this is.
    Secret(KeyDigest),
    /// They have proved to be one of these by a certificate, and send nothing.
    Certificate(Vec<Pattern>),
}

/// `[keys.NAME]`: what a key opens, and how much it may use. `None`: no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    pub name: String,
    pub holder: KeyHolder,
    /// The one before a rotation, and the second of the clock until which it still opens.
    pub previous: Option<(KeyDigest, u64)>,
    /// It stands in the keys file, and not in the configuration.
    pub in_file: bool,
    /// Paths of routes, as they are written there; empty: all.
    pub routes: Vec<String>,
    /// Empty: all.
    pub models: Vec<Pattern>,
    /// Where its clients may be; empty: everywhere.
    pub networks: Vec<Cidr>,
    /// Who its client has to prove to be by a certificate, beside its secret; empty: it need not.
    pub certificates: Vec<Pattern>,
    /// 0 is the most urgent.
    pub priority: Option<u8>,
    /// Requests under way at once.
    pub concurrency: Option<u32>,
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    /// Who keeps these three. Budgets are each gateway's own.
    pub across: Across,
    pub tokens_per_day: Option<u64>,
    pub tokens_per_month: Option<u64>,
    /// In millionths of a thousandth of the currency.
    pub cost_per_day: Option<u64>,
    pub cost_per_month: Option<u64>,
    /// The second of the clock from which it opens nothing.
    pub expires: Option<u64>,
}

impl KeySettings {
    /// A key without any limit.
    pub fn unlimited(name: &str, digest: KeyDigest) -> KeySettings {
        KeySettings {
            name: name.to_owned(),
            holder: KeyHolder::Secret(digest),
            previous: None,
            in_file: false,
            routes: Vec::new(),
            models: Vec::new(),
            networks: Vec::new(),
            certificates: Vec::new(),
            priority: None,
            concurrency: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            across: Across::default(),
            tokens_per_day: None,
            tokens_per_month: None,
            cost_per_day: None,
            cost_per_month: None,
            expires: None,
        }
    }

    /// What is kept of its secret, if it has one.
    pub fn digest(&self) -> Option<KeyDigest> {
        match self.holder {
            KeyHolder::Secret(digest) => Some(digest),
            KeyHolder::Certificate(_) => None,
        }
    }

    /// Who comes by it with a certificate alone; empty: nobody.
    pub fn certificate(&self) -> &[Pattern] {
        match &self.holder {
            KeyHolder::Secret(_) => &[],
            KeyHolder::Certificate(names) => names,
        }
    }

    /// Whether there is anything of what it uses that has to be counted.
    pub fn has_limits(&self) -> bool {
        self.counts_tokens() || self.requests_per_minute.is_some() || self.concurrency.is_some()
    }

    /// Whether what it uses is counted in tokens, or in money.
    pub fn counts_tokens(&self) -> bool {
        self.tokens_per_minute.is_some() || self.has_budget()
    }

    /// Whether anything of it is kept over a restart.
    pub fn has_budget(&self) -> bool {
        let budgets =
            [self.tokens_per_day, self.tokens_per_month, self.cost_per_day, self.cost_per_month];
        budgets.iter().any(Option::is_some)
    }
}

/// Bits of the number under way; those above hold this gateway's share of the concurrency.
const PLACE_BITS: u32 = 32;
const UNDER_WAY: u64 = (1 << PLACE_BITS) - 1;

/// What a key has used, counted by all workers, and its shares, where it has some.
#[derive(Debug, Default)]
pub struct KeyUse {
    pub(super) requests: MinuteBucket,
    pub(super) tokens: MinuteBucket,
    request_share: RateShare,
    token_share: RateShare,
    /// The share and the number under way in one word: whoever comes in has seen both at one moment.
    places: AtomicU64,
    /// The most under way since the last look, and how many have found no place: of a share.
    crowd: AtomicU64,
    turned_away: AtomicU64,
    pub(super) tokens_day: PeriodSum,
    pub(super) tokens_month: PeriodSum,
    pub(super) cost_day: PeriodSum,
    pub(super) cost_month: PeriodSum,
}

impl KeyUse {
    /// Whether nothing would be lost if it were forgotten: no request is under way, its rates are back to
    /// the full, and, where it has budgets, nothing of them is spent in periods that last.
    pub(super) fn says_nothing(&self, has_budget: bool, at: GateTime) -> bool {
        let spent = |period| self.spent(period, at.unix) != (0, 0);
        self.under_way() == 0
            && self.requests.full_in(at.now).is_zero()
            && self.tokens.full_in(at.now).is_zero()
            && !(has_budget && (spent(Period::Day) || spent(Period::Month)))
    }

    /// Requests under way.
    pub fn under_way(&self) -> u32 {
        // It has so many bits.
        (self.places.load(Ordering::Relaxed) & UNDER_WAY) as u32
    }

    /// Begins a request, if there are fewer than `most`.
    pub(super) fn begin(&self, most: Option<u32>) -> bool {
        let most = u64::from(most.unwrap_or(u32::MAX));
        let order = Ordering::Relaxed;
        let begin = |word: u64| (word & UNDER_WAY < most).then(|| word + 1);
        self.places.fetch_update(order, order, begin).is_ok()
    }

    /// The same, if there are fewer than this gateway's share.
    pub(super) fn begin_of_share(&self) -> bool {
        let order = Ordering::Relaxed;
        let begin = |word: u64| (word & UNDER_WAY < word >> PLACE_BITS).then(|| word + 1);
        let begun = self.places.fetch_update(order, order, begin);
        match begun {
            Ok(before) => self.crowd.fetch_max((before & UNDER_WAY) + 1, order),
            Err(_) => self.turned_away.fetch_add(1, order),
        };
        begun.is_ok()
    }

    pub(super) fn end(&self) {
        self.places.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many may be under way from now on; how many are, which only sinks until they are fewer.
    pub fn share_places(&self, share: u32) -> u32 {
        let order = Ordering::Relaxed;
        let set = |word: u64| Some(u64::from(share) << PLACE_BITS | word & UNDER_WAY);
        // The update never declines, and what it gives has so many bits.
        let (Ok(before) | Err(before)) = self.places.fetch_update(order, order, set);
        (before & UNDER_WAY) as u32
    }

    /// How many were wanted at once since the last look: under way, or turned away.
    pub fn places_wanted(&self) -> u64 {
        let order = Ordering::Relaxed;
        let crowd = self.crowd.swap(0, order).max(self.under_way().into());
        crowd + self.turned_away.swap(0, order)
    }

    /// Sets the share of the requests a minute, or of the tokens.
    pub fn share_rate(&self, tokens: bool, share: u64, granted: bool, now: Instant) {
        match tokens {
            true => self.token_share.set(&self.tokens, share, granted, now),
            false => self.request_share.set(&self.requests, share, granted, now),
        }
    }

    /// How many requests were ever asked for, or tokens, where they are shared.
    pub fn asked(&self, tokens: bool) -> u64 {
        if tokens { self.token_share.asked() } else { self.request_share.asked() }
    }

    /// Tokens and cost of a period that this second lies in.
    pub fn spent(&self, period: Period, unix: u64) -> (u64, u64) {
        let number = period.number(unix);
        let (tokens, cost) = self.sums(period);
        (tokens.read(number), cost.read(number))
    }

    /// Adds to a period.
    pub fn spend(&self, period: Period, number: u64, tokens: u64, cost: u64) {
        let (token_sum, cost_sum) = self.sums(period);
        token_sum.add(number, tokens);
        cost_sum.add(number, cost);
    }

    fn sums(&self, period: Period) -> (&PeriodSum, &PeriodSum) {
        match period {
            Period::Day => (&self.tokens_day, &self.cost_day),
            Period::Month => (&self.tokens_month, &self.cost_month),
        }
    }
}

/// A key of one generation of the configuration.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub settings: KeySettings,
    pub used: Arc<KeyUse>,
}

impl ApiKey {
    pub fn new(settings: KeySettings) -> ApiKey {
        ApiKey { settings, used: Arc::default() }
    }

    /// Its requests a minute.
    pub fn requests(&self) -> Option<KeyRate<'_>> {
        let (bucket, share) = (&self.used.requests, &self.used.request_share);
        let share = (self.settings.across == Across::Fleet).then_some(share);
        self.settings.requests_per_minute.map(|limit| KeyRate { limit, bucket, share })
    }

    /// Its tokens a minute.
    pub fn tokens(&self) -> Option<KeyRate<'_>> {
        let (bucket, share) = (&self.used.tokens, &self.used.token_share);
        let share = (self.settings.across == Across::Fleet).then_some(share);
        self.settings.tokens_per_minute.map(|limit| KeyRate { limit, bucket, share })
    }

    /// Begins a request, if there is a place.
    pub(super) fn begin(&self) -> bool {
        match (self.settings.concurrency, self.settings.across) {
            (Some(_), Across::Fleet) => self.used.begin_of_share(),
            (most, _) => self.used.begin(most),
        }
    }
}
