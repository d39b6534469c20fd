//! The attacks on tokens, a row each.

use super::*;

/// What becomes of a token in a gate that takes those of `corp`.
fn judged(gate: &Gate, token: &str) -> Result<(), TokenFault> {
    gate.prove(token.as_bytes(), at(0)).map(drop)
}

#[test]
fn no_header_and_no_claim_talks_its_way_in() {
    let (gate, signer) = scene();
    let good = good_claims;
    use TokenFault as F;
    let head = |with: Value| {
        let mut header = header();
        header.as_object_mut().expect("an object").extend(with.as_object().cloned().unwrap());
        header
    };
    let stranger = Signer::new();
    let jwk = stranger.jwks()["keys"][2].clone();
    let rows = [
        ("alg none", json!({"alg": "none"}), good(), "none", F::Algorithm),
        ("alg NONE with a kid", head(json!({"alg": "NonE"})), good(), "none", F::Algorithm),
        ("alg none, signed", head(json!({"alg": "none"})), good(), "EdDSA", F::Algorithm),
        (
            "HS256 by the public key",
            json!({"alg": "HS256", "kid": "rsa-1"}),
            good(),
            "HS256",
            F::Algorithm,
        ),
        (
            "HS256 said to be RS256",
            json!({"alg": "RS256", "kid": "rsa-1"}),
            good(),
            "HS256",
            F::Signature,
        ),
        (
            "an algorithm of another key",
            json!({"alg": "ES256", "kid": "rsa-1"}),
            good(),
            "RS256",
            F::Algorithm,
        ),
        (
            "the key of another algorithm",
            json!({"alg": "RS256", "kid": "ed-1"}),
            good(),
            "EdDSA",
            F::Algorithm,
        ),
        ("RS512", json!({"alg": "RS512", "kid": "rsa-1"}), good(), "RS512", F::Algorithm),
        (
            "RS512 said to be RS256",
            json!({"alg": "RS256", "kid": "rsa-1"}),
            good(),
            "RS512",
            F::Signature,
        ),
        (
            "PS256 said to be RS256",
            json!({"alg": "RS256", "kid": "rsa-1"}),
            good(),
            "PS256",
            F::Signature,
        ),
        ("rs256", json!({"alg": "rs256", "kid": "rsa-1"}), good(), "RS256", F::Algorithm),
        ("alg in a list", head(json!({"alg": ["EdDSA"]})), good(), "EdDSA", F::Malformed),
        ("no alg", json!({"kid": "ed-1"}), good(), "EdDSA", F::Malformed),
        ("ES256 in DER", json!({"alg": "ES256", "kid": "ec-1"}), good(), "DER", F::Signature),
        ("no signature", header(), good(), "none", F::Signature),
        ("another's signature", head(json!({"kid": "ed-1"})), good(), "ES256", F::Signature),
        ("a kid that is not known", head(json!({"kid": "ed-2"})), good(), "EdDSA", F::Key),
        ("a kid that is a path", head(json!({"kid": "../../dev/null"})), good(), "EdDSA", F::Key),
        ("a kid that is a number", head(json!({"kid": 1})), good(), "EdDSA", F::Malformed),
        ("a kid without end", head(json!({"kid": "k".repeat(300)})), good(), "EdDSA", F::Malformed),
        ("crit", head(json!({"crit": ["exp"], "exp": 1})), good(), "EdDSA", F::Header),
        ("an empty crit", head(json!({"crit": []})), good(), "EdDSA", F::Header),
        ("a payload that is not encoded", head(json!({"b64": false})), good(), "EdDSA", F::Header),
        ("a token of a logout", head(json!({"typ": "logout+jwt"})), good(), "EdDSA", F::Header),
        ("a proof of possession", head(json!({"typ": "dpop+jwt"})), good(), "EdDSA", F::Header),
        ("typ is a list", head(json!({"typ": ["JWT"]})), good(), "EdDSA", F::Header),
        ("no issuer", header(), claims(&json!({"iss": null})), "EdDSA", F::Issuer),
        (
            "another issuer",
            header(),
            claims(&json!({"iss": "https://evil.test"})),
            "EdDSA",
            F::Issuer,
        ),
        (
            "the issuer with a slash",
            header(),
            claims(&json!({"iss": "https://issuer.test/"})),
            "EdDSA",
            F::Issuer,
        ),
        (
            "the issuer in capitals",
            header(),
            claims(&json!({"iss": "HTTPS://ISSUER.TEST"})),
            "EdDSA",
            F::Issuer,
        ),
        ("issuers", header(), claims(&json!({"iss": ["https://issuer.test"]})), "EdDSA", F::Issuer),
        ("no audience", header(), claims(&json!({"aud": null})), "EdDSA", F::Audience),
        ("another audience", header(), claims(&json!({"aud": "gateway2"})), "EdDSA", F::Audience),
        ("a part of the audience", header(), claims(&json!({"aud": "gate"})), "EdDSA", F::Audience),
        (
            "no audience of many",
            header(),
            claims(&json!({"aud": ["a", "b"]})),
            "EdDSA",
            F::Audience,
        ),
        ("nobody is the audience", header(), claims(&json!({"aud": []})), "EdDSA", F::Audience),
        (
            "an audience in an audience",
            header(),
            claims(&json!({"aud": [["gateway"]]})),
            "EdDSA",
            F::Audience,
        ),
        ("it has expired", header(), claims(&json!({"exp": NOON - 61})), "EdDSA", F::Expired),
        (
            "it has expired this second",
            header(),
            claims(&json!({"exp": NOON - 60})),
            "EdDSA",
            F::Expired,
        ),
        ("it never ends", header(), claims(&json!({"exp": null})), "EdDSA", F::Endless),
        ("its end is a text", header(), claims(&json!({"exp": "4102444800"})), "EdDSA", F::Moment),
        ("its end is before all time", header(), claims(&json!({"exp": -1})), "EdDSA", F::Moment),
        (
            "its end is beyond all time",
            header(),
            claims(&json!({"exp": 1e300})),
            "EdDSA",
            F::Moment,
        ),
        ("it has not begun", header(), claims(&json!({"nbf": NOON + 61})), "EdDSA", F::NotYet),
        ("its beginning is a text", header(), claims(&json!({"nbf": "0"})), "EdDSA", F::Moment),
        ("it was made in a text", header(), claims(&json!({"iat": "now"})), "EdDSA", F::Moment),
        ("no subject", header(), claims(&json!({"sub": null})), "EdDSA", F::Claims),
    ];
    assert!(judged(&gate, &signer.token(&header(), &good(), "EdDSA")).is_ok());
    for (what, header, claims, how, expected) in rows {
        let token = signer.token(&header, &claims, how);
        assert_eq!(judged(&gate, &token), Err(expected), "{what}");
    }
    // A key in the token, or where it says that one is, is not looked at.
    for told in [
        json!({"jwk": jwk}),
        json!({"jku": "http://127.0.0.1:1/keys"}),
        json!({"x5u": "http://127.0.0.1:1/cert", "x5c": ["AA=="]}),
    ] {
        let token = stranger.token(&head(told.clone()), &good(), "EdDSA");
        assert_eq!(judged(&gate, &token), Err(F::Signature), "{told}");
        let token = signer.token(&head(told.clone()), &good(), "EdDSA");
        assert_eq!(judged(&gate, &token), Ok(()), "{told}");
    }
    for typ in ["JWT", "jwt", "at+jwt", "application/AT+JWT"] {
        let token = signer.token(&head(json!({"typ": typ})), &good(), "EdDSA");
        assert_eq!(judged(&gate, &token), Ok(()), "{typ}");
    }
}

#[test]
fn a_token_is_written_in_one_way() {
    let (gate, signer) = scene();
    let good = signer.token(&header(), &good_claims(), "EdDSA");
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("three parts") };
    // The last letter of 64 bytes has four bits that say nothing.
    let last = signature.as_bytes()[85];
    let strayed = [&signature[..85], &char::from(last + 1).to_string()].concat();
    let texts = |header: &str, claims: &str| signer.sign(header, claims, "EdDSA");
    let whole = good_claims().to_string();
    let twice = whole.replacen('{', r#"{"iss":"https://issuer.test","#, 1);
    let escaped = whole.replacen('{', r#"{"\u0069ss":"https://evil.test","#, 1);
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    for (what, token) in [
        ("padding", format!("{good}=")),
        ("padding of a head", format!("{head}=.{body}.{signature}")),
        ("stray bits", format!("{head}.{body}.{strayed}")),
        ("a line feed", format!("{head}.{body}.{}\n{}", &signature[..40], &signature[40..])),
        ("a space", format!("{head}. {body}.{signature}")),
        ("the other alphabet", format!("{head}.{body}.{}+/", &signature[..84])),
        ("a dot behind it", format!("{good}.")),
        ("dots behind it", format!("{good}...")),
        ("a dot before it", format!(".{good}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts", format!("{good}.{head}.{body}")),
        ("two parts", format!("{head}.{body}")),
        ("one part", head.to_owned()),
        ("no header", format!(".{body}.{signature}")),
        ("no claims", format!("{head}..{signature}")),
        ("dots", "..".to_owned()),
        ("nothing", String::new()),
        ("a NUL", format!("{good}\0")),
        ("a header that is a list", texts(r#"["EdDSA"]"#, &whole)),
        ("a header that is no JSON", texts("{alg: EdDSA}", &whole)),
        ("two headers", texts(r#"{"alg":"EdDSA"}{"alg":"none"}"#, &whole)),
        ("alg twice", texts(r#"{"alg":"EdDSA","alg":"EdDSA"}"#, &whole)),
        ("claims that are a text", texts(r#"{"alg":"EdDSA"}"#, r#""ann""#)),
        ("claims that are a token", texts(r#"{"alg":"EdDSA","cty":"JWT"}"#, &good)),
        ("a claim twice", texts(r#"{"alg":"EdDSA"}"#, &twice)),
        ("a claim twice, once escaped", texts(r#"{"alg":"EdDSA"}"#, &escaped)),
        ("claims without an end", texts(r#"{"alg":"EdDSA"}"#, &whole[..whole.len() - 1])),
        ("claims as deep as a well", texts(r#"{"alg":"EdDSA"}"#, &deep)),
        ("a mark in front", texts("\u{feff}{\"alg\":\"EdDSA\"}", &whole)),
        (
            "too long",
            texts(r#"{"alg":"EdDSA"}"#, &claims(&json!({"x": "x".repeat(20_000)})).to_string()),
        ),
    ] {
        assert_eq!(judged(&gate, &token), Err(TokenFault::Malformed), "{what}");
    }
    assert_eq!(judged(&gate, &good), Ok(()));
    let long = claims(&json!({"x": "x".repeat(8_000)}));
    assert_eq!(judged(&gate, &signer.token(&header(), &long, "EdDSA")), Ok(()));
}

#[test]
fn a_signature_has_one_form() {
    let (gate, signer) = scene();
    for (algorithm, id, length) in
        [("RS256", "rsa-1", 256), ("ES256", "ec-1", 64), ("EdDSA", "ed-1", 64)]
    {
        let header = json!({"alg": algorithm, "kid": id});
        let token = signer.token(&header, &good_claims(), algorithm);
        let (message, _) = token.rsplit_once('.').expect("a signature");
        let good = signer.signature(message.as_bytes(), algorithm);
        assert_eq!(good.len(), length);
        let mut high = good.clone();
        // S + L is S to who does not look (RFC 8032 §5.1.7).
        high[length - 1] ^= 0xe0;
        let swapped = [&good[length / 2..], &good[..length / 2]].concat();
        for (what, signature) in [
            ("zeros", vec![0; length]),
            ("ones", vec![0xff; length]),
            ("r is zero", [&vec![0; length / 2], &good[length / 2..]].concat()),
            ("s is zero", [&good[..length / 2], &vec![0; length / 2]].concat()),
            ("halves the other way round", swapped),
            ("shorter", good[1..].to_vec()),
            ("a zero in front", [&[0], &good[..]].concat()),
            ("a zero behind", [&good[..], &[0]].concat()),
            ("twice", [&good[..], &good[..]].concat()),
            ("too high", high),
        ] {
            let token = format!("{message}.{}", signer::encoded(signature));
            assert_eq!(judged(&gate, &token), Err(TokenFault::Signature), "{algorithm} {what}");
        }
    }
}

#[test]
fn only_what_begins_as_a_token_is_taken_for_one() {
    for (credential, expected) in [
        ("eyJhbGciOiJFZERTQSJ9.e30.AA", true),
        ("eyJhbGciOiJFZERTQSJ9.e30.", true),
        ("eyAiYWxnIjoiRWREU0EifQ.e30.AA.", true),
        ("ewoiYWxnIjoiRWREU0EifQ.a.b.c.d", true),
        ("eyJhbGciOiJFZERTQSJ9.e30", false),
        ("eyJhbGciOiJFZERTQSJ9", false),
        ("SG.abc.def", false),
        ("sk-proj-a.b.c", false),
        ("sg-eyJ.a.b", false),
        ("eyJhb GciOi.e30.AA", false),
        ("..", false),
        ("ey.a.b", false),
        ("", false),
    ] {
        assert_eq!(looks_like_token(credential.as_bytes()), expected, "{credential}");
    }
}
