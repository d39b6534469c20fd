use super::*;
use crate::http::body::Framing;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 100,
};

#[test]
fn an_ordinary_request_parses() {
    let input =
        b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 2\r\n\r\n{}";
    let mut slots = FieldSlots::new();
    let head = parse_request(input, &mut slots, &LIMITS).unwrap().unwrap();
    assert_eq!(
        (head.path, head.query),
        ("/v1/chat/completions", Some("x=1"))
    );
    assert_eq!(head.framing, Framing::Length(2));
    assert_eq!(&input[head.length..], b"{}");
}
