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
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let value = u64::from(worker) << 32 | u64::from(count);
        let mut bytes = [0; RequestId::MADE];
        for (position, byte) in bytes.iter_mut().enumerate() {
            *byte = HEX[(value >> (60 - 4 * position)) as usize & 15];
        }
        RequestId(Id::Made(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Id::Given(bytes) => bytes,
            Id::Made(bytes) => bytes,
        }
    }
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
}
