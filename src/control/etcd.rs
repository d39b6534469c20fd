//! etcd, version 3, by its HTTP/JSON gateway: keys below a prefix, changes that all hold or none, a
//! watch, and leases.
//!
//! | file | knows |
//! |---|---|
//! | `message` | the JSON of questions and answers |
//! | `watch` | the stream of changes |
//!
//! * One of several addresses is asked, the same as long as it answers, then the next. So a member
//!   may be away; where all are, or none has a leader, the store is away.
//! * It blocks: each question for [`TIMEOUT`] an address at most. It belongs on a thread nobody waits
//!   for.
//! * Bounded: an answer beyond [`ANSWER_BYTES_MAX`] is none.
//!
//! Sources: etcd's documentation, "gRPC gateway" and "API reference"; its errors, `api/v3rpc/rpctypes`.

mod message;
mod watch;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

pub use self::message::{Listing, Put, StoredKey, Unchanged};
use self::message::{encoded, number, text_of};
pub use self::watch::{Watch, WatchEvent};
use super::client::{Answer, Ask, AskFailure, Whereabouts};
use crate::config::snapshot::TlsDialer;
pub use crate::config::store::EtcdAddress;
use crate::sys;

/// How long one address may take for an answer, at most.
pub const TIMEOUT: Duration = Duration::from_secs(3);
/// No answer is longer: 16 MiB.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;

/// What a store's answer to the question for a range says: for what reads answers that nobody has given
/// (`tests/fuzz/`).
#[doc(hidden)]
pub fn listing_in(answer: &[u8]) -> Result<Listing, EtcdFailure> {
    let answer: Value = serde_json::from_slice(answer)
        .map_err(|error| EtcdFailure::Unreadable(error.to_string()))?;
    Listing::read(&answer)
}

const AGENT: &str = concat!("sluicegate/", env!("CARGO_PKG_VERSION"));

/// Why the store has not done what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EtcdFailure {
    /// No member answers, or none of those that do has a leader: the last one, and what it said.
    Away(String, String),
    /// User and password are wrong, or may not do this.
    Denied(String),
    /// It has answered, and will not.
    Refused(String),
    /// What has answered is no etcd.
    Unreadable(String),
}

impl fmt::Display for EtcdFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EtcdFailure::Away(member, why) => write!(f, "no member answers; {member}: {why}"),
            EtcdFailure::Denied(why) => write!(f, "access denied: {why}"),
            EtcdFailure::Refused(why) => write!(f, "refused: {why}"),
            EtcdFailure::Unreadable(why) => write!(f, "this is no answer of etcd: {why}"),
        }
    }
}

/// A client of a store.
#[derive(Clone, Debug)]
pub struct Etcd {
    address: EtcdAddress,
    /// Which member is asked.
    at: usize,
    /// What the store has given for user and password.
    token: Option<String>,
    /// How long one address may take.
    timeout: Duration,
    /// How that member is dialled, where it speaks TLS. Made anew of its files after a failure: they
    /// may have been renewed.
    dialer: Option<TlsDialer>,
}

impl Etcd {
    pub fn new(address: EtcdAddress) -> Etcd {
        Etcd { address, at: 0, token: None, timeout: TIMEOUT, dialer: None }
    }

    /// The same, that waits no longer than this for an address.
    pub fn within(self, timeout: Duration) -> Etcd {
        Etcd { timeout: timeout.min(TIMEOUT), ..self }
    }

    /// The keys from `first` on, and below `end`; more than `most` of them are refused.
    pub fn range(&mut self, first: &str, end: &str, most: usize) -> Result<Listing, EtcdFailure> {
        let question = json!({
            "key": encoded(first), "range_end": encoded(end), "limit": most + 1,
        });
        let listing = Listing::read(&self.ask("/v3/kv/range", &question)?)?;
        match listing.entries.len() > most {
            true => Err(EtcdFailure::Refused(format!("there are more than {most} keys"))),
            false => Ok(listing),
        }
    }

    /// The same of keys that anybody may have written: one that is no UTF-8 is told with a mark in the
    /// place of what cannot be read.
    pub fn range_of_any(
        &mut self,
        first: &str,
        end: &str,
        most: usize,
    ) -> Result<Listing, EtcdFailure> {
        let question = json!({
            "key": encoded(first), "range_end": encoded(end), "limit": most + 1,
        });
        let listing = Listing::read_any(&self.ask("/v3/kv/range", &question)?)?;
        match listing.entries.len() > most {
            true => Err(EtcdFailure::Refused(format!("there are more than {most} keys"))),
            false => Ok(listing),
        }
    }

    /// The revision that the store is at, agreed by most of its members: it is there.
    pub fn revision(&mut self, key: &str) -> Result<i64, EtcdFailure> {
        let question = json!({ "key": encoded(key), "keys_only": true });
        Ok(Listing::read(&self.ask("/v3/kv/range", &question)?)?.revision)
    }

    /// The member that has answered last.
    pub fn member(&self) -> &str {
        self.address.members.get(self.at).map_or("", String::as_str)
    }

    /// Does all of it, if nothing has changed of what must not. The revision, or `None`: something
    /// has. etcd takes 128 operations in one.
    pub fn commit(
        &mut self,
        unless_changed: &[Unchanged<'_>],
        puts: &[Put<'_>],
        deletes: &[&str],
    ) -> Result<Option<i64>, EtcdFailure> {
        let compare: Vec<Value> = unless_changed.iter().map(Unchanged::message).collect();
        let puts = puts.iter().map(|put| json!({ "request_put": put.message() }));
        let deletes =
            deletes.iter().map(|key| json!({ "request_delete_range": { "key": encoded(key) } }));
        let success: Vec<Value> = puts.chain(deletes).collect();
        let answer = self.ask("/v3/kv/txn", &json!({ "compare": compare, "success": success }))?;
        let revision = number(&answer["header"]["revision"]).unwrap_or(0);
        Ok(answer["succeeded"].as_bool().unwrap_or(false).then_some(revision))
    }

    /// A lease that ends after so many seconds without [`Etcd::keep_alive`], and with it its keys.
    pub fn lease(&mut self, seconds: u64) -> Result<i64, EtcdFailure> {
        let answer = self.ask("/v3/lease/grant", &json!({ "TTL": seconds.to_string() }))?;
        number(&answer["ID"]).ok_or_else(|| EtcdFailure::Unreadable("a lease without ID".into()))
    }

    /// `false`: there is no such lease any more.
    pub fn keep_alive(&mut self, lease: i64) -> Result<bool, EtcdFailure> {
        let answer = self.ask("/v3/lease/keepalive", &json!({ "ID": lease.to_string() }))?;
        // A stream of answers, of which the first is wanted.
        Ok(number(&answer["result"]["TTL"]).is_some_and(|left| left > 0))
    }

    /// Ends a lease at once, and its keys with it.
    pub fn revoke(&mut self, lease: i64) -> Result<(), EtcdFailure> {
        self.ask("/v3/lease/revoke", &json!({ "ID": lease.to_string() })).map(drop)
    }

    /// What changes of these keys, from this revision on.
    pub fn watch(&mut self, first: &str, end: &str, from: i64) -> Result<Watch, EtcdFailure> {
        self.watch_all(&[(first, end)], from)
    }

    /// The same of several ranges, each from its first key on and below its second, in one watch.
    pub fn watch_all(&mut self, ranges: &[(&str, &str)], from: i64) -> Result<Watch, EtcdFailure> {
        let create = |(first, end): &(&str, &str)| {
            let created = json!({ "create_request": {
                "key": encoded(first), "range_end": encoded(end),
                "start_revision": from.to_string(), "progress_notify": true,
            }});
            created.to_string()
        };
        // The gateway takes one request after the other out of a body.
        let question = ranges.iter().map(create).collect::<Vec<_>>().join("\n");
        self.on_some_member("/v3/watch", &question, &Watch::begin)
    }

    /// The answer to one question.
    fn ask(&mut self, path: &str, question: &Value) -> Result<Value, EtcdFailure> {
        self.on_some_member(path, &question.to_string(), &document)
    }

    /// Asks one member after the other, beginning with the one that has answered last.
    fn on_some_member<T>(
        &mut self,
        path: &str,
        question: &str,
        read: &dyn Fn(Answer) -> Result<T, EtcdFailure>,
    ) -> Result<T, EtcdFailure> {
        let mut away = EtcdFailure::Away("none".into(), "none is known".into());
        for _ in 0..self.address.members.len() {
            match self.on_this_member(path, question, read) {
                Err(failure @ EtcdFailure::Away(..)) => away = failure,
                decided => return decided,
            }
            self.at = (self.at + 1) % self.address.members.len();
            self.dialer = None;
        }
        Err(away)
    }

    fn on_this_member<T>(
        &mut self,
        path: &str,
        question: &str,
        read: &dyn Fn(Answer) -> Result<T, EtcdFailure>,
    ) -> Result<T, EtcdFailure> {
        let known = self.token.is_some();
        self.prepare()?;
        self.log_in()?;
        match self.post(path, question, self.token.as_deref()).and_then(read) {
            // It has forgotten the token, as it does after a while.
            Err(EtcdFailure::Denied(_)) if known => {
                self.token = None;
                self.log_in()?;
                self.post(path, question, self.token.as_deref()).and_then(read)
            }
            decided => decided,
        }
    }

    /// Makes the dialer, where one is wanted and none is at hand.
    fn prepare(&mut self) -> Result<(), EtcdFailure> {
        let (Some(files), None) = (&self.address.tls, &self.dialer) else { return Ok(()) };
        let member = self.member();
        let dialer = files.dialer(member, sys::time_of_day());
        self.dialer = Some(dialer.map_err(|why| EtcdFailure::Away(member.to_owned(), why))?);
        Ok(())
    }

    /// Gets a token for user and password, where there are some and none is at hand.
    fn log_in(&mut self) -> Result<(), EtcdFailure> {
        let (Some(user), None) = (&self.address.user, &self.token) else { return Ok(()) };
        let password = self.address.password.as_deref().unwrap_or_default();
        let question = json!({ "name": user, "password": password }).to_string();
        let answer = self.post("/v3/auth/authenticate", &question, None).and_then(document)?;
        let token = text_of(&answer["token"]);
        // It goes into a line of a head.
        let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        match fits {
            true => self.token = Some(token),
            false => return Err(EtcdFailure::Unreadable("a log-in without a token".into())),
        }
        Ok(())
    }

    fn post(&self, path: &str, question: &str, token: Option<&str>) -> Result<Answer, EtcdFailure> {
        let Some(member) = self.address.members.get(self.at) else {
            return Err(EtcdFailure::Away("none".into(), "none is known".into()));
        };
        let lines = token.map_or(String::new(), |token| format!("Authorization: {token}\r\n"));
        let ask = Ask {
            to: Whereabouts::Name(member),
            tls: self.dialer.as_ref(),
            host: member,
            path,
            agent: AGENT,
            lines: &lines,
            rules: None,
            post: Some(question),
            timeout: self.timeout,
        };
        let away = |failure: AskFailure| EtcdFailure::Away(member.clone(), failure.to_string());
        let answer = ask.begin().map_err(away)?;
        match answer.status {
            200 => Ok(answer),
            status => {
                let text = answer.document(ANSWER_BYTES_MAX).map_err(away)?;
                Err(message::refusal(member, status, &text))
            }
        }
    }
}

/// The JSON of an answer. Of a stream of answers, which are lines, the first.
fn document(answer: Answer) -> Result<Value, EtcdFailure> {
    let text = answer.document(ANSWER_BYTES_MAX).map_err(|failure| match failure {
        AskFailure::TooLong => EtcdFailure::Refused("the answer is longer than 16 MiB".into()),
        other => EtcdFailure::Away("a member".into(), other.to_string()),
    })?;
    let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(first).map_err(|error| EtcdFailure::Unreadable(error.to_string()))
}
