//! The id of a request: in its log line, its spans, its answer, and the head its server gets.
//!
//! Most are made here and are small; room for a client's own is taken where there is one.

/// A request's id: the client's `X-Request-Id`, or one made here.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Id);

#[derive(Clone, PartialEq, Eq)]
enum Id {
    Given(Box<[u8]>),
    Made([u8; RequestId::MADE]),
}

impl RequestId {
    /// The longest id that is kept; longer ones are replaced.
    pub const MAX: usize = 64;
    /// Bytes of one made here.
    const MADE: usize = 16;

    /// The client's id. `http` has checked its length and its bytes.
    pub fn given(id: &[u8]) -> RequestId {
        RequestId(Id::Given(id[..id.len().min(RequestId::MAX)].into()))
    }

    /// Sixteen bytes of hex: eight that tell workers apart, eight that count.
    pub fn made(worker: u32, count: u32) -> RequestId {
        let mut bytes = [0; RequestId::MADE];
        bytes[..8].copy_from_slice(&hex(worker));
        bytes[8..].copy_from_slice(&hex(count));
        RequestId(Id::Made(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Id::Given(bytes) => bytes,
            Id::Made(bytes) => bytes,
        }
    }
}

/// The eight digits of a number, all at once: each request has sixteen.
fn hex(value: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let spread = u64::from(value);
    let spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (spread | spread << 4) & (EACH * 0x0f);
    let letters = ((digits + EACH * 6) >> 4) & EACH;
    (digits + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_kept_or_made() {
        assert_eq!(RequestId::given(b"abc-1").as_bytes(), b"abc-1");
        assert_eq!(RequestId::made(0xdead_beef, 0x1f).to_string(), "deadbeef0000001f");
    }

    #[test]
    fn digits_are_those_of_hex() {
        for value in
            (0..32).flat_map(|bit| [1 << bit, u32::MAX >> bit, 0x9e37_79b9_u32.rotate_left(bit)])
        {
            assert_eq!(hex(value), format!("{value:08x}").as_bytes(), "{value}");
        }
        assert_eq!(hex(0), *b"00000000");
    }
}
