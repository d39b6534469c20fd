use super::*;

const TRACED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn opened(draft: &str, wanted: &Opening<'_>) -> String {
    let mut out = b"before".to_vec();
    opening(draft.as_bytes(), wanted, &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

/// The span of the attempt with this number: each has its own.
fn span(attempt: usize) -> String {
    TRACED.replace("b7ad", &format!("b7a{attempt}"))
}

/// A rewritten path, and the request line that comes of it; the client's is `/v1/chat?x=1`.
type PathRow = (Option<(&'static str, &'static str)>, &'static str);
/// A `Host`, and the line that comes of it; the client's authority is `own`, if it has one.
type HostRow = (Option<&'static str>, bool, &'static str);
/// The client's field of framing; the length and the first chunk of this try; the field of this try,
/// and what stands behind the head.
type FramingRow = (&'static str, Option<u64>, usize, &'static str, &'static str);

const PATHS: &[PathRow] = &[
    (None, "POST /v1/chat?x=1 HTTP/1.1\r\n"),
    (Some(("/other", "")), "POST /other?x=1 HTTP/1.1\r\n"),
    (Some(("/api/", "chat")), "POST /api/chat?x=1 HTTP/1.1\r\n"),
];

const HOSTS: &[HostRow] = &[
    (None, true, "Host: own\r\n"),
    (Some("10.0.0.1:80"), true, "Host: 10.0.0.1:80\r\n"),
    (Some("a.very.long.name.of.an.upstream"), true, "Host: a.very.long.name.of.an.upstream\r\n"),
    (Some("h"), false, "Host: h\r\n"),
];

const FRAMINGS: &[FramingRow] = &[
    ("", None, 0, "", ""),
    ("Content-Length: 5\r\n", None, 0, "Content-Length: 5\r\n", ""),
    ("Content-Length: 5\r\n", Some(5), 0, "Content-Length: 5\r\n", ""),
    ("Content-Length: 99\r\n", Some(100), 0, "Content-Length: 100\r\n", ""),
    ("CONTENT-length:100\r\n", Some(99), 0, "CONTENT-length:99\r\n", ""),
    ("Transfer-Encoding: chunked\r\n", None, 0, "Transfer-Encoding: chunked\r\n", ""),
    ("Transfer-Encoding: chunked\r\n", None, 31, "Transfer-Encoding: chunked\r\n", "1f\r\n"),
];

/// Fields that look like those that are written per try, and are the client's.
const BEFORE: &str = "A: Host: own\r\nX-Content-Length: 5\r\n";
const BEHIND: &str = "B: traceparent: x\r\nX-Request-Id: id-1\r\n";

/// Each part of an opening is that of its own row, whatever the others are and however many openings
/// were written from the draft before.
#[test]
fn an_opening_is_what_its_draft_and_its_try_say() {
    let mut count = 0;
    for (client_framing, length, first_chunk, framing, chunk_line) in FRAMINGS {
        for (host, named, host_line) in HOSTS {
            for end in ["\r\n", "Accept-Encoding: identity\r\n\r\n"] {
                let own = if *named { "Host: own\r\n" } else { "" };
                let line = "POST /v1/chat?x=1 HTTP/1.1\r\n";
                let draft = format!("{line}{own}{BEFORE}{client_framing}{BEHIND}{end}");
                let tries =
                    PATHS.iter().flat_map(|path| [false, true].map(|traced| (path, traced)));
                for (attempt, ((path, line), traced)) in tries.enumerate() {
                    let span = span(attempt);
                    let parent = TraceParent::parse(span.as_bytes()).unwrap();
                    let wanted = Opening {
                        path: *path,
                        host: host.map(str::as_bytes),
                        length: *length,
                        trace: traced.then_some(&parent),
                        first_chunk: *first_chunk,
                    };
                    let trace = match traced {
                        true => format!("traceparent: {span}\r\n"),
                        false => String::new(),
                    };
                    let expected = format!(
                        "{line}{host_line}{BEFORE}{framing}{BEHIND}{trace}{end}{chunk_line}"
                    );
                    assert_eq!(opened(&draft, &wanted), expected, "{wanted:?}");
                    assert!(!wanted.is_draft() || draft == expected, "{wanted:?}");
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 7 * 4 * 2 * 6);
}

#[test]
fn the_target_of_no_path_is_kept() {
    let draft = "OPTIONS * HTTP/1.1\r\nHost: own\r\n\r\n";
    let wanted = Opening { path: Some(("/x", "")), ..Opening::default() };
    assert_eq!(opened(draft, &wanted), draft);
}

#[test]
fn a_draft_tells_what_it_was_made_of() {
    let draft = b"GET /a:b/c?d=/e HTTP/1.1\r\nHost: h\r\nAccept: 1\r\nX-Accept: no\r\naccept:2\r\nX: y\r\n\r\n";
    assert_eq!(path_of(draft), "/a:b/c");
    assert_eq!(path_of(b"GET /a HTTP/1.1\r\n\r\n"), "/a");
    assert_eq!(path_of(b""), "");
    assert!(has_authority(draft) && !has_authority(b"GET / HTTP/1.1\r\nX: Host: h\r\n\r\n"));
    let values: Vec<&[u8]> = values_of(draft, b"accept").collect();
    assert_eq!(values, [b"1", b"2"]);
    assert_eq!(values_of(b"", b"accept").count(), 0);
    let kept = [&draft[..], b"body\r\n\r\nof lines"].concat();
    assert_eq!(split_draft(&kept), (&draft[..], &b"body\r\n\r\nof lines"[..]));
    assert_eq!(split_draft(b"no end"), (&b"no end"[..], &b""[..]));
}
