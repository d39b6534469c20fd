//! Keys of issuers: which count, and which are passed over.

use super::super::jwks::{KeySet, NoKeySet};
use super::super::signature::PublicKey;
use super::*;

fn read(document: &str) -> Result<(usize, usize), NoKeySet> {
    let set = KeySet::read(document.as_bytes(), &Algorithm::ALL);
    set.map(|set| (set.len(), set.flaws.len()))
}

#[test]
fn what_cannot_sign_tokens_is_passed_over() {
    let good = Signer::new().jwks()["keys"].as_array().expect("keys").clone();
    let [rsa, ec, ed] = &good[..] else { panic!("three keys") };
    let with = |key: &Value, name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let without = |key: &Value, name: &str| {
        let mut key = key.clone();
        key.as_object_mut().expect("an object").remove(name);
        key
    };
    for (what, key, flawed) in [
        ("for encryption", with(rsa, "use", json!("enc")), 0),
        ("for another operation", with(rsa, "key_ops", json!(["encrypt"])), 0),
        ("of another algorithm", with(rsa, "alg", json!("RS512")), 0),
        ("of an algorithm of another kind", with(ec, "alg", json!("RS256")), 0),
        ("for encryption, by its algorithm", with(rsa, "alg", json!("RSA-OAEP")), 0),
        ("symmetric", json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}), 0),
        ("of another curve", with(ec, "crv", json!("P-384")), 0),
        ("for an exchange", with(ed, "crv", json!("X25519")), 0),
        ("of no kind", without(rsa, "kty"), 0),
        ("a text", json!("key"), 0),
        ("with its private part", with(ed, "d", json!("AA")), 1),
        ("without a part", without(rsa, "n"), 1),
        ("without the other", without(ec, "y"), 1),
        ("in another alphabet", with(ed, "x", json!("+/+/")), 1),
        ("padded", with(ed, "x", json!(format!("{}=", ed["x"].as_str().unwrap()))), 1),
        ("of a short modulus", with(rsa, "n", json!(signer::encoded([0xff; 128]))), 1),
        (
            "of zeros and a short modulus",
            with(rsa, "n", json!(signer::encoded([&[0; 200][..], &[0xff; 128]].concat()))),
            1,
        ),
        ("of a long modulus", with(rsa, "n", json!(signer::encoded([0xff; 1_025]))), 1),
        ("of an even modulus", with(rsa, "n", json!(signer::encoded([0xfe; 256]))), 1),
        ("with an exponent of one", with(rsa, "e", json!("AQ")), 1),
        ("with an even exponent", with(rsa, "e", json!("AQAA")), 1),
        ("with a long exponent", with(rsa, "e", json!("AQAAAAE")), 1),
        ("with a short coordinate", with(ec, "x", json!(signer::encoded([1; 31]))), 1),
        ("off its curve", with(ec, "x", json!(signer::encoded([1; 32]))), 1),
        (
            "at infinity",
            with(
                &with(ec, "x", json!(signer::encoded([0; 32]))),
                "y",
                json!(signer::encoded([0; 32])),
            ),
            1,
        ),
        ("of 31 bytes", with(ed, "x", json!(signer::encoded([9; 31]))), 1),
        ("with a name without end", with(ed, "kid", json!("k".repeat(300))), 1),
    ] {
        let alone = json!({"keys": [key]}).to_string();
        assert_eq!(read(&alone), Err(NoKeySet::Empty), "{what}");
        let beside = json!({"keys": [ec, key, ed]}).to_string();
        assert_eq!(read(&beside), Ok((2, flawed)), "{what}");
    }
    for (document, why) in [
        ("", NoKeySet::NoSet),
        ("<html>", NoKeySet::NoSet),
        ("[]", NoKeySet::NoSet),
        ("{}", NoKeySet::NoSet),
        (r#"{"keys":{}}"#, NoKeySet::NoSet),
        (r#"{"keys":[],"keys":[]}"#, NoKeySet::NoSet),
        (r#"{"keys":[]}"#, NoKeySet::Empty),
    ] {
        assert_eq!(read(document), Err(why), "{document}");
    }
    let many = json!({"keys": vec![ed.clone(); 1_000]}).to_string();
    assert_eq!(read(&many), Ok((100, 0)));
}

#[test]
fn a_point_of_small_order_is_no_key() {
    // All eight, those with the other sign, and numbers beyond the field.
    for hex in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ] {
        let byte = |at: usize| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).expect("hex");
        let point: Vec<u8> = (0..32).map(byte).collect();
        assert!(PublicKey::ed25519(&point).is_err(), "{hex}");
    }
}

#[test]
fn a_set_is_another_when_a_key_is() {
    let (first, second) = (Signer::new().jwks(), Signer::new().jwks());
    let set = |jwks: &Value| KeySet::read(jwks.to_string().as_bytes(), &Algorithm::ALL).unwrap();
    let keys = IssuerKeys::default();
    assert!(keys.put(set(&first), NOON));
    assert!(!keys.put(set(&first), NOON + 5));
    assert_eq!(keys.age(NOON + 7), Some(Duration::from_secs(2)));
    assert!(keys.put(set(&second), NOON + 9));
    // Only the algorithms of the issuer.
    let one = KeySet::read(first.to_string().as_bytes(), &[Algorithm::Es256]).expect("a key");
    assert_eq!(one.len(), 1);
}
