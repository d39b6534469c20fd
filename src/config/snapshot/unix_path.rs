//! Unix sockets: addresses that stand for a path.
//!
//! Whoever stores, compares or hashes addresses knows those of the internet alone. So a path has a
//! stand-in: an address of the discard prefix 100::/64 (RFC 6666), to which nobody sends a packet. It
//! is given out once for each path and process, `check` refuses the prefix where it is written by
//! hand, and only who opens a socket, or shows an address, asks for the path behind it.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

/// What a path is written with in the file.
pub const UNIX_PREFIX: &str = "unix:";
/// As long as a path may be for the kernel (unix(7): 108 bytes with the NUL behind it).
pub const UNIX_PATH_MAX: usize = 107;

/// The paths that have a stand-in, in the order of its number. As many as configurations have named.
static PATHS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// The address that stands for this path.
pub fn stand_in(path: &str) -> SocketAddr {
    let mut paths = PATHS.lock().unwrap_or_else(PoisonError::into_inner);
    let index = paths.iter().position(|known| *known == path).unwrap_or_else(|| {
        paths.push(Box::leak(path.to_owned().into_boxed_str()));
        paths.len() - 1
    });
    let ip = Ipv6Addr::from_bits(0x0100_u128 << 112 | index as u128);
    SocketAddr::from((ip, 1))
}

/// Whether this is an address that no socket has.
pub fn is_stand_in(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(address) if address.ip().segments()[..4] == [0x100, 0, 0, 0])
}

/// The path that it stands for.
pub fn path_of(address: SocketAddr) -> Option<&'static str> {
    let SocketAddr::V6(address) = address else { return None };
    if !is_stand_in(address.into()) {
        return None;
    }
    let index = usize::try_from(address.ip().to_bits() & u128::from(u64::MAX)).ok()?;
    PATHS.lock().unwrap_or_else(PoisonError::into_inner).get(index).copied()
}

/// The address as it is written in the file.
pub fn shown_address(address: SocketAddr) -> String {
    match path_of(address) {
        Some(path) => format!("{UNIX_PREFIX}{path}"),
        None => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_address_and_an_address_one_path() {
        let (one, two) = (stand_in("/run/one.sock"), stand_in("/run/two.sock"));
        assert_ne!(one, two);
        assert_eq!(stand_in("/run/one.sock"), one);
        assert_eq!((path_of(one), path_of(two)), (Some("/run/one.sock"), Some("/run/two.sock")));
        assert_eq!(shown_address(two), "unix:/run/two.sock");
        for address in ["127.0.0.1:80", "[::1]:80", "[100::ffff]:1", "[100:0:0:1::]:1"] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(path_of(address), None);
            assert_eq!(shown_address(address), address.to_string());
        }
    }
}
