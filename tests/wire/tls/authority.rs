//! An authority of a test's own, and the certificates that it signs.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use crate::harness::run;

/// Years in which a certificate is good.
pub const GOOD: RangeInclusive<i32> = 2020..=2090;
pub const EXPIRED: RangeInclusive<i32> = 2020..=2021;

/// An authority, in a folder that goes with it.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub ca: PathBuf,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Pair {
    /// As `server.tls.certificates` has it.
    pub fn entry(&self) -> String {
        format!("{{ certificate = {:?}, key = {:?} }}", self.certificate, self.key)
    }
}

impl Authority {
    pub fn new() -> Authority {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-authority-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let ca = folder.join("ca.pem");
        std::fs::write(&ca, certificate.pem()).expect("written");
        std::fs::write(folder.join("ca.key"), key.serialize_pem()).expect("written");
        Authority { folder, issuer: Issuer::new(params, key), ca }
    }

    /// A certificate for these names, the first of which is its common name too.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_for(names, GOOD)
    }

    pub fn issue_for(&self, names: &[&str], years: RangeInclusive<i32>) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let first = names[0].clone();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, first.clone());
        params.not_before = date_time_ymd(*years.start(), 1, 1);
        params.not_after = date_time_ymd(*years.end(), 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let stem = format!("{}-{}", first.replace('*', "star"), years.end());
        let pair = Pair {
            certificate: self.folder.join(format!("{stem}.pem")),
            key: self.folder.join(format!("{stem}.key")),
        };
        replace(&pair.key, &key.serialize_pem());
        replace(&pair.certificate, &certificate.pem());
        pair
    }

    /// One of X.509 version 1, which has no extensions, made as tutorials say.
    pub fn issue_version_1(&self, name: &str) -> Pair {
        let [request, certificate, key] =
            ["csr", "pem", "key"].map(|end| self.folder.join(format!("{name}-1.{end}")));
        let openssl = |arguments: &[&str], files: &[(&str, &Path)]| {
            let mut command = Command::new("openssl");
            command.args(arguments);
            for (flag, file) in files {
                command.arg(flag).arg(file);
            }
            let ended = run(&mut command);
            assert!(ended.status.success(), "{}", ended.stderr);
            ended.stdout
        };
        let subject = format!("/CN={name}");
        let ask = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", &subject];
        openssl(&ask, &[("-keyout", &key), ("-out", &request)]);
        let files = [("-in", &*request), ("-CA", &self.ca), ("-out", &certificate)];
        let (sign, own) = (["x509", "-req", "-days", "30", "-CAcreateserial"], self.key_file());
        openssl(&sign, &[&files[..], &[("-CAkey", &own)]].concat());
        let text = openssl(&["x509", "-noout", "-text"], &[("-in", &certificate)]);
        assert!(text.contains("Version: 1 "), "this openssl makes others: {text}");
        Pair { certificate, key }
    }

    /// The key that it signs with, for `openssl`.
    pub fn key_file(&self) -> PathBuf {
        self.folder.join("ca.key")
    }

    /// A file in its folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        replace(&path, text);
        path
    }
}

/// In one step, as who renews certificates does.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, path).expect("renamed");
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
