//! Sessions with each other, byte by byte, and files that are not what they should be.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::*;
use crate::files;
use crate::wire::transport::{Acceptor, Alert, AlertCause, Dialer, Session, put_out};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-tls-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        let _ = std::fs::remove_file(&path);
        files::create(&path, 0o600, text.as_bytes()).expect("written");
        path
    }

    /// A certificate for these names and its key.
    fn credentials(&self, names: &[&str]) -> Credentials {
        let (certificate, key) = self.files(names);
        let chain = chain(&certificate, now()).expect("a chain");
        Credentials::new(chain, key_of(&key)).expect("they fit")
    }

    fn files(&self, names: &[&str]) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = self_signed(&names, today()).expect("made");
        let stem = names[0].replace('*', "star");
        let certificate = self.write(&format!("{stem}.pem"), &made.certificate);
        (certificate, self.write(&format!("{stem}.key"), &made.key))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn key_of(path: &Path) -> KeyFile {
    key(path).expect("a key")
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970")
}

fn today() -> i64 {
    (now().as_secs() / 86_400) as i64
}

fn acceptor(credentials: Vec<Credentials>, clients: Option<ClientCertificates>) -> TlsAcceptor {
    let min_version = TlsVersion::Tls12;
    let settings = AcceptorSettings { credentials, clients, min_version, tickets: true };
    TlsAcceptor::new(&settings).expect("good settings")
}

fn dialer(ca: &Path, name: &str, own: Option<Credentials>) -> TlsDialer {
    let trust = Trust::These(authorities(ca).expect("an authority"));
    let min_version = TlsVersion::Tls12;
    let settings = DialerSettings { trust, credentials: own, min_version };
    TlsDialer::new(&settings, name).expect("good settings")
}

/// One side, and what has come for it and is not opened yet.
struct Side {
    session: Box<dyn Session>,
    sealed: Vec<u8>,
    plain: Vec<u8>,
    ended: bool,
    alert: Option<Alert>,
    /// Room for plaintext of each call.
    room: usize,
}

impl Side {
    fn new(session: Box<dyn Session>) -> Side {
        let (sealed, plain) = (Vec::new(), Vec::new());
        Side { session, sealed, plain, ended: false, alert: None, room: 7 }
    }

    fn said(&mut self) -> Vec<u8> {
        put_out(|wire| self.session.speak(wire))
    }

    fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        put_out(|wire| self.session.seal(plain, wire))
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.sealed.extend_from_slice(bytes);
        let mut room = vec![0; self.room];
        while self.alert.is_none() && !self.ended {
            match self.session.open(&mut self.sealed, &mut room) {
                Ok(opened) => {
                    self.plain.extend_from_slice(&room[..opened.given]);
                    self.sealed.drain(..opened.taken);
                    self.ended = opened.ended;
                    if !opened.more {
                        return;
                    }
                    assert!(opened.taken > 0 || opened.given > 0 || self.room == 0, "no progress");
                    if self.room == 0 {
                        return;
                    }
                }
                Err(alert) => self.alert = Some(alert),
            }
        }
    }
}

/// Hands over what each says, in pieces of `cut` bytes, until both have said all.
fn shake(client: &mut Side, server: &mut Side, cut: usize) {
    for _ in 0..6 {
        for piece in client.said().chunks(cut) {
            server.hear(piece);
        }
        for piece in server.said().chunks(cut) {
            client.hear(piece);
        }
    }
}

fn pair(folder: &Folder) -> (Side, Side) {
    let own = folder.credentials(&["localhost"]);
    let dialer = dialer(&own.certificate.clone(), "localhost", None);
    (Side::new(dialer.dial()), Side::new(acceptor(vec![own], None).accept()))
}

fn established(folder: &Folder) -> (Side, Side) {
    let (mut client, mut server) = pair(folder);
    shake(&mut client, &mut server, usize::MAX);
    assert!(client.session.is_established() && server.session.is_established());
    (client, server)
}

#[test]
fn what_is_sealed_is_opened_at_any_cut() {
    let folder = Folder::new();
    for cut in [1, 2, 5, 6, 100, 1_000, usize::MAX] {
        let (mut client, mut server) = pair(&folder);
        shake(&mut client, &mut server, cut);
        assert!(client.session.is_established() && server.session.is_established(), "{cut}");
        let text: Vec<u8> = (0..40_000u32).map(|index| (index % 251) as u8).collect();
        for (length, room) in [(1, 1), (100, 7), (40_000, 5_000)] {
            client.room = room;
            let sealed = server.seal(&text[..length]);
            for piece in sealed.chunks(cut.max(length / 500)) {
                client.hear(piece);
            }
            assert_eq!(std::mem::take(&mut client.plain), text[..length], "{cut} {length}");
            server.hear(&client.seal(&text[..length]));
            assert_eq!(std::mem::take(&mut server.plain), text[..length], "{cut} {length}");
        }
    }
}

#[test]
fn a_token_is_one_record_and_a_farewell_is_its_end() {
    let (mut client, mut server) = established(&Folder::new());
    let token = server.seal(b"data: token\n\n");
    // Header, type and tag of TLS 1.3.
    assert_eq!(token.len(), 5 + 13 + 1 + 16);
    let farewell = put_out(|wire| server.session.close(wire));
    client.hear(&[token, farewell].concat());
    assert_eq!((client.plain.as_slice(), client.ended), (&b"data: token\n\n"[..], true));
}

#[test]
fn plaintext_for_which_there_is_no_room_waits() {
    let (mut client, mut server) = established(&Folder::new());
    client.room = 0;
    client.hear(&server.seal(b"text"));
    assert_eq!(client.plain, b"");
    client.room = 3;
    client.hear(&[]);
    assert_eq!(client.plain, b"text");
}

#[test]
fn what_both_send_at_once_stays_in_order() {
    let (mut client, mut server) = established(&Folder::new());
    for round in 0..50 {
        let text = format!("{round} ").repeat(round);
        let (up, down) = (client.seal(text.as_bytes()), server.seal(text.as_bytes()));
        // Half a record is here while an answer is sealed.
        server.hear(&up[..up.len() / 2]);
        let more = server.seal(b"!");
        server.hear(&up[up.len() / 2..]);
        client.hear(&[down, more].concat());
        assert_eq!(std::mem::take(&mut server.plain), text.as_bytes());
        assert_eq!(std::mem::take(&mut client.plain), [text.as_bytes(), b"!"].concat());
    }
}

/// Each handshake message of a flight in records of `size` bytes.
fn fragmented(flight: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let length = usize::from(u16::from_be_bytes([flight[3], flight[4]]));
    for piece in flight[5..5 + length].chunks(size) {
        out.extend_from_slice(&flight[..3]);
        out.extend_from_slice(&(piece.len() as u16).to_be_bytes());
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(&flight[5 + length..]);
    out
}

#[test]
fn a_hello_may_come_in_many_records() {
    let folder = Folder::new();
    for (size, cut) in [(1, 1), (1, usize::MAX), (50, 3), (200, usize::MAX)] {
        let (mut client, mut server) = pair(&folder);
        for piece in fragmented(&client.said(), size).chunks(cut) {
            server.hear(piece);
        }
        assert_eq!(server.alert, None, "{size} {cut}");
        shake(&mut client, &mut server, usize::MAX);
        assert!(server.session.is_established(), "{size} {cut}");
    }
}

#[test]
fn a_hello_without_an_end_is_not_kept_for_ever() {
    let folder = Folder::new();
    let (_, mut server) = pair(&folder);
    // The header of a hello of 65,535 bytes, and then one byte of it in each record.
    let record = |byte: u8| [0x16, 3, 1, 0, 1, byte];
    let mut sent = 0;
    for byte in [1, 0, 0xff, 0xff].into_iter().chain(std::iter::repeat(0)) {
        server.hear(&record(byte));
        sent += 6;
        if server.alert.is_some() {
            break;
        }
        assert!(sent < 100_000, "{sent} bytes are held");
    }
}

#[test]
fn a_broken_record_ends_the_session_with_an_alert() {
    let folder = Folder::new();
    for index in [0, 1, 3, 4, 5, 9, 17] {
        let (mut client, mut server) = established(&folder);
        let mut record = client.seal(b"a request");
        record[index] ^= 0x55;
        let good = client.seal(b"behind it");
        server.hear(&[record, good].concat());
        // A length that is larger now has us wait for more.
        let waits = matches!(index, 3 | 4) && server.alert.is_none();
        assert!(
            waits || server.alert.is_some_and(|it| it.cause == AlertCause::Protocol),
            "{index}"
        );
        if !waits {
            let alert = server.said();
            client.hear(&alert);
            assert!(!alert.is_empty() && client.alert.is_some(), "{index}");
        }
        assert_eq!(server.plain, b"", "{index}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let folder = Folder::new();
    let own = folder.credentials(&["localhost"]);
    let (dialer, acceptor) =
        (dialer(&own.certificate.clone(), "localhost", None), acceptor(vec![own], None));
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..300 {
        let (mut client, mut server) = (Side::new(dialer.dial()), Side::new(acceptor.accept()));
        let mut flight = client.said();
        for _ in 0..1 + draw() % 4 {
            let at = draw() as usize % flight.len();
            flight[at] = draw() as u8;
        }
        server.hear(&flight[..1 + draw() as usize % flight.len()]);
        server.hear(&flight);
        let mut answer = server.said();
        if !answer.is_empty() {
            let at = draw() as usize % answer.len();
            answer[at] ^= 1 << (draw() % 8);
        }
        client.hear(&answer);
        server.hear(&client.said());
        let _ = put_out(|wire| server.session.close(wire));
    }
}

#[test]
fn plain_http_is_told_so() {
    let folder = Folder::new();
    let (_, mut server) = pair(&folder);
    server.hear(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(server.alert.map(|alert| alert.why), Some("plain HTTP on a TLS port"));
    let answer = String::from_utf8(server.said()).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}: {body}");
}

#[test]
fn a_server_that_is_not_believed_is_told_apart() {
    let folder = Folder::new();
    let (own, other) = (folder.credentials(&["localhost"]), folder.credentials(&["other.test"]));
    let acceptor = acceptor(vec![own.clone()], None);
    for (ca, name, cause) in [
        (&own.certificate, "other.test", AlertCause::WrongName),
        (&other.certificate, "localhost", AlertCause::UnknownIssuer),
    ] {
        let mut client = Side::new(dialer(ca, name, None).dial());
        let mut server = Side::new(acceptor.accept());
        shake(&mut client, &mut server, usize::MAX);
        assert_eq!(client.alert.map(|alert| alert.cause), Some(cause));
        assert!(server.alert.is_some() && !server.session.is_established());
    }
    let mut client = Side::new(dialer(&own.certificate, "localhost", None).dial());
    client.hear(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(client.alert.map(|alert| alert.why), Some("what came is not TLS"));
}

#[test]
fn a_client_is_who_its_certificate_says() {
    let folder = Folder::new();
    let (own, alice) = (folder.credentials(&["localhost"]), folder.credentials(&["alice"]));
    let known = authorities(&alice.certificate).expect("an authority");
    let mallory = folder.credentials(&["mallory"]);
    for (required, shown, peer) in [
        (true, Some(&alice), Ok(Some("alice"))),
        (false, Some(&alice), Ok(Some("alice"))),
        (false, None, Ok(None)),
        (true, None, Err(AlertCause::BadCertificate)),
        (true, Some(&mallory), Err(AlertCause::UnknownIssuer)),
        (false, Some(&mallory), Err(AlertCause::UnknownIssuer)),
    ] {
        let clients = ClientCertificates { authorities: known.clone(), required };
        let acceptor = acceptor(vec![own.clone()], Some(clients));
        let mut client = Side::new(dialer(&own.certificate, "localhost", shown.cloned()).dial());
        let mut server = Side::new(acceptor.accept());
        shake(&mut client, &mut server, usize::MAX);
        let found = match server.alert {
            None => Ok(server.session.peer()),
            Some(alert) => Err(alert.cause),
        };
        assert_eq!(found, peer);
        if peer.is_err() {
            assert_eq!(client.alert.map(|alert| alert.cause), Some(AlertCause::RefusedUs));
        }
    }
}

#[test]
fn the_certificate_is_the_one_for_the_name() {
    let folder = Folder::new();
    let default = folder.credentials(&["a.test"]);
    let star = folder.credentials(&["*.b.test"]);
    let exact = folder.credentials(&["x.b.test"]);
    let acceptor = acceptor(vec![default.clone(), star.clone(), exact.clone()], None);
    for (name, shown) in [
        ("a.test", &default),
        ("y.b.test", &star),
        ("x.b.test", &exact),
        ("x.y.b.test", &default),
        ("b.test", &default),
        ("c.test", &default),
    ] {
        // Whoever believes only one of them learns by its own verdict which one it was shown.
        for one in [&default, &star, &exact] {
            let mut client = Side::new(dialer(&one.certificate, name, None).dial());
            let mut server = Side::new(acceptor.accept());
            shake(&mut client, &mut server, usize::MAX);
            let believed = client.alert.map(|alert| alert.cause) != Some(AlertCause::UnknownIssuer);
            assert_eq!(believed, std::ptr::eq(one, shown), "{name}: {one:?}");
        }
    }
}

/// What a server says in a handshake; a resumed one shows no certificate.
fn flight(dialer: &TlsDialer, acceptor: &TlsAcceptor) -> usize {
    let (mut client, mut server) = (Side::new(dialer.dial()), Side::new(acceptor.accept()));
    server.hear(&client.said());
    let flight = server.said();
    client.hear(&flight);
    shake(&mut client, &mut server, usize::MAX);
    assert!(server.session.is_established());
    flight.len()
}

#[test]
fn sessions_are_resumed_and_survive_a_reload() {
    let folder = Folder::new();
    let own = folder.credentials(&["localhost"]);
    let dialer = dialer(&own.certificate, "localhost", None);
    let first = acceptor(vec![own.clone()], None);
    let whole = flight(&dialer, &first);
    assert!(flight(&dialer, &first) < whole, "resumed");
    let mut second = acceptor(vec![own.clone()], None);
    second.follow(&first);
    assert!(flight(&dialer, &second) < whole, "resumed with the next generation");
    // Where clients have to show certificates now, a ticket of before vouches for nobody.
    let authorities = authorities(&own.certificate).expect("an authority");
    let mut third = acceptor(vec![own], Some(ClientCertificates { authorities, required: false }));
    third.follow(&second);
    assert!(flight(&dialer, &third) > whole);
}

#[test]
fn an_identity_is_all_that_it_is_made_of() {
    let folder = Folder::new();
    let (own, other) = (folder.credentials(&["localhost"]), folder.credentials(&["other.test"]));
    let one = dialer(&own.certificate, "localhost", None);
    assert_eq!(one, dialer(&own.certificate, "localhost", None));
    assert_ne!(one, dialer(&own.certificate, "elsewhere", None));
    assert_ne!(one, dialer(&other.certificate, "localhost", None));
    assert_ne!(one, dialer(&own.certificate, "localhost", Some(other)));
}

#[test]
fn files_that_are_no_good_are_told_apart() {
    let folder = Folder::new();
    let (good, good_key) = folder.files(&["localhost"]);
    let (_, other_key) = folder.files(&["other.test"]);
    let text = |path: &Path| std::fs::read_to_string(path).expect("it is there");
    let old = self_signed(&["old.test".to_owned()], today() - 400).expect("made");
    let young = self_signed(&["young.test".to_owned()], today() + 3).expect("made");
    let cut = text(&good).replace("-----END CERTIFICATE-----", "");
    let two = [text(&good), text(&folder.files(&["other.test"]).0)].concat();
    for (name, content, expected) in [
        ("empty", "\n", "the file is empty"),
        ("text", "hello", "holds no certificate"),
        ("key", &text(&good_key), "holds a private key, and no certificate"),
        ("expired", &old.certificate, "has expired, 35 days ago"),
        ("young", &young.certificate, "is not valid yet"),
        ("cut", &cut, "not whole PEM"),
        ("unordered", &two, "number 1 is not signed by number 2"),
        ("damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "damaged"),
    ] {
        let told = chain(&folder.write(name, content), now()).expect_err(name);
        assert!(told.contains(expected), "{name}: {told}");
    }
    let told = chain(&folder.0.join("none"), now()).expect_err("none");
    assert_eq!(told, "there is no such file");
    assert_eq!(key(&folder.0.join("none")).expect_err("none"), "there is no such file");
    for (content, expected) in [
        ("", "the file is empty"),
        ("hello", "holds no certificate"),
        (&*text(&good_key), "holds a private key, and no certificate"),
    ] {
        let told = authorities(&folder.write("ca", content)).expect_err(expected);
        assert!(told.contains(expected), "{told}");
    }
    let told = authorities(&folder.0.join("none")).expect_err("none");
    assert_eq!(told, "there is no such file");
    let der = folder.0.join("der");
    files::create(&der, 0o600, &chain(&good, now()).expect("good").chain[0]).expect("written");
    let told = chain(&der, now()).expect_err("DER");
    assert!(told.contains("the file is DER"), "{told}");
    // Ed448, which nobody uses.
    let odd = "-----BEGIN PRIVATE KEY-----\nMEcCAQAwBQYDK2VxBDsEOfKJdyx+373vX/TP9fTtVYU19bhcDHJRXbqb5Qgs0c5V\nK1kZWcLvmINkaDy7n1QXvDevOoERvkhpCg==\n\
               -----END PRIVATE KEY-----\n";
    let odd = key(&folder.write("odd", odd)).expect("it is a key");
    let told = Credentials::new(chain(&good, now()).expect("good"), odd).expect_err("odd");
    assert!(told.contains("of a kind that is not known here"), "{told}");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (name, content, expected) in [
        ("empty", " ", "the file is empty"),
        ("certificate", &*text(&good), "holds a certificate, and no private key"),
        ("text", "hello", "holds no private key"),
        ("encrypted", encrypted, "is encrypted"),
    ] {
        let told = key(&folder.write(name, content)).expect_err(name);
        assert!(told.contains(expected), "{name}: {told}");
    }
    let told = Credentials::new(chain(&good, now()).expect("good"), key_of(&other_key));
    let told = told.expect_err("another's key");
    assert!(told.contains("the key of another certificate"), "{told}");
    assert!(!format!("{:?}", key_of(&good_key)).contains("BEGIN"));
    // Once as it is, and once as it is shown.
    assert!(Arc::strong_count(&folder.credentials(&["localhost"]).certified) == 2);
}
