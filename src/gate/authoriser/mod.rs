//! The authoriser: a server of the operator's that is asked who comes, where neither a key nor a token says.
//!
//! ```text
//!   head ──question──▶ AnswerMemory ──▶ who it is, or why nobody        a worker's own: a hash and a look
//!                          │ not known
//!                          ▼
//!                        Foyer: known? ▸ asked already? ▸ a new question      once for all workers
//!                          └── a thread that may block ──judge──▶ an answer
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`question`] | what is asked: what of a request the authoriser is told, and the digest of that |
//! | [`answer`] | what an answer says: yes and who, no, or nothing that decides |
//! | [`foyer`] | what is asked now, who waits for it, and answers that hold, for all workers |
//! | [`memory`] | answers that one worker has seen |
//! | [`fault`] | why somebody is not let in |
//!
//! * An answer holds for the same question and no other: whatever the authoriser was told is in its digest.
//! * The digest is keyed by a number that is drawn at each start: neither a memory nor a page has anything
//!   by which a credential could be guessed.
//! * Who is not decided about is not let in.
//! * Nothing here blocks: whoever has to wait is told when to come again.

pub mod answer;
pub mod fault;
pub mod foyer;
pub mod memory;
pub mod question;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use self::answer::AuthAnswer;
use self::fault::AuthFault;
use self::foyer::{Decided, Foyer};
use self::memory::{AnswerMemory, Judged};
use self::question::AuthQuestion;
use super::key::ApiKey;
use super::refusal::GateRefusal;
use super::token::claims::{self, Saying};
use super::token::fault::TokenFault;
use super::token::issuer::ClaimNames;
use super::token::memory::TokenMemory;
use super::{Gate, GateTime, Principal, is_of_our_make};
use crate::http::credential::credentials_of;
use crate::http::head::RequestHead;

/// What stands in front of the names that an authoriser gives, as the name of an issuer does.
pub const AUTHORISER: &str = "auth";
/// Who has come by a yes that names nobody.
pub const ANYONE: &str = "anyone";

/// What of a request the authoriser is told, beside its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tells {
    pub method: bool,
    pub host: bool,
    pub uri: bool,
    pub client: bool,
}

/// `[auth]`, as far as requests are judged by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthoriserSettings {
    /// The fields of a request that it is shown, in lower case.
    pub headers: Vec<String>,
    pub tells: Tells,
    /// Which field of its answer says which claim: the claim, and the field in lower case.
    pub claims: Vec<(&'static str, String)>,
    /// A yes has to name who has come.
    pub wants_name: bool,
    /// The claims as they are read: each stands under its own name.
    pub names: ClaimNames,
    /// What holds for an answer that names no tier.
    pub tier: Option<String>,
    /// For the whole of an answer, from when the request has come.
    pub timeout: Duration,
    /// How long an answer holds at most.
    pub yes_for: Duration,
    pub no_for: Duration,
    /// Answers that are kept, here and by each worker.
    pub size: usize,
    /// It is asked about requests without any of the fields, too.
    pub anonymous: bool,
}

impl AuthoriserSettings {
    /// Whether there is anything in a head that it could judge.
    fn is_shown(&self, head: &RequestHead<'_>) -> bool {
        let is = |name: &str| self.headers.iter().any(|it| name.eq_ignore_ascii_case(it));
        head.fields.iter().any(|field| is(field.name))
    }
}

/// The authoriser of one generation of the configuration.
#[derive(Debug)]
pub struct Authoriser {
    pub settings: AuthoriserSettings,
    /// Goes on over reloads that change nothing of it.
    pub foyer: Arc<Foyer>,
}

impl Authoriser {
    pub fn new(settings: AuthoriserSettings) -> Authoriser {
        let foyer = Arc::new(Foyer::of(settings.size));
        Authoriser { settings, foyer }
    }
}

/// Whether it is known who comes.
#[derive(Debug)]
pub struct Comer {
    pub who: Result<Principal, GateRefusal>,
    /// What the authoriser says has to be shown instead.
    pub challenge: Option<Arc<str>>,
    /// By an answer from before.
    pub remembered: bool,
}

impl Comer {
    fn by_itself(who: Result<Principal, GateRefusal>) -> Comer {
        Comer { who, challenge: None, remembered: false }
    }
}

/// What has to be done before it is known who comes.
#[derive(Debug)]
pub enum First {
    /// A token has to be proven.
    Prove,
    /// The authoriser has to be asked.
    Ask(Box<AuthQuestion>),
}

/// By what a worker knows who comes.
#[derive(Clone, Copy, Debug)]
pub struct Memories<'a> {
    pub tokens: &'a TokenMemory,
    pub answers: &'a AnswerMemory,
}

/// Where a request is from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub client: std::net::IpAddr,
    /// It came over TLS.
    pub sealed: bool,
    /// Who the client has proved to be by a certificate.
    pub certificate: Option<&'a str>,
}

impl Gate {
    /// Who comes with this head, or what has to be done first. `answered`: what the authoriser has said to
    /// this very request.
    pub fn who_comes(
        &self,
        head: &RequestHead<'_>,
        origin: Origin<'_>,
        memories: Memories<'_>,
        answered: Option<Judged>,
        at: GateTime,
    ) -> Result<Comer, First> {
        if self.token_to_prove(head, memories.tokens, at).is_some() {
            return Err(First::Prove);
        }
        let known = self.identify(head, memories.tokens, at);
        let Err(why) = known else { return Ok(Comer::by_itself(known)) };
        if why == GateRefusal::Missing
            && let Some(key) = self.key_of_certificate(head, origin)
        {
            return Ok(Comer::by_itself(Ok(Principal::of(key, None))));
        }
        let Some(authoriser) = self.authoriser_for(why, head) else {
            return Ok(Comer::by_itself(Err(why)));
        };
        if let Some(judged) = answered {
            return Ok(judged.known(false));
        }
        let Some(digest) = AuthQuestion::digest(authoriser, head, origin) else {
            return Ok(Comer::by_itself(Err(GateRefusal::Auth(AuthFault::Denied))));
        };
        match memories.answers.recall(digest, at.now) {
            Some(judged) => Ok(judged.clone().known(true)),
            None => Err(First::Ask(Box::new(AuthQuestion::new(authoriser, digest, head, origin)))),
        }
    }

    /// The key that a client has by its certificate alone. What a request shows goes before that, be it for
    /// the authoriser: a certificate is of the connection, and whoever is at its end may ask for many.
    fn key_of_certificate(
        &self,
        head: &RequestHead<'_>,
        origin: Origin<'_>,
    ) -> Option<&Arc<ApiKey>> {
        let key = self.keys.of_certificate(origin.certificate?)?;
        let is_judged = |it: &Arc<Authoriser>| it.settings.is_shown(head);
        (!self.authoriser.as_ref().is_some_and(is_judged)).then_some(key)
    }

    /// The authoriser, if it is asked about a request that would be refused for this reason: neither a key
    /// nor an issuer of ours knows it.
    fn authoriser_for(&self, why: GateRefusal, head: &RequestHead<'_>) -> Option<&Arc<Authoriser>> {
        let authoriser = self.authoriser.as_ref()?;
        let is_open = match why {
            // Where keys are made here, one of our make was revoked or mistyped.
            GateRefusal::Unknown { .. } => {
                self.keys.is_empty() || !credentials_of(head).any(is_of_our_make)
            }
            GateRefusal::Missing | GateRefusal::Token(TokenFault::Issuer) => true,
            _ => false,
        };
        let AuthoriserSettings { anonymous, .. } = authoriser.settings;
        (is_open && (anonymous || authoriser.settings.is_shown(head))).then_some(authoriser)
    }

    /// What follows from an answer of the authoriser in this generation of the configuration.
    pub fn judged(&self, decided: &Decided, at: GateTime) -> Judged {
        let refused = |fault| Err(GateRefusal::Auth(fault));
        let mut challenge = None;
        let who = match &decided.answer {
            AuthAnswer::Yes(claims) => self.named_by_authoriser(claims, at),
            AuthAnswer::Denied(told) => {
                challenge.clone_from(told);
                refused(AuthFault::Denied)
            }
            AuthAnswer::Forbidden => refused(AuthFault::Forbidden),
            AuthAnswer::Unclear(_) => refused(AuthFault::Unclear),
            AuthAnswer::Failed => refused(AuthFault::Unavailable),
        };
        Judged { who, challenge, until: decided.until }
    }

    fn named_by_authoriser(
        &self,
        told: &serde_json::Map<String, serde_json::Value>,
        at: GateTime,
    ) -> Result<Arc<ApiKey>, GateRefusal> {
        let Some(authoriser) = &self.authoriser else {
            return Err(GateRefusal::Auth(AuthFault::Unavailable));
        };
        let settings = &authoriser.settings;
        let saying =
            Saying { by: AUTHORISER, names: &settings.names, tier: settings.tier.as_deref() };
        let read = claims::settings_of(saying, &self.tiers, told);
        let (subject, settings) = read.map_err(|_| GateRefusal::Auth(AuthFault::Unclear))?;
        match self.subjects.used_by(&subject, &settings, at) {
            Some(used) => Ok(Arc::new(ApiKey { settings, used })),
            None => Err(GateRefusal::Token(TokenFault::Subjects)),
        }
    }
}
