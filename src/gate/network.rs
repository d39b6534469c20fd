//! Networks: prefixes of addresses, as `10.0.0.0/8` or `2001:db8::/32`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// As it is written in a configuration.
const UNIX: &str = "unix";

/// A network. An address without a length is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCidr {
    Address,
    Length,
    /// Bits behind the prefix are set: either they or the length are a slip.
    Host,
}

impl Cidr {
    /// Where the clients of Unix sockets are. They have no address, and the one that stands for that is
    /// nobody's.
    pub const UNIX: Cidr = Cidr { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 32 };

    pub fn parse(text: &str) -> Result<Cidr, NoCidr> {
        if text == UNIX {
            return Ok(Cidr::UNIX);
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoCidr::Address)?;
        let most = bits_of(address);
        let length = match length {
            None => most,
            Some(text) if text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok().filter(|length| *length <= most).ok_or(NoCidr::Length)?
            }
            Some(_) => return Err(NoCidr::Length),
        };
        match prefix(address, length) == address {
            true => Ok(Cidr { address, length }),
            false => Err(NoCidr::Host),
        }
    }

    /// Whether an address lies in it. One of IPv4 that is written as IPv6 is one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && prefix(address, self.length) == self.address
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Cidr::UNIX => f.write_str(UNIX),
            Cidr { address, length } => write!(f, "{address}/{length}"),
        }
    }
}

/// Whether an address lies in one of them.
pub fn any_contains(networks: &[Cidr], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

/// An address with all bits behind its first `length` cleared.
pub fn prefix(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_of_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("unix", "0.0.0.0", "0.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
        ] {
            let network = Cidr::parse(network).expect(network);
            let [inside, outside] = [inside, outside].map(|text| text.parse().expect(text));
            assert!(network.contains(inside) && !network.contains(outside), "{network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for (text, expected) in [
            ("", NoCidr::Address),
            ("localhost", NoCidr::Address),
            ("unix/32", NoCidr::Address),
            ("10.0.0/8", NoCidr::Address),
            ("10.0.0.0/33", NoCidr::Length),
            ("10.0.0.0/", NoCidr::Length),
            ("10.0.0.0/+8", NoCidr::Length),
            ("::/129", NoCidr::Length),
            ("10.0.0.1/8", NoCidr::Host),
            ("2001:db8::1/64", NoCidr::Host),
        ] {
            assert_eq!(Cidr::parse(text), Err(expected), "{text}");
        }
        for text in ["10.0.0.0/8", "unix"] {
            assert_eq!(Cidr::parse(text).expect("legal").to_string(), text);
        }
    }
}
