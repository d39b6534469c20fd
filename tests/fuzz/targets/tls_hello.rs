//! The first bytes of a TLS connection, as a stranger sends them: no panic,
//! nothing taken that is not there, and no plaintext without a handshake.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sluicegate::tls::{
    AcceptorSettings, Credentials, TlsAcceptor, TlsVersion, chain, key, self_signed,
};
use sluicegate::wire::transport::{Acceptor, Session};

static ACCEPTOR: LazyLock<TlsAcceptor> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("sluicegate-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let days = (now.as_secs() / 86_400) as i64;
    let made = self_signed(&["localhost".to_owned()], days).expect("a certificate");
    let (certificate, secret) = (folder.join("a.pem"), folder.join("a.key"));
    std::fs::write(&certificate, made.certificate).expect("a file");
    std::fs::write(&secret, made.key).expect("a file");
    let own =
        Credentials::new(chain(&certificate, now).expect("a chain"), key(&secret).expect("a key"));
    std::fs::remove_dir_all(&folder).expect("it is ours");
    TlsAcceptor::new(&AcceptorSettings {
        credentials: vec![own.expect("they belong together")],
        clients: None,
        min_version: TlsVersion::Tls12,
        tickets: false,
    })
    .expect("it can be used")
});

/// Shows all of it to the session, in pieces of this length.
fn show(session: &mut dyn Session, input: &[u8], piece: usize) {
    let (mut sealed, mut plain) = (Vec::new(), vec![0; 1 << 14]);
    for bytes in input.chunks(piece) {
        sealed.extend_from_slice(bytes);
        loop {
            let Ok(opened) = session.open(&mut sealed, &mut plain) else { return };
            assert!(opened.taken <= sealed.len() && opened.given == 0, "no handshake is over");
            sealed.drain(..opened.taken);
            if opened.taken == 0 || sealed.is_empty() {
                break;
            }
        }
    }
    assert!(!session.is_established());
}

fuzz_target!(|input: &[u8]| {
    let [piece, input @ ..] = input else { return };
    show(&mut *ACCEPTOR.accept(), input, usize::from(*piece) + 1);
});
