use super::*;
use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use proptest::prelude::*;
use zstd_safe::zstd_sys::ZSTD_EndDirective::{self as Directive, ZSTD_e_end, ZSTD_e_flush};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

const TEXT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";

/// A member of gzip's with these optional parts. Its checksum is none.
fn gzip(flags: u8, parts: &[u8], text: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 255];
    member.extend_from_slice(parts);
    member.extend(compress_to_vec(text, 6));
    member.extend([0; 8]);
    member
}

/// Brotli's way to write what it does not compress, with a window of 64 KiB.
fn brotli(text: &[u8]) -> Vec<u8> {
    let head = ((text.len() as u32 - 1) << 4 | 1 << 20).to_le_bytes();
    [&head[..3], text, &[3]].concat()
}

/// A server's end of a zstd body, with a window of two to this.
fn compressor(window_log: u32) -> CCtx<'static> {
    let mut compressor = CCtx::create();
    compressor.set_parameter(CParameter::WindowLog(window_log)).expect("a window");
    compressor.set_parameter(CParameter::ChecksumFlag(true)).expect("a flag");
    compressor
}

fn compress(compressor: &mut CCtx<'_>, text: &[u8], directive: Directive) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(text.len()) + 64];
    let (mut output, mut input) = (OutBuffer::around(&mut out[..]), InBuffer::around(text));
    let left = compressor.compress_stream2(&mut output, &mut input, directive).expect("zstd");
    assert_eq!(left, 0, "there is room for all");
    let written = output.pos();
    out.truncate(written);
    out
}

fn zstd(text: &[u8]) -> Vec<u8> {
    compress(&mut compressor(20), text, ZSTD_e_end)
}

fn decoded(coding: Coding, pieces: &[&[u8]]) -> Result<Vec<u8>, Undecodable> {
    let mut decoder = BodyDecoder::new(coding);
    let mut out = Vec::new();
    for piece in pieces {
        decoder.feed(piece, |_| true, |piece| out.extend_from_slice(piece))?;
    }
    Ok(out)
}

fn bodies() -> Vec<(Coding, Vec<u8>, Vec<u8>)> {
    let text = TEXT.repeat(300).into_bytes();
    let all = [Member::EXTRA, Member::NAME, Member::COMMENT, Member::HEADER_CHECK];
    let all = all.into_iter().fold(0, |flags, flag| flags | flag);
    let named = gzip(all, b"\x03\0abcname\0comment\0\x12\x34", &text);
    let empty = gzip(Member::EXTRA, b"\0\0", &text);
    vec![
        (Coding::Gzip, gzip(0, b"", &text), text.clone()),
        (Coding::Gzip, [named, empty].concat(), text.repeat(2)),
        (Coding::Deflate, compress_to_vec_zlib(&text, 6), text.clone()),
        (Coding::Brotli, brotli(&text), text.clone()),
        (Coding::Zstd, zstd(&text), text.clone()),
        (Coding::Zstd, [zstd(&text), zstd(b""), zstd(&text)].concat(), text.repeat(2)),
    ]
}

#[test]
fn any_cut_decodes_alike() {
    for (coding, body, text) in bodies() {
        assert_eq!(decoded(coding, &[&body]).as_deref(), Ok(&*text), "{coding:?}");
        for cut in 0..body.len().min(400) {
            let (front, back) = body.split_at(cut);
            assert_eq!(decoded(coding, &[front, back]).as_deref(), Ok(&*text), "{coding:?} {cut}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(decoded(coding, &bytes).as_deref(), Ok(&*text), "{coding:?} bytewise");
    }
}

#[test]
fn what_was_flushed_is_told_at_once() {
    use miniz_oxide::deflate::core::CompressorOxide;
    use miniz_oxide::deflate::stream::deflate;
    let mut compressor = CompressorOxide::new(0x800 | 128);
    compressor.set_format_and_level(DataFormat::Raw, 6);
    let mut decoder = BodyDecoder::new(Coding::Gzip);
    decoder
        .feed(&gzip(0, b"", b"")[..10], |_| true, |_| panic!("a header says nothing"))
        .expect("a header");
    for number in 0..5 {
        let (event, mut out, mut seen) = (format!("data: {number}\n\n"), [0; 256], Vec::new());
        let result = deflate(&mut compressor, event.as_bytes(), &mut out, MZFlush::Sync);
        let piece = &out[..result.bytes_written];
        decoder.feed(piece, |_| true, |piece| seen.extend_from_slice(piece)).expect("gzip");
        assert_eq!(seen, event.as_bytes());
    }
}

#[test]
fn what_zstd_has_flushed_is_told_at_once_though_its_window_is_not_full() {
    let (mut compressor, mut decoder) = (compressor(23), BodyDecoder::new(Coding::Zstd));
    let mut wanted = Vec::new();
    for number in 0..5 {
        let (event, mut seen) = (format!("data: {number}\n\n"), Vec::new());
        let piece = compress(&mut compressor, event.as_bytes(), ZSTD_e_flush);
        for byte in piece.chunks(1) {
            let may_have = |bytes| {
                wanted.push(bytes);
                true
            };
            let sink = |piece: &[u8]| seen.extend_from_slice(piece);
            decoder.feed(byte, may_have, sink).expect("zstd");
        }
        assert_eq!(seen, event.as_bytes());
    }
    assert_eq!(wanted, [zstd::memory(23)], "it is asked once, and before it is taken");
    let State::Zstd(context) = &decoder.state else { panic!("{decoder:?}") };
    assert!(context.sizeof() <= wanted[0], "{} of {}", context.sizeof(), wanted[0]);
    assert!(context.sizeof() > 8 << 20, "{}", context.sizeof());
}

#[test]
fn a_window_that_is_too_large_or_not_paid_for_is_not_decoded() {
    let of = |window_log| compress(&mut compressor(window_log), b"data", ZSTD_e_flush);
    let malformed = Err(Undecodable::Malformed);
    for (body, may_have, expected) in [
        (of(24), true, Err(Undecodable::Window)),
        (of(23), false, Err(Undecodable::Window)),
        (of(23), true, Ok(())),
        // A later frame gets no more than the first has asked for.
        ([compress(&mut compressor(17), b"", ZSTD_e_end), of(18)].concat(), true, malformed),
        ([compress(&mut compressor(17), b"", ZSTD_e_end), of(17)].concat(), true, Ok(())),
    ] {
        let mut decoder = BodyDecoder::new(Coding::Zstd);
        let fed = decoder.feed(&body, |_| may_have, |_| {});
        assert_eq!(fed, expected, "{body:02x?}");
    }
}

#[test]
fn what_is_no_body_of_the_coding_is_refused() {
    for (coding, body) in [
        (Coding::Gzip, &b"{\"error\":1}"[..]),
        (Coding::Gzip, b"\x1f\x8c"),
        (Coding::Gzip, b"\x1f\x8b\x07"),
        (Coding::Gzip, b"\x1f\x8b\x08\xe0"),
        (Coding::Gzip, b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff\xff"),
        (Coding::Deflate, b"{\"error\":1}"),
        (Coding::Brotli, b"{\"error\":{\"message\":\"no\"}}"),
        (Coding::Zstd, b"{\"error\":1}"),
        (Coding::Zstd, b"\x28\xb5\x2f\xfd\x08\x00"),
        // A dictionary that nobody has.
        (Coding::Zstd, b"\x28\xb5\x2f\xfd\x21\x07\x01\x09\x00\x00a"),
    ] {
        assert_eq!(decoded(coding, &[body]), Err(Undecodable::Malformed), "{coding:?} {body:?}");
    }
}

#[test]
fn a_bomb_is_not_unpacked() {
    let zeros = vec![b' '; 8 << 20];
    for (coding, body) in [
        (Coding::Gzip, gzip(0, b"", &zeros)),
        (Coding::Deflate, compress_to_vec_zlib(&zeros, 9)),
        (Coding::Zstd, zstd(&zeros)),
    ] {
        let (mut decoder, mut seen) = (BodyDecoder::new(coding), 0);
        let fed = decoder.feed(&body, |_| true, |piece| seen += piece.len());
        assert_eq!(fed, Err(Undecodable::Bomb));
        assert!(seen <= body.len() * EXPANSION + SLACK, "{seen} of {}", body.len());
    }
}

#[test]
fn one_coding_is_known_by_its_name() {
    use Coding::{Brotli, Deflate, Gzip, Zstd};
    for (fields, expected) in [
        (vec!["gzip"], Ok(Some(Gzip))),
        (vec!["X-GZIP"], Ok(Some(Gzip))),
        (vec!["deflate"], Ok(Some(Deflate))),
        (vec![" br "], Ok(Some(Brotli))),
        (vec!["zstd"], Ok(Some(Zstd))),
        (vec!["identity, gzip"], Ok(Some(Gzip))),
        (vec!["identity"], Ok(None)),
        (vec![], Ok(None)),
        // RFC 9110 §5.6.1.2: empty members are ignored.
        (vec![",gzip,"], Ok(Some(Gzip))),
        (vec!["", "gzip"], Ok(Some(Gzip))),
        (vec![" , ,\t"], Ok(None)),
        (vec![""], Ok(None)),
        (vec!["gzip, br"], Err(UnknownCoding)),
        (vec!["gzip", "gzip"], Err(UnknownCoding)),
        (vec!["compress"], Err(UnknownCoding)),
    ] {
        let found = Coding::of(fields.iter().map(|field| field.as_bytes()));
        assert_eq!(found, expected, "{fields:?}");
    }
}

#[test]
fn windows_of_brotli_are_limited() {
    // RFC 7932 §9.1, its table.
    for (byte, bits) in [
        (0b000_0000, Some(16)),
        (0b000_0001, Some(17)),
        (0b000_0011, Some(18)),
        (0b000_1111, Some(24)),
        (0b010_0001, Some(10)),
        (0b111_0001, Some(15)),
        (0b001_0001, None),
    ] {
        assert_eq!(window_bits(byte), bits, "{byte:b}");
    }
    assert_eq!(brotli_memory(0b000_1111), Err(Undecodable::Window));
    assert_eq!(brotli_memory(0b000_1011), Ok((4 << 20) + BROTLI_BYTES));
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn any_bytes_end_in_an_answer(
        coding in prop_oneof![Just(Coding::Gzip), Just(Coding::Deflate), Just(Coding::Brotli), Just(Coding::Zstd)],
        start in prop_oneof![Just(&b""[..]), Just(&b"\x1f\x8b\x08\0\0\0\0\0\0\0"[..]), Just(&b"\x28\xb5\x2f\xfd"[..])],
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        cut in 0..300usize,
    ) {
        let body = [start, &bytes].concat();
        let (front, back) = body.split_at(cut.min(body.len()));
        let whole = decoded(coding, &[&body]);
        let parts = decoded(coding, &[front, back]);
        prop_assert_eq!(whole.is_ok(), parts.is_ok());
        if let (Ok(whole), Ok(parts)) = (whole, parts) {
            prop_assert_eq!(whole, parts);
        }
    }
}
