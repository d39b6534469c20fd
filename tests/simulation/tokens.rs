//! Tokens that nobody has seen before: a storm of them holds up no stream.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::harness::scenario::{LATENCY, Simulation, TARGET};
use crate::seed;
use sluicegate::config::snapshot::{
    Algorithm, ClaimNames, Gate, Issuer, IssuerKeys, IssuerSettings, KeyMode, Snapshot,
};
use sluicegate::gate::token::jwks::KeySet;
use sluicegate::sim::Visit;

const MILLISECOND: Duration = Duration::from_millis(1);

struct Signer(Ed25519KeyPair);

impl Signer {
    fn new() -> Signer {
        Signer(Ed25519KeyPair::generate().expect("a key"))
    }

    /// Takes the tokens of this signer, and nothing else.
    fn lets_in(&self, snapshot: &mut Snapshot) {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key());
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": x}]});
        let set = KeySet::read(set.to_string().as_bytes(), &Algorithm::ALL).expect("a key");
        let keys = IssuerKeys::default();
        keys.put(set, 1);
        let settings = IssuerSettings {
            name: "corp".into(),
            issuer: "i".into(),
            audience: vec!["a".into()],
            algorithms: Algorithm::ALL.to_vec(),
            leeway: Duration::from_secs(60),
            keys_age_max: Duration::from_secs(86_400),
            claims: ClaimNames::default(),
            tier: None,
        };
        let issuer = Arc::new(Issuer { settings, keys: Arc::new(keys) });
        snapshot.gate.gate = Arc::new(Gate { issuers: vec![issuer], ..Gate::default() });
        snapshot.routes.iter_mut().for_each(|route| route.keys = KeyMode::Required);
    }

    fn token(&self, number: u32) -> String {
        let claims =
            json!({"iss": "i", "aud": "a", "sub": "s", "exp": 4_102_444_800_u64, "jti": number});
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"1"}"#);
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

fn visit(token: &str) -> Visit {
    Visit::new().request("GET", TARGET, &format!("Authorization: Bearer {token}\r\n"))
}

#[test]
fn a_storm_of_forged_tokens_holds_up_no_stream() {
    const FORGED: u64 = 300;
    const GOOD: u64 = 20;
    let (signer, forger) = (Signer::new(), Signer::new());
    let good = signer.token(0);
    let mut world = Simulation::new(seed!())
        .configure(|snapshot| signer.lets_in(snapshot))
        .upstream(|u| u.tokens(20, "tok", MILLISECOND).end_chunks());
    let stream = world.start(visit(&good));
    world.run_for(10 * LATENCY);
    assert_eq!(world.gateway().counters.tokens_proven.get(), 1);
    let begun = world.gateway().counters.exchanges.get();
    for number in 0..FORGED {
        world.start(visit(&forger.token(number as u32)));
    }
    // They come last, with a token that is known.
    let clients: Vec<_> = (0..GOOD).map(|_| world.start(visit(&good))).collect();
    // Every turn looks at one of the forged at most, and what is light does not wait for them.
    let (mut most, mut passed_at) = (0, None);
    loop {
        let counters = &world.gateway().counters;
        let (refused, exchanges) = (counters.tokens_refused.get(), counters.exchanges.get());
        // A token that was refused begins an exchange in the next turn, which ends with that.
        if exchanges - begun >= GOOD + refused.saturating_sub(1) {
            passed_at = passed_at.or(Some(refused));
        }
        if refused == FORGED {
            break;
        }
        world.gateway().turn().expect("a poll");
        most = most.max(world.gateway().counters.tokens_refused.get() - refused);
    }
    assert_eq!(most, 1);
    let passed_at = passed_at.expect("those with a good token have passed");
    assert!(passed_at < FORGED / 4, "they had to wait for {passed_at} forged tokens");
    world.run();
    for client in clients.into_iter().chain([stream]) {
        let answer = world.received(client);
        assert_eq!((answer.status(), answer.body()), (200, "tok".repeat(20)));
    }
    assert_eq!(world.requests().iter().sum::<usize>() as u64, GOOD + 1, "no forged one has come");
    world.assert_clean();
}

#[test]
fn a_signature_is_checked_once_for_all_requests_with_it() {
    let signer = Signer::new();
    let mut world = Simulation::new(seed!()).configure(|snapshot| signer.lets_in(snapshot));
    let token = signer.token(1);
    for _ in 0..5 {
        let client = world.start(visit(&token));
        world.run();
        assert_eq!(world.received(client).status(), 200);
    }
    assert_eq!(world.gateway().counters.tokens_proven.get(), 1);
    // Another configuration proves it anew.
    world.reload(|_| {});
    let client = world.start(visit(&token));
    world.run();
    assert_eq!(world.received(client).status(), 200);
    assert_eq!(world.gateway().counters.tokens_proven.get(), 2);
    world.assert_clean();
}

#[test]
fn a_client_that_leaves_while_its_token_waits_leaves_nothing_behind() {
    let signer = Signer::new();
    let mut world = Simulation::new(seed!()).configure(|snapshot| signer.lets_in(snapshot));
    for number in 0..50 {
        world.start(visit(&signer.token(number)).leave());
    }
    world.run();
    world.assert_clean();
}
