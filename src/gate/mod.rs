//! The gate: who comes in, and how much they may use.
//!
//! It is asked twice in the life of a request. [`Gate::enter`] says whether it comes in, before anything
//! is done for it; [`Gate::settle`] is told what it has used, when it is over. Between the two nobody
//! asks: a token that passes knows nothing of keys.
//!
//! ```text
//!   head ──identify──▶ Principal ──enter──▶ … the exchange … ──settle──▶ buckets, budgets
//!              │                     │
//!              └── GateRefusal ◀─────┘     401, 403, 429
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`key`] | one key: its settings, and what it has used |
//! | [`table`] | all keys, found by the digest of a secret |
//! | [`bucket`], [`budget`] | rates per minute; sums of days and months |
//! | [`addresses`] | limits of client addresses |
//! | [`authoriser`] | who comes in by the word of a server of the operator's |
//! | [`named`] | the models that a path and a query can be read as naming |
//! | [`network`] | prefixes of addresses |
//! | [`fields`] | the `x-ratelimit-*` fields |
//! | [`forwarded`] | whose request it is, behind proxies that are trusted |
//! | [`preamble`] | the PROXY protocol, by which a balancer says whose connection it is |
//! | `principal` | who has come, and what that opens now |
//! | [`share`] | the share of a rate, where it holds across a fleet |
//! | [`token`] | who comes in by a JWT that an issuer has signed |
//! | [`refusal`] | why a request is not let in |
//!
//! * Pure: heads and moments go in, decisions come out. No socket, no clock, no file.
//! * A limit holds for the whole gateway: what is counted are atomic words that all workers share. No
//!   worker waits for another, on any path.
//! * What was reserved is given back exactly once, whatever becomes of the request: by
//!   [`Gate::settle`], or when the [`Principal`] is dropped.

pub mod addresses;
pub mod authoriser;
pub mod bucket;
pub mod budget;
pub mod fields;
pub mod forwarded;
pub mod key;
pub mod named;
pub mod network;
pub mod preamble;
mod principal;
pub mod refusal;
pub mod share;
pub mod table;
#[cfg(test)]
mod tests;
pub mod token;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use self::addresses::{AddressLimits, AddressTable};
use self::authoriser::Authoriser;
use self::authoriser::fault::AuthFault;
use self::budget::Period;
use self::forwarded::ClientField;
use self::key::{ApiKey, KeyDigest, SECRET_PREFIX};
use self::named::Readings;
use self::network::{Cidr, any_contains};
pub use self::principal::Principal;
use self::refusal::{GateRefusal, RateOf};
use self::table::KeyTable;
use self::token::claims::Tiers;
use self::token::fault::TokenFault;
use self::token::issuer::Issuer;
use self::token::looks_like_token;
use self::token::memory::TokenMemory;
use self::token::subjects::Subjects;
use crate::clock::Instant;
use crate::http::credential::{credentials_of, key_in, keys_of};
use crate::http::head::RequestHead;

/// Whether a route wants keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyMode {
    /// Keys are not looked at, and pass to the server as any other field.
    #[default]
    Off,
    /// A key that is known counts; a request without one of ours comes in as well.
    Optional,
    Required,
}

impl KeyMode {
    /// Whether a request comes in that has no key of ours, for this reason. A secret of our make is meant
    /// for nobody else: it must not go on to a server because it was revoked or mistyped.
    pub fn admits(self, why: GateRefusal) -> bool {
        match self {
            KeyMode::Off => true,
            KeyMode::Required => false,
            KeyMode::Optional => {
                matches!(
                    why,
                    GateRefusal::Missing
                        | GateRefusal::Unknown { ours: false }
                        // It is for somebody further on.
                        | GateRefusal::Token(TokenFault::Issuer)
                        | GateRefusal::Auth(AuthFault::Denied)
                )
            }
        }
    }
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateTime {
    pub now: Instant,
    /// Seconds since 1970.
    pub unix: u64,
}

/// What the gate of one generation of the configuration goes by.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    pub keys: KeyTable,
    /// Who signs tokens that open.
    pub issuers: Vec<Arc<Issuer>>,
    /// Who is asked about those whom neither a key nor a token lets in.
    pub authoriser: Option<Arc<Authoriser>>,
    /// What tokens of a tier may use.
    pub tiers: Tiers,
    /// What those have used who come by tokens.
    pub subjects: Arc<Subjects>,
    /// A key of ours goes on to the server.
    pub passes_keys: bool,
    /// Tokens that an answer is taken to have, before it is known.
    pub guess_tokens: u64,
    /// Proxies whose word on the client's address is believed.
    pub trusted: Vec<Cidr>,
    /// Where they write it.
    pub client_field: ClientField,
    /// Load balancers whose connections begin with a preamble of the PROXY protocol.
    pub balancers: Vec<Cidr>,
    /// Empty: everybody but those that are denied.
    pub allow: Vec<Cidr>,
    pub deny: Vec<Cidr>,
    /// What one address may do, and what all have done. `None`: addresses have no limits.
    pub addresses: Option<(AddressLimits, Arc<AddressTable>)>,
}

/// What a principal asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The path of the route, as it is written in the configuration.
    pub route: &'a str,
    pub model: AskedModel<'a>,
    /// What its path and its query name: each has to be one that the key opens.
    pub named: &'a [Readings],
    /// It asks for a tunnel, in which nobody sees what is asked for.
    pub tunnel: bool,
    pub client: IpAddr,
    /// Who the client has proved to be by a certificate.
    pub certificate: Option<&'a str>,
    /// Bytes of the body, as far as the head tells. `None`: nothing that costs tokens is asked for.
    pub body: Option<u64>,
}

/// The model of a request, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedModel<'a> {
    /// It asks for none: it has no body.
    None,
    Named(&'a str),
    /// Nobody has read it.
    Unknown,
}

/// What a request has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateUsage {
    pub tokens: u64,
    /// In billionths of the currency.
    pub cost: u64,
}

/// Bytes of a request that are taken for a token, before a server has counted them.
pub const BYTES_PER_TOKEN: u64 = 4;

impl Gate {
    /// Whether it matters where a request is from.
    pub fn looks_at_addresses(&self) -> bool {
        !self.trusted.is_empty()
            || !self.allow.is_empty()
            || !self.deny.is_empty()
            || self.addresses.is_some()
    }

    /// Whether something depends on where a request is from, and nothing is said of Unix sockets.
    pub fn forgets_unix_sockets(&self) -> bool {
        let somewhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let believed =
            any_contains(&self.trusted, somewhere) || any_contains(&self.balancers, somewhere);
        let judged = self.allow.contains(&Cidr::UNIX) || self.deny.contains(&Cidr::UNIX);
        self.looks_at_addresses() && !believed && !judged
    }

    /// Whether an address is let in at all.
    pub fn admits_address(&self, address: IpAddr) -> bool {
        let allowed = self.allow.is_empty() || any_contains(&self.allow, address);
        allowed && !any_contains(&self.deny, address)
    }

    /// Whether a connection from there comes in. One that does has to [leave](Gate::leave).
    pub fn admits_connection(&self, peer: IpAddr, now: Instant) -> bool {
        // A proxy that is trusted has the connections of many.
        if any_contains(&self.trusted, peer) {
            return true;
        }
        let counted =
            |(limits, table): &(AddressLimits, Arc<AddressTable>)| table.connect(limits, peer, now);
        self.admits_address(peer) && self.addresses.as_ref().is_none_or(counted)
    }

    /// A connection that came in has ended.
    pub fn leave(&self, peer: IpAddr) {
        if let Some((limits, table)) = &self.addresses
            && !any_contains(&self.trusted, peer)
        {
            table.leave(limits, peer);
        }
    }

    /// Whether who came in under `before` is counted here.
    pub fn counts_those_of(&self, before: &Gate) -> bool {
        match (&self.addresses, &before.addresses) {
            (Some((_, table)), Some((_, known))) => Arc::ptr_eq(table, known),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    /// Counts a connection that came in before this gate was in force. It has to [leave](Gate::leave).
    pub fn take_over(&self, peer: IpAddr, now: Instant) {
        if let Some((limits, table)) = &self.addresses
            && !any_contains(&self.trusted, peer)
        {
            table.join(limits, peer, now);
        }
    }

    /// Whether a request of this client comes in.
    pub fn admits_request(&self, client: IpAddr, now: Instant) -> Result<(), GateRefusal> {
        if !self.admits_address(client) {
            return Err(GateRefusal::Denied);
        }
        match &self.addresses {
            None => Ok(()),
            Some((limits, table)) => {
                table.ask(limits, client, now).map_err(GateRefusal::AddressRate)
            }
        }
    }

    /// Whether anybody comes in by a key, a token, or the word of the authoriser.
    pub fn has_credentials(&self) -> bool {
        !self.keys.is_empty() || self.takes_tokens() || self.authoriser.is_some()
    }

    /// The token in this head that counts and has to be proven first: this worker has not seen it, and no
    /// key of ours stands beside it.
    pub fn token_to_prove<'b>(
        &self,
        head: &RequestHead<'b>,
        memory: &TokenMemory,
        at: GateTime,
    ) -> Option<&'b [u8]> {
        let token = self.token_in(head)?;
        let seen = memory.recall(KeyDigest::of(token), at).is_some();
        let known = || keys_of(head).any(|(_, secret)| self.keys.find(secret).is_some());
        (!seen && !known()).then_some(token)
    }

    /// The token of a head that counts, where anybody comes in by one: the first, or of several the first
    /// that is for us.
    fn token_in<'b>(&self, head: &RequestHead<'b>) -> Option<&'b [u8]> {
        if !self.takes_tokens() {
            return None;
        }
        let tokens = || keys_of(head).map(|(_, secret)| secret).filter(|it| looks_like_token(it));
        let (first, second) = (tokens().next(), tokens().nth(1));
        let ours = || tokens().find(|token| self.names_issuer(token));
        second.and_then(|_| ours()).or(first)
    }

    /// Whose key or token this head holds; why nobody's, else. A token has been proven before.
    pub fn identify(
        &self,
        head: &RequestHead<'_>,
        memory: &TokenMemory,
        at: GateTime,
    ) -> Result<Principal, GateRefusal> {
        let counts = self.token_in(head);
        let mut token = None;
        for (_, secret) in keys_of(head) {
            let digest = KeyDigest::of(secret);
            if let Some((key, previous)) = self.keys.known(&digest) {
                let mut who = Principal::of(key, None);
                who.previous = previous;
                return Ok(who);
            }
            if counts == Some(secret) {
                token = Some(digest);
            }
        }
        // It may stand where none is read: behind another scheme, or in quotes.
        let ours = || credentials_of(head).any(|value| self.is_ours(value));
        if let Some(token) = token {
            // One that nobody has proven is believed by nobody.
            return match memory.recall(token, at).unwrap_or(Err(TokenFault::Unavailable)) {
                Ok(proven) => Ok(Principal::of(&proven.key, Some(token))),
                Err(TokenFault::Issuer) if ours() => Err(GateRefusal::Unknown { ours: true }),
                Err(fault) => Err(GateRefusal::Token(fault)),
            };
        }
        let ours = ours();
        Err(match keys_of(head).next() {
            None if !ours => GateRefusal::Missing,
            _ => GateRefusal::Unknown { ours },
        })
    }

    /// Whether the value of a field that can hold a key is none for a server: a key that is known, one of
    /// our make that is not, because it was revoked or mistyped, or a token of an issuer of ours. `token`: the
    /// one that somebody has come with.
    pub fn keeps_to_itself(&self, token: Option<KeyDigest>, place: usize, value: &[u8]) -> bool {
        let is_known = |key| {
            let digest = KeyDigest::of(key);
            token == Some(digest) || self.keys.known(&digest).is_some()
        };
        key_in(place, value).is_some_and(is_known) || self.is_ours(value)
    }

    /// Whether there is a secret in it that looks as if `sluicegate key` had made it, or a token of an issuer
    /// of ours: in whatever form it is written, who gets the value has that.
    fn is_ours(&self, value: &[u8]) -> bool {
        is_of_our_make(value) || self.takes_tokens() && self.holds_token(value)
    }

    /// Whether some of these letters are a token of an issuer of ours.
    fn holds_token(&self, value: &[u8]) -> bool {
        let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let mut words = value.split(|byte| !letter(byte));
        words.any(|word| looks_like_token(word) && self.names_issuer(word))
    }

    /// Lets a principal in, or says why not. Nothing is counted for one that is not let in.
    pub fn enter(
        &self,
        who: &mut Principal,
        asked: &Asked<'_>,
        at: GateTime,
    ) -> Result<(), GateRefusal> {
        who.is_allowed(asked, at.unix)?;
        who.has_budget(at.unix)?;
        if !who.key.begin() {
            return Err(GateRefusal::Concurrency);
        }
        // From here on its drop takes it back.
        who.entered = true;
        let reserved = asked.body.map_or(0, |bytes| bytes / BYTES_PER_TOKEN + self.guess_tokens);
        let taken = take_rates(&who.key, reserved, at.now);
        match taken {
            // More than the limit cannot be taken.
            Ok(()) => who.reserved = who.key.tokens().map_or(0, |rate| reserved.min(rate.own())),
            Err(_) => who.leave(),
        }
        taken
    }

    /// Settles what a principal has used, once. `None`: nothing came of the request, and nothing is
    /// charged but that it was made.
    pub fn settle(&self, who: &mut Principal, usage: Option<GateUsage>, at: GateTime) {
        let usage = usage.unwrap_or_default();
        if !who.entered {
            return;
        }
        let used = &who.key.used;
        if let Some(rate) = who.key.tokens()
            && usage.tokens > who.reserved
        {
            rate.charge(usage.tokens - who.reserved, at.now);
            who.reserved = 0;
        } else {
            who.reserved = who.reserved.saturating_sub(usage.tokens);
        }
        for period in [Period::Day, Period::Month] {
            used.spend(period, period.number(at.unix), usage.tokens, usage.cost);
        }
        who.leave();
    }
}

/// Whether there is a secret in it that looks as if `sluicegate key` had made it.
fn is_of_our_make(value: &[u8]) -> bool {
    memchr::memmem::find_iter(value, SECRET_PREFIX).any(|at| {
        let before = at.checked_sub(1).map(|before| value[before]);
        before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"-_".contains(&byte))
    })
}

/// Takes one request and so many tokens of the rates of a key, or nothing.
fn take_rates(key: &ApiKey, tokens: u64, now: Instant) -> Result<(), GateRefusal> {
    if let Some(rate) = key.requests() {
        let taken = rate.take(1, now);
        taken.map_err(|wait| GateRefusal::Rate(RateOf::Requests, wait))?;
    }
    if let Some(rate) = key.tokens()
        && let Err(wait) = rate.take(tokens, now)
    {
        if let Some(rate) = key.requests() {
            rate.give_back(1);
        }
        return Err(GateRefusal::Rate(RateOf::Tokens, wait));
    }
    Ok(())
}
