//! A chat's request, as a client of an inference API sends it.

use super::Peer;

/// A head without its end, so that more fields can follow.
pub fn head(fields: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\n{fields}")
}

pub fn sized(fields: &str, body: &str) -> String {
    format!("{}Content-Length: {}\r\n\r\n{body}", head(fields), body.len())
}

/// The same in chunks of this length, each with an extension. `body`: ASCII.
pub fn chunked(fields: &str, body: &str, length: usize) -> String {
    let mut message = format!("{}Transfer-Encoding: chunked\r\n\r\n", head(fields));
    for chunk in body.as_bytes().chunks(length) {
        let chunk = std::str::from_utf8(chunk).expect("ASCII");
        message += &format!("{:x};a=b\r\n{chunk}\r\n", chunk.len());
    }
    message + "0\r\n\r\n"
}

/// Reads an answer, which has to be an error with this code.
pub fn expect_code(client: &mut Peer, status: u16, code: &str) {
    let answer = client.read_response();
    assert_eq!(answer.status(), status, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], code);
}
