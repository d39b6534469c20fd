//! HTTP/1.1 as bytes: what arrives is understood here, what leaves is written here.
//!
//! | file      | owns                                                                             |
//! |-----------|----------------------------------------------------------------------------------|
//! | `head`    | request and response heads: parsing, refusal, framing, what `Connection` decides  |
//! | `body`    | where a body ends, for each kind of framing                                       |
//! | `chunk`   | the chunked coding, scanned and never decoded                                     |
//! | `sse`     | an event stream, watched and never touched                                        |
//! | `ndjson`  | a stream of JSON lines, the same                                                  |
//! | `json`    | fields of a JSON text, found and never parsed                                     |
//! | `lines`   | lines that answers of our own and those passed on have in common                   |
//! | `rewrite` | the head the other side gets: hop-by-hop fields out, ours in                      |
//! | `cors`    | the fields by which a browser asks whether a page may call, and what it is told     |
//! | `credential` | where the key of an API stands in a head                                     |
//! | `pattern` | texts in which a star stands for any bytes                                       |
//! | `date`    | the line that says when a message was made                                       |
//! | `retry_after` | when a server wants to be asked again                                         |
//! | `timestamp` | moments in JSON, RFC 3339                                             |
//! | `trace_context` | the fields that say which trace a request is part of                  |
//! | `names`   | what a name may be made of, and the fields that a gateway acts on                 |
//! | `path`    | what a path may hold, and the form in which two are compared                      |
//! | `reply`   | heads and chunks of answers made in this process                                  |
//!
//! Reading order: `chunk`, `body`, `head`, `rewrite`; the others stand alone.
//!
//! * Every scanner takes its input in any pieces and gives the same verdict for each way to cut it.
//! * No scanner keeps a byte of what it has seen. All output goes into a `Vec` the caller owns.
//! * What is passed on has one meaning. A message two peers could read in two ways is refused,
//!   not repaired: `docs/protocol.md` lists every refusal with its reason and its test.
//!
//! Absent on purpose: sockets, clocks, configuration, and the role we play. Nothing here knows
//! whether a request will be proxied or answered, or what becomes of a connection.

pub mod body;
pub mod chunk;
pub mod coding;
pub mod cors;
pub mod credential;
pub mod date;
pub mod explained;
pub mod field_rules;
pub mod form;
pub mod head;
pub mod json;
mod lines;
mod names;
pub mod ndjson;
pub mod path;
pub mod pattern;
pub mod reply;
pub mod request_id;
pub mod retry_after;
pub mod rewrite;
pub mod sse;
pub mod timestamp;
pub mod trace_context;

#[cfg(test)]
pub(crate) mod tests;
