use proptest::prelude::*;

use super::*;
use crate::http::names::Known;
use crate::http::tests::{any_ends, assert_documented, cut_at, every_cut};

/// The end of a scan: the bytes cleared, whether the body is done, and the payload; or the refusal
/// and the payload before it.
type Outcome = (Result<(usize, bool), ChunkError>, Vec<u8>);

fn scan_in(pieces: &[&[u8]]) -> Outcome {
    let mut scanner = ChunkScanner::new();
    let mut payload = Vec::new();
    let mut cleared = 0;
    for piece in pieces {
        match scanner.scan(piece, |data| payload.extend_from_slice(data)) {
            Ok(count) => {
                assert!(count == piece.len() || scanner.is_done());
                cleared += count;
            }
            Err(error) => {
                // A refusal is final.
                assert_eq!(scanner.scan(b"0\r\n\r\n", |_| unreachable!()), Err(error));
                return (Err(error), payload);
            }
        }
    }
    (Ok((cleared, scanner.is_done())), payload)
}

fn scan(bytes: &[u8]) -> Outcome {
    scan_in(&[bytes])
}

/// Scans `bytes` cut everywhere, checks that it makes no difference, and returns the outcome.
fn scan_any_split(bytes: &[u8]) -> Outcome {
    let whole = scan(bytes);
    for pieces in every_cut(bytes) {
        assert_eq!(scan_in(&pieces), whole, "{:?}", bytes.escape_ascii().to_string());
    }
    whole
}

/// A whole body, its payload, and what may follow it.
const ACCEPTED: &[(&str, &[u8], &[u8])] = &[
    ("chunked-body", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    ("chunked-multi", b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n", b"abc0123456789abcdef"),
    ("chunked-empty", b"0\r\n\r\n", b""),
    (
        "chunked-hex-uppercase",
        b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        b"01234567890123456789",
    ),
    ("chunk-size-zeros", b"000000000000005\r\nhello\r\n000\r\n\r\n", b"hello"),
    ("chunk-line-breaks-in-data", b"6\r\n\r\n\r\n\n0\r\n0\r\n\r\n", b"\r\n\r\n\n0"),
    ("chunk-extension", b"5;a=b;c=\"d;\\\"e\" ; f\r\nhello\r\n0;g\r\n\r\n", b"hello"),
    ("chunk-extension-blanks", b"5 \t; a\t = \"\" ;b\r\nhello\r\n0\t;c = d\r\n\r\n", b"hello"),
    ("chunk-trailers", b"1\r\nx\r\n0\r\nX-Sum: a b\xe9\r\nx_y:\r\n\r\n", b"x"),
    (
        "chunk-trailers-standard",
        b"0\r\nETag: a\r\nContent-Digest: b\r\nServer-Timing: c\r\nAccept_Ranges: d\r\n\r\n",
        b"",
    ),
];

#[test]
fn the_end_of_a_body_can_be_held_back() {
    let body = b"1\r\nx\r\n0;g\r\nX: y\r\n\r\nnext";
    let (frames, tail) = (6, 13);
    for cut in 0..frames + tail {
        let mut scanner = ChunkScanner::new();
        let first = scanner.scan(&body[..cut], |_| {}).unwrap();
        assert_eq!(scanner.at_boundary(), [0, frames].contains(&cut), "cut at {cut}");
        let second = scanner.scan(&body[cut..], |_| {}).unwrap();
        assert_eq!(first + second, frames + tail);
        let whole = cut <= frames;
        let length = if whole { tail } else { second } as u32;
        assert_eq!(scanner.tail(), Tail { length, whole }, "cut at {cut}");
        assert_eq!(scanner.scan(b"0\r\n\r\n", |_| {}), Ok(0));
        assert_eq!(scanner.tail(), Tail { length, whole });
    }
}

#[test]
fn bodies_are_accepted() {
    for (id, bytes, payload) in ACCEPTED {
        let expected = (Ok((bytes.len(), true)), payload.to_vec());
        assert_eq!(scan_any_split(bytes), expected, "{id}");
        let followed = [*bytes, b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(scan_any_split(&followed), expected, "{id}, with a request behind it");
        for length in 0..bytes.len() {
            let (result, part) = scan(&bytes[..length]);
            assert_eq!(result, Ok((length, false)), "{id}, {length} bytes of it");
            assert!(payload.starts_with(&part));
        }
    }
}

const REFUSED: &[(&str, &[u8], ChunkError)] = &[
    ("chunk-size-missing", b"\r\nhello", ChunkError::SizeMissing),
    ("chunk-size-only-extension", b";a\r\n", ChunkError::SizeMissing),
    ("chunk-leading-sp", b" 5\r\nhello\r\n", ChunkError::SizeMissing),
    ("chunk-negative", b"-5\r\n", ChunkError::SizeMissing),
    ("chunk-size-plus", b"+5\r\n", ChunkError::SizeMissing),
    ("chunk-hex-prefix", b"0x5\r\n", ChunkError::SizeInvalid),
    ("chunk-underscore", b"1_0\r\n", ChunkError::SizeInvalid),
    ("chunk-size-trailing-ows", b"5 \r\nhello\r\n", ChunkError::ExtensionInvalid),
    ("chunk-size-overflow", b"1000000000000000\r\n", ChunkError::SizeTooLong),
    ("chunk-size-zeros-long", b"0000000000000005\r\n", ChunkError::SizeTooLong),
    ("chunk-lf-term", b"5\nhello\r\n", ChunkError::BareLf),
    ("chunk-bare-cr-term", b"5\rhello\r\n", ChunkError::BareCr),
    ("chunk-ext-lf", b"5;a\nhello\r\n", ChunkError::BareLf),
    ("chunk-ext-quoted-lf", b"5;a=\"\n\"\r\nhello\r\n", ChunkError::BareLf),
    ("chunk-ext-cr", b"5;a\rX\r\n", ChunkError::BareCr),
    ("chunk-ext-quoted-cr", b"5;a=\"\r\n\"\r\n", ChunkError::ExtensionInvalid),
    ("chunk-ext-ctrl", b"5;a=\x01\r\n", ChunkError::ExtensionInvalid),
    ("chunk-ext-nul", b"5;a=\"\0\"\r\n", ChunkError::ExtensionInvalid),
    ("chunk-ext-non-ascii", b"5;a=\"\xe9\"\r\n", ChunkError::ExtensionInvalid),
    ("chunk-ext-invalid-token", b"5;a[=x\r\n", ChunkError::ExtensionInvalid),
    ("chunk-bare-semicolon", b"5;\r\nhello\r\n", ChunkError::ExtensionInvalid),
    ("chunk-ext-value-missing", b"5;a= \r\nhello\r\n", ChunkError::ExtensionInvalid),
    ("chunk-ext-two-words", b"5;a b\r\nhello\r\n", ChunkError::ExtensionInvalid),
    ("chunk-ext-trailing-ows", b"5;a \r\nhello\r\n", ChunkError::ExtensionInvalid),
    ("chunk-ext-quoted-name", b"5;\"a\"\r\nhello\r\n", ChunkError::ExtensionInvalid),
    ("chunk-missing-trailing-crlf", b"5\r\nhello0\r\n\r\n", ChunkError::DataUnterminated),
    ("chunk-spill", b"5\r\nhello!\r\n", ChunkError::DataUnterminated),
    ("chunk-data-lf-term", b"5\r\nhello\n0\r\n\r\n", ChunkError::DataUnterminated),
    ("chunk-data-cr-term", b"5\r\nhello\r0\r\n\r\n", ChunkError::DataUnterminated),
    ("chunk-lf-trailer", b"0\r\nX: a\n\r\n", ChunkError::BareLf),
    ("chunk-end-lf", b"0\r\n\n", ChunkError::BareLf),
    ("chunk-end-cr", b"0\r\n\rX", ChunkError::BareCr),
    ("trailer-bare-cr", b"0\r\nX: a\rb\r\n\r\n", ChunkError::BareCr),
    ("trailer-obs-fold", b"0\r\nX: a\r\n b\r\n\r\n", ChunkError::TrailerInvalid),
    ("trailer-no-colon", b"0\r\nGET / HTTP/1.1\r\n\r\n", ChunkError::TrailerInvalid),
    ("trailer-empty-name", b"0\r\n: a\r\n\r\n", ChunkError::TrailerInvalid),
    ("trailer-sp-before-colon", b"0\r\nX : a\r\n\r\n", ChunkError::TrailerInvalid),
    ("trailer-nul", b"0\r\nX: \0\r\n\r\n", ChunkError::TrailerInvalid),
    ("trailer-cl", b"0\r\nContent-Length: 5\r\n\r\n", ChunkError::TrailerForbidden),
    ("trailer-te", b"0\r\ntransfer-encodinG: chunked\r\n\r\n", ChunkError::TrailerForbidden),
    ("trailer-host", b"0\r\nX: a\r\nHost: a\r\n\r\n", ChunkError::TrailerForbidden),
    ("trailer-auth", b"0\r\nAuthorization: a\r\n\r\n", ChunkError::TrailerForbidden),
    ("trailer-content-type", b"0\r\nContent-Type: a\r\n\r\n", ChunkError::TrailerForbidden),
    ("trailer-forwarded", b"0\r\nX-Forwarded-For: a\r\n\r\n", ChunkError::TrailerForbidden),
    ("trailer-lookalike", b"0\r\nContent_Length: 5\r\n\r\n", ChunkError::TrailerForbidden),
    ("trailer-trace", b"0\r\ntraceparent: a\r\n\r\n", ChunkError::TrailerForbidden),
    ("trailer-control", b"0\r\nLocation: a\r\n\r\n", ChunkError::TrailerForbidden),
    ("trailer-family", b"0\r\nSec-Any-Of-Them: a\r\n\r\n", ChunkError::TrailerForbidden),
];

#[test]
fn bodies_are_refused() {
    for (id, bytes, error) in REFUSED {
        let (result, payload) = scan_any_split(bytes);
        assert_eq!(result, Err(*error), "{id}");
        assert!(b"hello".starts_with(&payload[..]), "{id}");
    }
}

#[test]
fn whole_chunks_in_front_of_a_refused_one_can_be_passed_on() {
    let whole = b"1\r\nx\r\n2\r\nyz\r\n";
    for (bad, shown, boundary) in [
        (&b"no chunk"[..], "xyz", true),
        (b"5;\r\n", "xyz", true),
        (b"0\r\nno trailer\r\n", "xyz", true),
        (b"5\r\nhello!\r\n", "xyzhello", false),
    ] {
        let body = [&whole[..], bad].concat();
        let mut scanner = ChunkScanner::new();
        let mut payload = Vec::new();
        assert!(scanner.scan(&body, |data| payload.extend_from_slice(data)).is_err());
        assert_eq!(payload, shown.as_bytes());
        assert_eq!(
            (scanner.whole_before_refusal(), scanner.at_boundary()),
            (whole.len(), boundary)
        );
        // Nothing more comes of it.
        assert!(scanner.scan(b"1\r\nx\r\n", |_| {}).is_err());
        assert_eq!((scanner.whole_before_refusal(), scanner.at_boundary()), (0, false));
        // Where its beginning was passed on before, there is no place behind it.
        for cut in whole.len() + 1..body.len() {
            let mut scanner = ChunkScanner::new();
            if scanner.scan(&body[..cut], |_| {}).is_ok() {
                assert!(scanner.scan(&body[cut..], |_| {}).is_err());
                assert_eq!((scanner.whole_before_refusal(), scanner.at_boundary()), (0, false));
            }
        }
    }
}

#[test]
fn every_chunked_case_is_documented() {
    let accepted: Vec<_> = ACCEPTED.iter().map(|(id, ..)| (*id, vec![])).collect();
    assert_documented("Chunked bodies: accepted", &accepted);
    let by_limit = [
        ("chunk-extension-long", ChunkError::ExtensionTooLong),
        ("chunk-extensions-long", ChunkError::ExtensionTooLong),
        ("trailers-long", ChunkError::TrailersTooLong),
    ];
    let refused: Vec<_> = REFUSED
        .iter()
        .map(|(id, _, error)| (*id, *error))
        .chain(by_limit)
        .map(|(id, error)| (id, vec![format!("| `{}` |", error.code())]))
        .collect();
    assert_documented("Chunked bodies: refused", &refused);
}

fn scan_response(bytes: &[u8]) -> Result<(usize, bool), ChunkError> {
    let mut scanner = ChunkScanner::of_response();
    let cleared = scanner.scan(bytes, |_| {})?;
    Ok((cleared, scanner.is_done()))
}

#[test]
fn an_extension_has_its_longest_length() {
    let body = |length: usize| format!("0;{}\r\n\r\n", "a".repeat(length - 1));
    let too_long = Some(ChunkError::ExtensionTooLong);
    for (length, expected) in [(256, None), (257, too_long)] {
        assert_eq!(scan_any_split(body(length).as_bytes()).0.err(), expected, "{length}");
    }
    for (length, expected) in [(4096, None), (4097, too_long)] {
        assert_eq!(scan_response(body(length).as_bytes()).err(), expected, "{length}");
    }
}

#[test]
fn the_extensions_of_a_request_are_paid_for_by_its_data() {
    let too_long = Some(ChunkError::ExtensionTooLong);
    // Each chunk is 256 - 16 - 2 bytes over.
    let dear = format!("1;{}\r\nx\r\n", "a".repeat(255));
    let most = 16 * 1024 / (256 - 16 - 2);
    for (chunks, expected) in [(most, None), (most + 1, too_long)] {
        let body = format!("{}0\r\n\r\n", dear.repeat(chunks));
        assert_eq!(scan(body.as_bytes()).0.err(), expected, "{chunks}");
        // The same with data that pays for it.
        let large = format!("{}100;a\r\n{}\r\n", dear.repeat(most), "x".repeat(256));
        let body = format!("{large}{}0\r\n\r\n", dear);
        assert_eq!(scan(body.as_bytes()).0.err(), None);
    }
    // However long it goes on.
    let stream = "1;t=1\r\nx\r\n".repeat(20_000) + "0\r\n\r\n";
    assert_eq!(scan(stream.as_bytes()).0, Ok((stream.len(), true)));
}

#[test]
fn a_response_may_have_an_extension_on_each_of_its_chunks() {
    let chunk = format!("1;signature={}\r\nx\r\n", "0".repeat(64));
    let stream = chunk.repeat(20_000) + "0\r\n\r\n";
    assert_eq!(scan_response(stream.as_bytes()), Ok((stream.len(), true)));
}

#[test]
fn trailers_have_their_longest_length() {
    let body = |most: usize, over: usize| {
        format!("0\r\nX:{}\r\n\r\n", "a".repeat(most - "X:\r\n\r\n".len() + over))
    };
    for (over, expected) in [(0, None), (1, Some(ChunkError::TrailersTooLong))] {
        assert_eq!(scan(body(8 * 1024, over).as_bytes()).0.err(), expected, "{over} over");
        assert_eq!(scan_response(body(32 * 1024, over).as_bytes()).err(), expected, "{over} over");
    }
}

#[test]
fn no_trailer_may_be_what_a_gateway_acts_on_in_a_head() {
    for name in Known::NAMES {
        let folded = name.replace('-', "_");
        for name in [name, &name.to_uppercase(), &folded, &name.replacen('-', "_", 1)] {
            let body = format!("0\r\n{name}: a\r\n\r\n");
            assert_eq!(scan(body.as_bytes()).0, Err(ChunkError::TrailerForbidden), "{name}");
        }
    }
}

#[test]
fn what_comes_too_late_for_nobody_may_be_a_trailer() {
    for name in [
        "ETag",
        "Digest",
        "Content-Digest",
        "Repr-Digest",
        "Content-MD5",
        "Server-Timing",
        "Signature",
        "Signature-Input",
        "Accept-Ranges",
        "Authentication-Info",
        "grpc-status",
        "grpc-message",
        "x-amz-checksum-crc32c",
        "x-amz-trailer-signature",
        "X-Sum",
        "My-Trailer",
        "usage",
        "if",
        "x",
        "Contents",
        "x-forward",
    ] {
        let body = format!("0\r\n{name}: a\r\n\r\n");
        assert_eq!(scan(body.as_bytes()).0, Ok((body.len(), true)), "{name}");
    }
    for name in [
        "Content-Anything",
        "X_Forwarded_Port",
        "Proxy-Status",
        "If-Anything",
        "Sec_Fetch_Site",
        "Access-Control-Allow-Origin",
        "X-Sluice-Anything",
        "Set_Cookie",
        "X_Api_Key",
        "Via",
        // Who a request is from, as proxies and servers of applications tell each other.
        "Remote-User",
        "X-Remote-User",
        "X-Authenticated-User",
        "X_Auth_Token",
        "SSL-Client-Cert",
        "X-SSL-Client-Verify",
        "X-Cluster-Client-Ip",
        "Fastly-Client-IP",
        "WL-Proxy-Client-IP",
        "X-ProxyUser-Ip",
        "X-Envoy-Original-Path",
        // Where it goes, and what it is.
        "X-Host",
        "X-Scheme",
        "X-Method-Override",
        "X-Goog-Api-Key",
        "Mcp-Session-Id",
        // Registered.
        "Warning",
        "SOAPAction",
        "Slug",
        "Capsule-Protocol",
        "Want-Content-Digest",
    ] {
        let body = format!("0\r\n{name}: a\r\n\r\n");
        assert_eq!(scan(body.as_bytes()).0, Err(ChunkError::TrailerForbidden), "{name}");
    }
}

/// What of a size line behind its digits follows the grammar of RFC 9112 §7.1.1, by other means: the
/// productions, read from the left with every place where each may end.
fn extensions(input: &[u8]) -> bool {
    type Rule = fn(&[u8]) -> Vec<usize>;
    // The lengths of the beginnings of `input` that are one of these, from the shortest on.
    fn run(input: &[u8], least: usize, is_one: fn(u8) -> bool) -> Vec<usize> {
        let most = input.iter().take_while(|byte| is_one(**byte)).count();
        (least..=most).collect()
    }
    fn blank(input: &[u8]) -> Vec<usize> {
        run(input, 0, |byte| byte == b' ' || byte == b'\t')
    }
    fn token(input: &[u8]) -> Vec<usize> {
        run(input, 1, |byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    }
    fn one(input: &[u8], wanted: u8) -> Vec<usize> {
        if input.first() == Some(&wanted) { vec![1] } else { vec![] }
    }
    fn quoted(input: &[u8]) -> Vec<usize> {
        let mut at = 1;
        while input.first() == Some(&b'"') && at < input.len() {
            let text = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
            match (input[at], input.get(at + 1)) {
                (b'"', _) => return vec![at + 1],
                (b'\\', Some(&byte)) if text(byte) => at += 2,
                (byte, _) if byte != b'\\' && text(byte) => at += 1,
                _ => return vec![],
            }
        }
        vec![]
    }
    fn value(input: &[u8]) -> Vec<usize> {
        [token(input), quoted(input)].concat()
    }
    /// Where all of `rules`, one behind the other, may end.
    fn sequence(input: &[u8], rules: &[Rule]) -> Vec<usize> {
        let Some((first, rest)) = rules.split_first() else { return vec![0] };
        let ends = first(input).into_iter();
        ends.flat_map(|end| sequence(&input[end..], rest).into_iter().map(move |more| end + more))
            .collect()
    }
    let name: &[Rule] = &[blank, |input| one(input, b';'), blank, token];
    let named_value: &[Rule] = &[blank, |input| one(input, b'='), blank, value];
    input.is_empty()
        || [sequence(input, name), sequence(input, &[name, named_value].concat())]
            .concat()
            .into_iter()
            .any(|end| extensions(&input[end..]))
}

/// Every line of so many bytes of an alphabet that has all that the grammar tells apart.
#[test]
fn every_short_size_line_is_read_as_the_grammar_has_it() {
    const ALPHABET: &[u8] = b"a;= \t\"\\[\x01";
    const LENGTH_MAX: usize = 6;
    let mut accepted = 0;
    for length in 0..=LENGTH_MAX {
        let mut indexes = vec![0; length];
        loop {
            let line: Vec<u8> = indexes.iter().map(|&index: &usize| ALPHABET[index]).collect();
            let body = [b"1", &line[..], b"\r\nx\r\n0\r\n\r\n"].concat();
            let whole = scan(&body).0;
            let expected = extensions(&line);
            accepted += usize::from(expected && length == LENGTH_MAX);
            let shown = line.escape_ascii().to_string();
            assert_eq!(whole == Ok((body.len(), true)), expected, "{shown}: {whole:?}");
            let Some(at) = indexes.iter().rposition(|&index| index + 1 < ALPHABET.len()) else {
                break;
            };
            indexes[at] += 1;
            indexes[at + 1..].fill(0);
        }
    }
    assert!(accepted > 100, "{accepted} lines of the longest length are extensions");
}

#[test]
fn the_largest_chunk_does_not_overflow() {
    let mut scanner = ChunkScanner::new();
    assert_eq!(scanner.scan(b"fffffffffffffff\r\nabc", |_| {}), Ok(20));
    assert_eq!(scanner.state, State::Data { remaining: (1 << 60) - 4 });
}

#[test]
fn a_scanner_is_small() {
    assert!(size_of::<ChunkScanner>() <= 32, "{}", size_of::<ChunkScanner>());
}

/// A second opinion, by other means: decodes a whole body without extensions and trailers at the
/// start of `bytes`. `None`: it is not one, or not whole.
fn decode(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let mut payload = Vec::new();
    let mut rest = bytes;
    loop {
        let end = memchr::memmem::find(rest, b"\r\n")?;
        let digits = std::str::from_utf8(&rest[..end]).ok()?;
        let plain =
            (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let size = plain.then(|| usize::from_str_radix(digits, 16).ok())??;
        let data = rest[end + 2..].get(..size)?;
        payload.extend_from_slice(data);
        rest = rest[end + 2 + size..].strip_prefix(b"\r\n")?;
        if size == 0 {
            return Some((bytes.len() - rest.len(), payload));
        }
    }
}

fn encode(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks {
        crate::http::reply::chunk(chunk, &mut body);
    }
    body.extend_from_slice(crate::http::reply::LAST_CHUNK);
    body
}

fn any_chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6)
}

/// Fragments that meet each other at all the interesting places.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        "0",
        "5",
        "f",
        "00",
        "hello",
        "5\r\nhello\r\n",
        "1\r\nx\r\n",
        "\r\n",
        "\r",
        "\n",
        ";",
        ";a",
        "=",
        "\"",
        "\\",
        " ",
        "\t",
        "X",
        ":",
        "0\r\n",
        "0\r\n\r\n",
        "X: y\r\n",
        "Host:",
        "\0",
        "\u{e9}",
    ]);
    prop::collection::vec(fragment, 1..14).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn what_was_encoded_is_scanned_however_it_arrives(chunks in any_chunks(), ends in any_ends()) {
        let mut body = encode(&chunks);
        let expected = (Ok((body.len(), true)), chunks.concat());
        body.extend_from_slice(b"5\r\nother\r\n");
        prop_assert_eq!(scan_in(&cut_at(&body, &ends)), expected.clone());
        prop_assert_eq!(scan(&body), expected);
    }

    #[test]
    fn any_split_scans_alike(body in any_body(), ends in any_ends()) {
        let whole = scan_any_split(&body);
        prop_assert_eq!(scan_in(&cut_at(&body, &ends)), whole);
    }

    #[test]
    fn one_wrong_byte_never_lets_the_scanner_see_another_end(
        chunks in any_chunks(), at in any::<usize>(), byte in any::<u8>(), ends in any_ends(),
    ) {
        let mut body = encode(&chunks);
        let at = at % body.len();
        body[at] = byte;
        body.extend_from_slice(b"0\r\n\r\n");
        let whole = scan(&body);
        prop_assert_eq!(&scan_in(&cut_at(&body, &ends)), &whole);
        // Beside extensions and trailers, which the second opinion does not know, both agree.
        match (decode(&body), whole) {
            (Some((length, payload)), outcome) => {
                prop_assert_eq!(outcome, (Ok((length, true)), payload));
            }
            (None, (Ok((length, true)), _)) => {
                prop_assert!(body[..length].iter().any(|byte| b";:".contains(byte)));
            }
            (None, _) => {}
        }
    }
}
