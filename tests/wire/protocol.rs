//! What is forwarded and rewritten, as it is seen on the wire.

use crate::harness::{End, Gateway, Upstream};

#[test]
fn a_request_goes_up_and_its_response_comes_down() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client
        .send("POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    let mut server = upstream.accept();
    let request = server.read_request();
    assert_eq!((&*request.start, request.text()), ("POST /a?b HTTP/1.1", "hi"));
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let response = client.read_response();
    assert_eq!((response.status(), response.text()), (200, "hello"));
    assert_eq!(client.read_end(), End::Fin);
}
