//! Whose connection it is, and whose request: the preamble of the PROXY protocol, `Forwarded` and
//! `X-Forwarded-For`.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use sluicegate::gate::forwarded::{ClientField, client_of};
use sluicegate::gate::network::Cidr;
use sluicegate::gate::preamble::{PREAMBLE_MAX, Preamble, read};
use sluicegate::http::head::{FieldSlots, HeadLimits, parse_request};

fuzz_target!(|input: &[u8]| {
    preamble(input);
    fields(input);
});

/// It is read alike however much of it has come, and never claims a byte that has not.
fn preamble(input: &[u8]) {
    let whole = read(input);
    if let Preamble::Whole { length, .. } = whole {
        assert!((1..=PREAMBLE_MAX.min(input.len())).contains(&length));
        assert_eq!(read(&input[..length]), whole, "what comes behind it says nothing");
    }
    if whole == Preamble::Partial {
        assert!(input.len() < PREAMBLE_MAX, "nobody is waited for without end");
    }
    for cut in 0..input.len().min(256) {
        let before = read(&input[..cut]);
        assert!(matches!(before, Preamble::Partial) || before == whole, "decided with {cut} bytes");
    }
}

/// From nobody whom we do not trust is anything believed, and a client is nobody whom we trust unless all
/// of the list is.
fn fields(input: &[u8]) {
    let mut text = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for line in input.split(|byte| *byte == b'\n') {
        let name: &[u8] = if line.contains(&b'=') { b"Forwarded: " } else { b"X-Forwarded-For: " };
        text.extend_from_slice(&[name, line, b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    let (mut slots, limits) = (FieldSlots::new(), HeadLimits { bytes: 8_192, fields: 64 });
    let Ok(Some(head)) = parse_request(&text, &mut slots, &limits) else { return };
    let (friend, stranger) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
    let trusted = [Cidr::parse("10.0.0.0/8").expect("a network")];
    for field in [ClientField::XForwardedFor, ClientField::Forwarded] {
        assert_eq!(client_of(&head, stranger, &trusted, field), stranger);
        assert_eq!(client_of(&head, friend, &[], field), friend);
        let client = client_of(&head, friend, &trusted, field);
        assert_eq!(client, client.to_canonical(), "one address is written in one way");
    }
}
