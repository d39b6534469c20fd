//! Attacks that others were hit by: each row of `docs/smuggling.md`, and what the other side received.
//!
//! | file | about |
//! |---|---|
//! | `rows/` | the bytes: framing fields, whole heads, chunks, heads of answers |
//! | `refused.rs` | what must reach nobody, be it a client's or a server's |
//! | `passed.rs` | what looks like an attack and is none: the server receives one request, to the byte |
//! | `queues.rs` | answers that nobody has asked for, pipelines behind errors, early answers |
//! | `servers.rs` | all of it in front of nginx, HAProxy, Python's and Node's servers, over TLS too |

mod passed;
mod queues;
mod refused;
mod rows;
mod servers;

use crate::{hostile, protocol, smuggling};

/// Every hostile request and response is one of these, and there are enough of them.
#[test]
fn there_are_hundreds_of_hostile_messages() {
    let requests = smuggling::cases().len()
        + refused::hostile_heads().len()
        + hostile::refused_chunks().len()
        + refused::hostile_chunks().len();
    let answers = hostile::refused_heads().len()
        + hostile::refused_chunks().len()
        + refused::hostile_chunks().len()
        + rows::answers::HEADS.len()
        + rows::answers::INTERIM.len()
        + hostile::EXTRA.len()
        + queues::LEFT_OVERS.len();
    let suspicious = passed::suspicious().len() + protocol::accepted_requests().len();
    assert!(requests >= 250, "{requests} hostile requests");
    assert!(answers >= 150, "{answers} hostile answers");
    assert!(suspicious >= 50, "{suspicious} requests that pass");
}
