//! Tokens, read in the plainest way: six bits a letter, `serde_json`, then one rule after the other, as
//! docs/tokens.md has them. Whether somebody has signed one is asked apart from what it says.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::Value;

/// 2026-12-01T12:00:00Z
pub const NOW: u64 = 1_796_126_400;
const LEEWAY: f64 = 60.0;

/// What a token comes to that the right key has signed.
#[derive(Debug)]
pub enum Verdict {
    Good { subject: String, models: Vec<String>, rate: Option<u64> },
    Bad(&'static str),
}

pub fn judge(token: &[u8]) -> Verdict {
    match claims_of(token).and_then(|claims| opened_by(&claims)) {
        Ok(good) => good,
        Err(why) => Verdict::Bad(why),
    }
}

/// Base64url, six bits a letter; bits that are left over are zeros, and less than a letter.
fn decoded(part: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in part {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0 && count < 6).then_some(bytes)
}

fn three_parts(token: &[u8]) -> Option<[&[u8]; 3]> {
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    parts.try_into().ok()
}

fn text<'j>(jwk: &'j Value, name: &str) -> &'j str {
    jwk[name].as_str().unwrap_or_default()
}

/// Whether one of these keys has signed the token, of those that its header can mean.
pub fn verified(token: &[u8], keys: &Value) -> bool {
    let Some([header, claims, signature]) = three_parts(token) else { return false };
    let (Some(head), Some(signature)) = (decoded(header), decoded(signature)) else { return false };
    let Ok(head) = serde_json::from_slice::<Value>(&head) else { return false };
    let message = &token[..header.len() + 1 + claims.len()];
    let part = |jwk: &Value, name: &str| decoded(text(jwk, name).as_bytes()).unwrap_or_default();
    let by = |jwk: &Value| match (text(jwk, "kty"), text(&head, "alg")) {
        ("RSA", "RS256") => RsaPublicKeyComponents { n: part(jwk, "n"), e: part(jwk, "e") }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature)
            .is_ok(),
        ("EC", "ES256") => {
            let point = [vec![4], part(jwk, "x"), part(jwk, "y")].concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(message, &signature).is_ok()
        }
        ("OKP", "EdDSA" | "Ed25519") => {
            let key = UnparsedPublicKey::new(&ED25519, part(jwk, "x"));
            key.verify(message, &signature).is_ok()
        }
        _ => false,
    };
    let meant = |jwk: &&Value| head.get("kid").is_none_or(|kid| *kid == jwk["kid"]);
    keys["keys"].as_array().expect("a list").iter().filter(meant).any(by)
}

/// An object, none of whose members stands twice: each has a colon, outside of texts.
fn object(text: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let (mut colons, mut quoted, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b':' if !quoted => colons += 1,
            _ => {}
        }
    }
    (value.is_object() && members_in(&value) == colons).then_some(value)
}

fn members_in(value: &Value) -> usize {
    match value {
        Value::Object(members) => members.len() + members.values().map(members_in).sum::<usize>(),
        Value::Array(elements) => elements.iter().map(members_in).sum(),
        _ => 0,
    }
}

fn claims_of(token: &[u8]) -> Result<Value, &'static str> {
    if token.len() > 16 << 10 {
        return Err("it is too long");
    }
    let parts = three_parts(token).ok_or("it has not three parts")?;
    let [header, claims, signature] = parts.map(decoded);
    let header = header.and_then(|text| object(&text)).ok_or("its header is no object")?;
    let claims = claims.and_then(|text| object(&text)).ok_or("its claims are no object")?;
    signature.ok_or("its signature is no base64url")?;
    match header["alg"].as_str() {
        Some("RS256" | "ES256" | "EdDSA" | "Ed25519") => {}
        _ => return Err("its algorithm is none"),
    }
    match header.get("kid") {
        None => {}
        Some(Value::String(kid)) if kid.len() <= 256 => {}
        Some(_) => return Err("its kid is none"),
    }
    let taken = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];
    match header.get("typ") {
        None => {}
        Some(Value::String(typ)) if taken.iter().any(|it| typ.eq_ignore_ascii_case(it)) => {}
        Some(_) => return Err("it is for something else"),
    }
    if header.get("crit").is_some() || header.get("b64").is_some_and(|it| *it != Value::Bool(true))
    {
        return Err("its header wants what is not understood");
    }
    Ok(claims)
}

fn opened_by(claims: &Value) -> Result<Verdict, &'static str> {
    if claims["iss"] != "https://issuer.test" {
        return Err("its issuer is another one");
    }
    match &claims["aud"] {
        Value::String(one) if one == "gateway" => {}
        Value::Array(list) if list.iter().any(|one| one == "gateway") => {}
        _ => return Err("it is for somebody else"),
    }
    let moment = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(time) => match time.as_f64() {
            Some(time) if time >= 0.0 && (time < 1e15 || claims[name].is_u64()) => {
                Ok(Some(time.trunc()))
            }
            _ => Err("a time is none"),
        },
    };
    let (end, begin) = (moment("exp")?.ok_or("it has no end")?, moment("nbf")?.unwrap_or(0.0));
    moment("iat")?;
    if NOW as f64 >= end + LEEWAY || (NOW as f64) < begin - LEEWAY {
        return Err("its time is another one");
    }
    let subject = claims["sub"].as_str().filter(|name| (1..=255).contains(&name.len()));
    let name: String = subject.ok_or("it is nobody's")?.chars().take(64).map(shown).collect();
    let rate = match &claims["rate"] {
        Value::Null => None,
        rate => {
            let rate = rate.as_u64().filter(|rate| (1..=1_000_000_000).contains(rate));
            Some(rate.ok_or("its rate is none")?)
        }
    };
    let models = match &claims["models"] {
        Value::Null => Vec::new(),
        models => list(models).ok_or("its models are none")?,
    };
    Ok(Verdict::Good { subject: format!("corp:{name}"), models, rate })
}

fn shown(letter: char) -> char {
    let kept = letter.is_ascii_alphanumeric() || "-_.@|/+:".contains(letter);
    if kept { letter } else { '_' }
}

/// Texts of a list, or between blanks.
fn list(value: &Value) -> Option<Vec<String>> {
    let blank = |byte: char| matches!(byte, ' ' | '\t' | '\n' | '\r' | '\u{c}');
    let list: Option<Vec<String>> = match value {
        Value::String(text) => {
            Some(text.split(blank).filter(|word| !word.is_empty()).map(str::to_owned).collect())
        }
        Value::Array(list) => list.iter().map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    list.filter(|list| (1..=256).contains(&list.len()))
        .filter(|list| list.iter().all(|text| (1..=256).contains(&text.len())))
}
