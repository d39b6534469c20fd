//! The keys of an issuer, as it publishes them: a JWK set (RFC 7517).
//!
//! | a key | what becomes of it |
//! |---|---|
//! | RSA, P-256, Ed25519, for signatures | it counts, for the one algorithm that it has |
//! | for encryption, of another curve or algorithm, of a kind that is not known | it is passed over |
//! | symmetric | it is passed over: what everybody can read signs nothing |
//! | one of the first kind that is flawed, or has its private part in it | it is passed over, and told |
//!
//! Invariant: a set without a key that counts is none, so that an issuer's mistake takes no key away.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::json;
use super::signature::{Algorithm, PublicKey};

/// Keys of a set; those behind them are not looked at.
pub const KEYS_MAX: usize = 100;
/// Bytes of the name of a key.
pub const KEY_ID_MAX: usize = 256;

/// The keys with which an issuer signs.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<SigningKey>,
    /// What was passed over, and why: for people.
    pub flaws: Vec<String>,
    /// Tells one set from another.
    pub digest: [u8; 32],
}

#[derive(Debug)]
struct SigningKey {
    id: Option<String>,
    key: PublicKey,
}

/// Why a document is no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKeySet {
    /// It is no JSON object, has a member twice, or no list of keys.
    NoSet,
    /// There is no key in it that counts.
    Empty,
}

impl std::fmt::Display for NoKeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NoKeySet::NoSet => "the document is no JWK set",
            NoKeySet::Empty => "the JWK set has no key for signatures of RS256, ES256 or EdDSA",
        })
    }
}

impl KeySet {
    /// Reads the document of an issuer that signs with these algorithms.
    pub fn read(document: &[u8], algorithms: &[Algorithm]) -> Result<KeySet, NoKeySet> {
        let set = json::object(document).ok_or(NoKeySet::NoSet)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(NoKeySet::NoSet)?;
        let (mut keys, mut flaws, mut digest) = (Vec::new(), Vec::new(), Sha256::new());
        for (index, listed) in listed.iter().take(KEYS_MAX).enumerate() {
            let Some(listed) = listed.as_object() else { continue };
            let key = match read_key(listed) {
                Ok(Some(key)) if algorithms.contains(&key.algorithm()) => key,
                Ok(_) => continue,
                Err(why) => {
                    flaws.push(format!("key {index}: {why}"));
                    continue;
                }
            };
            let id = listed.get("kid").and_then(Value::as_str);
            if id.is_some_and(|id| id.len() > KEY_ID_MAX) {
                flaws.push(format!("key {index}: its kid is too long"));
                continue;
            }
            for name in ["kty", "kid", "n", "e", "x", "y"] {
                let part = listed.get(name).and_then(Value::as_str);
                digest.update(part.unwrap_or_default());
                digest.update([0]);
            }
            keys.push(SigningKey { id: id.map(str::to_owned), key });
        }
        match keys.is_empty() {
            true => Err(NoKeySet::Empty),
            false => Ok(KeySet { keys, flaws, digest: digest.finalize().into() }),
        }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys of this name, of every algorithm; all of them where a token names none.
    pub(super) fn named<'k>(&'k self, id: Option<&'k str>) -> impl Iterator<Item = &'k PublicKey> {
        let named = move |key: &&SigningKey| id.is_none() || key.id.as_deref() == id;
        self.keys.iter().filter(named).map(|key| &key.key)
    }
}

/// `None`: it is none that we go by.
fn read_key(jwk: &Map<String, Value>) -> Result<Option<PublicKey>, &'static str> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let part = |name: &str| {
        let part = text(name).ok_or("a part of it is missing")?;
        URL_SAFE_NO_PAD.decode(part).map_err(|_| "a part of it is not base64url")
    };
    let verifies = |uses: &Vec<Value>| uses.iter().any(|it| it.as_str() == Some("verify"));
    let for_signatures = text("use").is_none_or(|it| it == "sig")
        && jwk.get("key_ops").and_then(Value::as_array).is_none_or(verifies);
    let algorithm = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => Algorithm::Rs256,
        (Some("EC"), Some("P-256")) => Algorithm::Es256,
        (Some("OKP"), Some("Ed25519")) => Algorithm::EdDsa,
        _ => return Ok(None),
    };
    let own = jwk.get("alg").is_none_or(|it| {
        it.as_str().and_then(Algorithm::named).is_some_and(|named| named == algorithm)
    });
    if !for_signatures || !own {
        return Ok(None);
    }
    if jwk.contains_key("d") {
        return Err("its private part is in the set: whoever has read it can sign");
    }
    Ok(Some(match algorithm {
        Algorithm::Rs256 => PublicKey::rsa(&part("n")?, &part("e")?)?,
        Algorithm::Es256 => PublicKey::p256(&part("x")?, &part("y")?)?,
        Algorithm::EdDsa => PublicKey::ed25519(&part("x")?)?,
    }))
}
