//! Who signs tokens in a test, rightly and wrongly.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub struct Signer {
    pub rsa: RsaKeyPair,
    pub ec: EcdsaKeyPair,
    ec_der: EcdsaKeyPair,
    pub ed: Ed25519KeyPair,
}

impl Signer {
    pub fn new() -> Signer {
        let document = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let document = document.to_pkcs8v1().expect("a document");
        let of = |how| EcdsaKeyPair::from_pkcs8(how, document.as_ref()).expect("a key");
        Signer {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
            ec: of(&ECDSA_P256_SHA256_FIXED_SIGNING),
            ec_der: of(&ECDSA_P256_SHA256_ASN1_SIGNING),
            ed: Ed25519KeyPair::generate().expect("a key"),
        }
    }

    /// The modulus and the exponent.
    pub fn rsa_parts(&self) -> (Vec<u8>, Vec<u8>) {
        // A SEQUENCE of two INTEGERs: the first, of 2048 bits, has a zero in front.
        let public = self.rsa.public_key().as_ref();
        (public[9..265].to_vec(), public[267..].to_vec())
    }

    pub fn jwks(&self) -> Value {
        let (n, e) = self.rsa_parts();
        let point = self.ec.public_key().as_ref();
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa-1", "use": "sig", "n": encoded(n), "e": encoded(e)},
            {"kty": "EC", "crv": "P-256", "kid": "ec-1",
             "x": encoded(&point[1..33]), "y": encoded(&point[33..])},
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed-1", "alg": "EdDSA",
             "x": encoded(self.ed.public_key())},
        ]})
    }

    /// A token whose signature is made as `how` says: as its algorithm has it, or wrongly.
    pub fn token(&self, header: &Value, claims: &Value, how: &str) -> String {
        self.sign(&header.to_string(), &claims.to_string(), how)
    }

    /// The same of any two texts.
    pub fn sign(&self, header: &str, claims: &str, how: &str) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = self.signature(message.as_bytes(), how);
        format!("{message}.{}", encoded(signature))
    }

    pub fn signature(&self, message: &[u8], how: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, message, &mut signature).expect("it can sign");
            signature
        };
        match how {
            "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
            "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
            "PS256" => rsa(&signature::RSA_PSS_SHA256),
            "ES256" => self.ec.sign(&random, message).expect("it can sign").as_ref().to_vec(),
            "DER" => self.ec_der.sign(&random, message).expect("it can sign").as_ref().to_vec(),
            "EdDSA" => self.ed.sign(message).as_ref().to_vec(),
            // With what everybody can read as the secret.
            "HS256" => {
                let key = aws_lc_rs::hmac::Key::new(
                    aws_lc_rs::hmac::HMAC_SHA256,
                    self.rsa.public_key().as_ref(),
                );
                aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
            }
            "none" => Vec::new(),
            other => panic!("nobody signs as {other}"),
        }
    }
}
