//! Tokens: what opens was signed by the key that it names, and says to a reader of another make what it says
//! to us.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sluicegate::clock::Instant;
use sluicegate::gate::token::fault::TokenFault;
use sluicegate::gate::token::issuer::{ClaimNames, Issuer, IssuerKeys, IssuerSettings};
use sluicegate::gate::token::jwks::KeySet;
use sluicegate::gate::token::signature::Algorithm;
use sluicegate::gate::token::{TOKEN_BYTES_MAX, looks_like_token};
use sluicegate::gate::{Gate, GateTime};
use sluicegate_fuzz::token::{NOW, Verdict, judge, verified};

/// Tokens and keys of another library.
const FOREIGN: &str = include_str!("../../../src/gate/token/tests/pyjwt.json");

static SIGNER: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed"));

/// The keys of the other library, and one of ours.
static KEYS: LazyLock<Value> = LazyLock::new(|| {
    let mut foreign: Value = serde_json::from_str(FOREIGN).expect("JSON");
    let own = serde_json::json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "own",
        "x": URL_SAFE_NO_PAD.encode(SIGNER.public_key()),
    });
    foreign["jwks"]["keys"].as_array_mut().expect("a list").push(own);
    foreign["jwks"].take()
});

static ISSUER: LazyLock<Arc<Issuer>> = LazyLock::new(|| {
    let keys = IssuerKeys::default();
    keys.put(KeySet::read(KEYS.to_string().as_bytes(), &Algorithm::ALL).expect("keys"), NOW);
    let claim = |name: &str| Some(vec![name.to_owned()]);
    let settings = IssuerSettings {
        name: "corp".to_owned(),
        issuer: "https://issuer.test".to_owned(),
        audience: vec!["gateway".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        leeway: Duration::from_secs(60),
        keys_age_max: Duration::from_secs(86_400),
        claims: ClaimNames {
            models: claim("models"),
            requests_per_minute: claim("rate"),
            ..ClaimNames::default()
        },
        tier: None,
    };
    Arc::new(Issuer { settings, keys: Arc::new(keys) })
});

/// What opens is right by the other reader, and what that one takes opens.
fn hold(token: &[u8]) -> bool {
    // What does not is nobody's token: the gateway does not ask.
    if !looks_like_token(token) {
        return false;
    }
    // What subjects have used is of this input alone.
    let gate = Gate { issuers: vec![Arc::clone(&ISSUER)], ..Gate::default() };
    let at = GateTime { now: Instant::from_nanos(1), unix: NOW };
    let proven = gate.prove(token, at);
    let told = token.escape_ascii();
    match (&proven, judge(token)) {
        (Ok(proven), Verdict::Good { subject, models, rate }) => {
            assert!(token.len() <= TOKEN_BYTES_MAX, "{told}");
            assert!(verified(token, &KEYS), "nobody has signed it: {told}");
            let settings = &proven.key.settings;
            assert_eq!(settings.requests_per_minute, rate, "{told}");
            let patterns: Vec<_> = settings.models.iter().map(ToString::to_string).collect();
            assert_eq!(patterns, models, "{told}");
            assert_eq!(settings.name, subject, "{told}");
        }
        (Ok(_), Verdict::Bad(why)) => panic!("it opens, and {why}: {told}"),
        // It says what it should, and nobody has signed it whom we know.
        (Err(fault), Verdict::Good { .. }) if unsigned(*fault) => {
            assert!(!verified(token, &KEYS), "{fault:?}, and it is signed: {told}");
        }
        (Err(fault), Verdict::Good { .. }) => panic!("{fault:?}, and it is good: {told}"),
        (Err(_), Verdict::Bad(_)) => {}
    }
    proven.is_ok()
}

fn unsigned(fault: TokenFault) -> bool {
    matches!(fault, TokenFault::Signature | TokenFault::Key | TokenFault::Algorithm)
}

fn quoted(token: &str) -> String {
    format!("\"{token}\"")
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let (header, claims) = (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let message = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(SIGNER.sign(message.as_bytes()).as_ref());
    format!("{message}.{signature}")
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, input)) = input.split_first() else { return };
    match kind % 4 {
        // A token as it comes.
        0 => drop(hold(input)),
        // A header and claims that the issuer has signed.
        1 => {
            let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
            let (header, claims) = input.split_at(end);
            hold(signed(header, claims.get(1..).unwrap_or_default()).as_bytes());
        }
        // A good token in which bytes were changed: none of them opens but itself.
        2 => {
            let [at, input @ ..] = input else { return };
            let good = signed(
                br#"{"alg":"EdDSA","kid":"own"}"#,
                br#"{"iss":"https://issuer.test","sub":"ann","aud":"gateway","exp":4102444800}"#,
            );
            let at = usize::from(*at) % good.len();
            let mut token = good.clone().into_bytes();
            let end = token.len().min(at + input.len());
            token.splice(at..end, input.iter().copied());
            // Or that another one is in its place, whole.
            let is_good = token == good.as_bytes()
                || std::str::from_utf8(&token).is_ok_and(|token| FOREIGN.contains(&quoted(token)));
            assert_eq!(hold(&token), is_good, "{}", token.escape_ascii());
        }
        // Keys as an issuer publishes them.
        _ => {
            let Ok(keys) = KeySet::read(input, &Algorithm::ALL) else { return };
            let set: Value = serde_json::from_slice(input).expect("it is JSON");
            let listed = set["keys"].as_array().expect("a list").len();
            assert!((1..=listed).contains(&keys.len()) && keys.len() + keys.flaws.len() <= listed);
        }
    }
});
