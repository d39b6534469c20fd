//! One API key: what the configuration says of it, and what it has used.
//!
//! The two have different lives. The settings are those of one generation of the configuration; what was
//! used goes on under the key's name, over reloads and rotations, and is counted by all workers together.
//!
//! * The secret itself is nowhere: a key is known by the SHA-256 of it.
//! * A fast hash is enough, since what is hashed are 256 random bits: nobody guesses them, however fast.
//!   A slow hash defends weak passwords, and would cost each request more than all else.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::bucket::MinuteBucket;
use super::budget::{Period, PeriodSum};
use super::network::Cidr;
use crate::http::pattern::Pattern;

/// What the secrets of keys that `sluicegate key` makes begin with.
pub const SECRET_PREFIX: &str = "sg-";

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

/// `[keys.NAME]`: what a key opens, and how much it may use. `None`: no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    pub name: String,
    pub digest: KeyDigest,
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
    /// 0 is the most urgent.
    pub priority: Option<u8>,
    /// Requests under way at once.
    pub concurrency: Option<u32>,
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
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
            digest,
            previous: None,
            in_file: false,
            routes: Vec::new(),
            models: Vec::new(),
            networks: Vec::new(),
            priority: None,
            concurrency: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            tokens_per_day: None,
            tokens_per_month: None,
            cost_per_day: None,
            cost_per_month: None,
            expires: None,
        }
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

/// What a key has used, counted by all workers.
#[derive(Debug, Default)]
pub struct KeyUse {
    pub(super) requests: MinuteBucket,
    pub(super) tokens: MinuteBucket,
    under_way: AtomicU32,
    pub(super) tokens_day: PeriodSum,
    pub(super) tokens_month: PeriodSum,
    pub(super) cost_day: PeriodSum,
    pub(super) cost_month: PeriodSum,
}

impl KeyUse {
    /// Requests under way.
    pub fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Begins a request, if there are fewer than `most`.
    pub(super) fn begin(&self, most: Option<u32>) -> bool {
        let most = most.unwrap_or(u32::MAX);
        let order = Ordering::Relaxed;
        self.under_way.fetch_update(order, order, |now| (now < most).then(|| now + 1)).is_ok()
    }

    pub(super) fn end(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
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
}
