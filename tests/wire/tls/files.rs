//! Certificate files: refused by `check`, renewed under a gateway that runs.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;

use super::{Authority, EXPIRED, LAST, Sealed, s_client};
use crate::handover::hand_over;
use crate::harness::{Config, EtcdCluster, Gateway, Peer, Upstream, run, signal, sluicegate};

fn empty_answers() -> SocketAddr {
    Upstream::serve(|mut peer| {
        while peer.next_request().is_some() {
            peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    })
}

#[test]
fn wrong_files_are_refused_with_a_sentence_each() {
    let authority = Authority::new();
    let good = authority.issue(&["good.test"]);
    let other = authority.issue(&["other.test"]);
    let old = authority.issue_for(&["old.test"], EXPIRED);
    let text = |path: &std::path::Path| std::fs::read_to_string(path).expect("it is there");
    let backwards = [text(&authority.ca), text(&good.certificate)].concat();
    let encrypted = authority.write("encrypted.key", "");
    let made = run(Command::new("openssl")
        .args(["pkcs8", "-topk8", "-passout", "pass:secret", "-in"])
        .arg(&good.key)
        .arg("-out")
        .arg(&encrypted));
    assert!(made.status.success(), "{}", made.stderr);
    let with_key = |key| super::Pair { key, ..good.clone() };
    let with = |certificate| super::Pair { certificate, ..good.clone() };
    for (pair, sentence) in [
        (with_key(encrypted), "the key is encrypted"),
        (with_key(other.key.clone()), "the key is the key of another certificate"),
        (with_key(good.certificate.clone()), "holds a certificate, and no private key"),
        (with(authority.write("back.pem", &backwards)), "the certificates are in the wrong order"),
        (old, "the certificate has expired"),
        (with(authority.write("empty.pem", "")), "the file is empty"),
        (with(authority.write("words.pem", "not a certificate")), "holds no certificate"),
        (with(good.key.clone()), "holds a private key, and no certificate"),
        (with("/nowhere/at.all".into()), "there is no such file"),
    ] {
        let tls = format!("certificates = [{}]", pair.entry());
        let file = authority.write("gate.toml", &Sealed::text(&Config::to(empty_answers()), &tls));
        let told = sluicegate(&["check", "--config", file.to_str().expect("a path")]);
        assert!(!told.status.success(), "{sentence}");
        let errors: Vec<&str> =
            told.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(sentence), "{sentence}: {}", told.stderr);
        assert!(errors[0].contains("server.tls.certificates[0]"), "{}", errors[0]);
    }
}

fn serial(port: u16, authority: &Authority) -> String {
    let ca = authority.ca.to_str().expect("a path");
    let said = s_client(port, &["-CAfile", ca, "-servername", "localhost"], LAST);
    let (_, rest) = said.split_once("-----BEGIN CERTIFICATE-----").expect("a certificate");
    rest.split_once("-----END").expect("its end").0.to_owned()
}

#[test]
fn a_certificate_is_renewed_and_a_broken_one_changes_nothing() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let tls = format!("certificates = [{}]", own.entry());
    let config = Config { server: "watch = \"100ms\"".into(), ..Config::to(empty_answers()) };
    let sealed = Sealed::start(&config, &tls);
    let first = serial(sealed.port, &authority);
    // Somebody who has connected before goes on.
    let renewed = authority.issue(&["localhost"]);
    assert_eq!(renewed.certificate, own.certificate);
    sealed.gateway.wait_for_log("generation 1 is in force");
    let second = serial(sealed.port, &authority);
    assert_ne!(first, second);
    std::fs::write(&own.certificate, "broken").expect("written");
    sealed.gateway.wait_for_log("holds no certificate");
    sealed.gateway.wait_for_log("refused; generation 1 stays");
    assert_eq!(serial(sealed.port, &authority), second);
    authority.issue(&["localhost"]);
    sealed.gateway.wait_for_log("generation 2 is in force");
    // By the signal, too.
    std::fs::write(&own.certificate, "").expect("written");
    signal(&sealed.gateway, Signal::HUP);
    sealed.gateway.wait_for_log("the file is empty");
    assert!(serial(sealed.port, &authority) != second);
}

/// The configuration is in a store, and the certificate in a file that it names.
#[test]
fn a_certificate_is_renewed_under_a_configuration_in_a_store() {
    let cluster = EtcdCluster::start(1);
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let config = Config { server: "watch = \"100ms\"".into(), ..Config::to(empty_answers()) };
    let text = Sealed::text(&config, &format!("certificates = [{}]", own.entry()));
    let file = authority.write("stored.toml", &text);
    let place = cluster.place("p");
    let pushed = sluicegate(&["config", "push", file.to_str().expect("a path"), "--store", &place]);
    assert!(pushed.status.success(), "{pushed:?}");
    let sealed = Sealed::of(Gateway::of_store(&place, &[]));
    let first = serial(sealed.port, &authority);
    authority.issue(&["localhost"]);
    sealed.gateway.wait_for_log("generation 1 is in force");
    assert_ne!(serial(sealed.port, &authority), first);
}

/// Where the kernel has chosen the ports, the successor has to know which was which.
#[test]
fn a_port_goes_on_to_speak_tls_behind_a_hand_over() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let config = Config::to(empty_answers());
    let tls = format!("certificates = [{}]", own.entry());
    let sealed = Sealed::start(&config, &tls);
    let plain = sealed.gateway.address();
    let chosen = Sealed::text(&config, &tls);
    // Named beside one that is not: the first of the two may not take it.
    let (before, sealing) = chosen.split_once("[server.tls]").expect("it has one");
    let sealing = sealing.replacen(":0\"", &format!(":{}\"", sealed.port), 1);
    for text in [chosen.clone(), format!("{before}[server.tls]{sealing}")] {
        sealed.gateway.rewrite(&text);
        hand_over(&sealed.gateway);
        let told = sealed.curl(&authority, &["-w", "%{http_code}", &sealed.url("/a")]);
        assert_eq!(told.as_deref(), Ok("204"), "{text}");
        let mut client = Peer::connect(plain);
        client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.read_response().status(), 204, "{text}");
    }
}
