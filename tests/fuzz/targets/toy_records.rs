//! Records of the toy session: no bytes of a peer make it panic, and what it opens it was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::sim::toy::{Manners, Toy};

/// Opens all of `sealed`, and gives the plaintext.
fn open(toy: &mut Toy, mut sealed: Vec<u8>, room: usize) -> Result<Vec<u8>, ()> {
    let mut text = Vec::new();
    let mut plain = vec![0; room];
    loop {
        let opened = toy.open_front(&mut sealed, &mut plain).map_err(drop)?;
        assert!(opened.taken <= sealed.len() && opened.given <= room);
        text.extend_from_slice(&plain[..opened.given]);
        sealed.drain(..opened.taken);
        if opened.taken == 0 && opened.given == 0 {
            return Ok(text);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [kind, room, at, input @ ..] = input else { return };
    let manners = Manners { record_max: 64, ..Manners::PLAIN_SAILING };
    let (mut client, mut server) = (Toy::client(manners, 1), Toy::server(manners, 2));
    let room = usize::from(*room) + 1;
    if kind & 1 > 0 {
        let _ = open(&mut server, input.to_vec(), room);
        return;
    }
    // A handshake, and behind it what was sealed, or what has become of it on the way.
    for _ in 0..3 {
        let said = client.own();
        open(&mut server, said, room).expect("a handshake");
        let said = server.own();
        open(&mut client, said, room).expect("a handshake");
    }
    assert!(client.established() && server.established());
    let mut sealed = Vec::new();
    client.seal_to(input, &mut sealed);
    if kind & 2 > 0 && !sealed.is_empty() {
        let place = usize::from(*at) * sealed.len() / 256;
        sealed[place] ^= kind | 1;
        // A sum of one byte misses some: no panic is all that is asked.
        let _ = open(&mut server, sealed, room);
        return;
    }
    assert_eq!(open(&mut server, sealed, room).as_deref(), Ok(input));
});
