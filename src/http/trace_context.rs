//! W3C Trace Context, level 1: the two fields by which a request says which trace it is part of.
//!
//! ```text
//!   traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//!                │  │ trace                          │ span of the sender │ flags: 1 is "sampled"
//!                version
//! ```
//!
//! * A `traceparent` is understood whole or it is none: then a trace begins here, and what stands in
//!   `tracestate` belongs to nobody and goes.
//! * A later version is read as far as this one goes, and what leaves is version 00.
//! * `tracestate` is passed on as it came, in all its lines, or not at all. No entry of ours is in it.
//!
//! Absent on purpose: chance, and whether a trace is sampled.

use std::fmt;

/// A trace, 16 bytes that are not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// A span of a trace, 8 bytes that are not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// Made from random numbers.
    pub fn from_random(high: u64, low: u64) -> TraceId {
        let id = u128::from(high) << 64 | u128::from(low);
        // All zero would be no id.
        TraceId(id.max(1).to_be_bytes())
    }

    /// The part of it that is random whoever made it: the last seven bytes.
    pub fn randomness(&self) -> u64 {
        let [.., b0, b1, b2, b3, b4, b5, b6] = self.0;
        u64::from_be_bytes([0, b0, b1, b2, b3, b4, b5, b6])
    }
}

impl SpanId {
    pub fn from_random(random: u64) -> SpanId {
        SpanId(random.max(1).to_be_bytes())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// What a `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    pub trace: TraceId,
    /// The span of whoever sends it.
    pub span: SpanId,
    pub sampled: bool,
}

/// `00-` trace `-` span `-` flags
const LENGTH: usize = 55;
const SPAN: std::ops::Range<usize> = 36..52;
const SAMPLED: u8 = 1;
const HEX: &[u8; 16] = b"0123456789abcdef";

impl TraceParent {
    /// Reads the value of a `traceparent` field.
    pub fn parse(value: &[u8]) -> Option<TraceParent> {
        let known: &[u8; LENGTH] = value.first_chunk()?;
        let version = byte(known[0], known[1])?;
        let ends_well = match version {
            0 => value.len() == LENGTH,
            0xff => false,
            // What later versions add stands behind a dash.
            _ => value.get(LENGTH).is_none_or(|next| *next == b'-'),
        };
        if !ends_well || [2, 35, 52].iter().any(|&dash| known[dash] != b'-') {
            return None;
        }
        let trace: [u8; 16] = bytes(&known[3..35])?;
        let span: [u8; 8] = bytes(&known[SPAN])?;
        let flags = byte(known[53], known[54])?;
        let valid = trace != [0; 16] && span != [0; 8];
        let sampled = flags & SAMPLED != 0;
        valid.then_some(TraceParent { trace: TraceId(trace), span: SpanId(span), sampled })
    }

    /// The value of the field.
    pub fn to_field(&self) -> [u8; LENGTH] {
        let mut field = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(&self.trace.0, &mut field[3..35]);
        hex(&self.span.0, &mut field[SPAN]);
        field[54] = if self.sampled { b'1' } else { b'0' };
        field
    }
}

/// Two digits, in lower case as the field has to be.
fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (target, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *target = byte(pair[0], pair[1])?;
    }
    Some(bytes)
}

fn hex(bytes: &[u8], digits: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
}

/// Entries all lines of `tracestate` may have together.
const ENTRIES_MAX: usize = 32;

/// Whether the lines of `tracestate` can be read by whoever gets them next.
pub fn is_tracestate<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut keys: [&[u8]; ENTRIES_MAX] = [b""; ENTRIES_MAX];
    let mut count = 0;
    for entry in lines.flat_map(|line| line.split(|&byte| byte == b',')) {
        let entry = trim(entry);
        if entry.is_empty() {
            continue;
        }
        let Some(equals) = memchr::memchr(b'=', entry) else { return false };
        let (key, value) = (&entry[..equals], &entry[equals + 1..]);
        let again = keys[..count].contains(&key);
        if again || count == ENTRIES_MAX || !is_key(key) || !is_value(value) {
            return false;
        }
        keys[count] = key;
        count += 1;
    }
    true
}

fn trim(entry: &[u8]) -> &[u8] {
    entry.trim_ascii()
}

/// `vendor`, or `tenant@vendor`.
fn is_key(key: &[u8]) -> bool {
    let legal =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(byte);
    let begins = |name: &[u8], digit: bool| {
        name.first().is_some_and(|byte| byte.is_ascii_lowercase() || digit && byte.is_ascii_digit())
    };
    let is = |name: &[u8], digit: bool, longest: usize| {
        begins(name, digit) && name.len() <= longest && name.iter().all(legal)
    };
    match key.iter().position(|&byte| byte == b'@') {
        None => is(key, false, 256),
        Some(at) => is(&key[..at], true, 241) && is(&key[at + 1..], false, 14),
    }
}

/// 1 to 256 printable bytes, no comma, no equals sign, no space at the end.
fn is_value(value: &[u8]) -> bool {
    let legal = |&byte: &u8| (0x20..=0x7e).contains(&byte) && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && value.iter().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    /// What the recommendation says of each: (value, sampled if it is one).
    #[test]
    fn a_traceparent_is_one_or_it_is_none() {
        let zeros = "0".repeat(32);
        let cases: &[(String, Option<bool>)] = &[
            (format!("00-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("00-{TRACE}-{SPAN}-00"), Some(false)),
            // Only the last bit has a meaning.
            (format!("00-{TRACE}-{SPAN}-ff"), Some(true)),
            (format!("00-{TRACE}-{SPAN}-fe"), Some(false)),
            // Later versions: whatever follows, behind a dash.
            (format!("01-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01-"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01.what"), None),
            (format!("cc-{TRACE}-{SPAN}-0"), None),
            // No version at all.
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("0-{TRACE}-{SPAN}-011"), None),
            (format!(".0-{TRACE}-{SPAN}-01"), None),
            (format!("0x-{TRACE}-{SPAN}-01"), None),
            // Version 00 has an end.
            (format!("00-{TRACE}-{SPAN}-01-"), None),
            (format!("00-{TRACE}-{SPAN}-01 "), None),
            (format!("00-{TRACE}-{SPAN}-01-what"), None),
            (format!("00-{TRACE}-{SPAN}-1"), None),
            (format!("00-{TRACE}-{SPAN}-"), None),
            (format!("00-{TRACE}-{SPAN}"), None),
            (format!("00-{TRACE}"), None),
            (String::new(), None),
            // Zeros name nothing.
            (format!("00-{zeros}-{SPAN}-01"), None),
            (format!("00-{TRACE}-{}-01", &zeros[..16]), None),
            // Lower case and hex.
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}-{}-01", SPAN.to_uppercase()), None),
            (format!("00-{TRACE}-{SPAN}-0A"), None),
            (format!("00-{}.-{SPAN}-01", &TRACE[..31]), None),
            (format!("00-{TRACE}-{}.-01", &SPAN[..15]), None),
            (format!("00-{TRACE}-{SPAN}-.0"), None),
            // Lengths and dashes.
            (format!("00-{}-{SPAN}-01", &TRACE[..31]), None),
            (format!("00-{TRACE}0-{SPAN}-01"), None),
            (format!("00-{TRACE}-{}-01", &SPAN[..15]), None),
            (format!("00_{TRACE}-{SPAN}-01"), None),
            (format!("00-{TRACE}_{SPAN}-01"), None),
            (format!("00-{TRACE}-{SPAN}_01"), None),
        ];
        for (value, sampled) in cases {
            let parsed = TraceParent::parse(value.as_bytes());
            assert_eq!(parsed.map(|parent| parent.sampled), *sampled, "{value:?}");
            if let Some(parent) = parsed {
                assert_eq!((&*parent.trace.to_string(), &*parent.span.to_string()), (TRACE, SPAN));
                let flags = if parent.sampled { "01" } else { "00" };
                let written = format!("00-{TRACE}-{SPAN}-{flags}");
                assert_eq!(
                    parent.to_field(),
                    *written.as_bytes(),
                    "{value:?} leaves as version 00"
                );
            }
        }
    }

    #[test]
    fn ids_are_never_zero_and_know_their_randomness() {
        assert_eq!(TraceId::from_random(0, 0).to_string(), format!("{:032x}", 1));
        assert_eq!(SpanId::from_random(0).to_string(), format!("{:016x}", 1));
        let id = TraceId::from_random(7, 0xff11_2233_4455_6677);
        assert_eq!(id.to_string(), "0000000000000007ff11223344556677");
        assert_eq!(id.randomness(), 0x0011_2233_4455_6677);
    }

    #[test]
    fn a_tracestate_is_a_list_of_pairs() {
        let long = |length: usize| "a".repeat(length);
        let entries = |count: usize| {
            (0..count).map(|index| format!("k{index}=v")).collect::<Vec<_>>().join(",")
        };
        let cases: &[(&[&str], bool)] = &[
            (&[], true),
            (&[""], true),
            (&["foo=1"], true),
            (&["foo=1,bar=2"], true),
            (&["foo=1", "bar=2"], true),
            (&["foo=1 \t , \t bar=2, \t baz=3"], true),
            (&["foo=1,", ",,", " bar=2"], true),
            (&["foo=1\t \t,\t \tbar=2"], true),
            (&["t61rcwkgmze3@vendor=x", "0a@v=1", "a-b_c*d/e=1"], true),
            (&["foo= 1", "bar=a b"], true),
            (&[&entries(32)], true),
            (&[&entries(33)], false),
            (&[&entries(32), "one=more"], false),
            (&["foo=1,foo=1"], false),
            (&["foo=1", "foo=2"], false),
            (&["foo"], false),
            (&["foo="], false),
            (&["=1"], false),
            (&["foo =1"], false),
            (&["FOO=1"], false),
            (&["foo.bar=1"], false),
            (&["foo@=1,bar=2"], false),
            (&["@foo=1,bar=2"], false),
            (&["foo@@bar=1"], false),
            (&["foo@bar@baz=1"], false),
            (&["0foo=1"], false),
            (&["foo=1=2"], false),
            (&["foo=\u{7f}"], false),
            (&[&format!("{}=1", long(256))], true),
            (&[&format!("{}=1", long(257))], false),
            (&[&format!("{}@{}=1", long(241), long(14))], true),
            (&[&format!("{}@v=1", long(242))], false),
            (&[&format!("t@{}=1", long(15))], false),
            (&[&format!("foo={}", long(256))], true),
            (&[&format!("foo={}", long(257))], false),
        ];
        for (lines, expected) in cases {
            let is = is_tracestate(lines.iter().map(|line| line.as_bytes()));
            assert_eq!(is, *expected, "{lines:?}");
        }
    }
}
