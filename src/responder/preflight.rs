//! The answer to a preflight: a head, and nothing behind it.

use std::borrow::Cow;

use super::{Action, Head, Responder};
use crate::clock::Instant;

/// Says in `fields` what a page may do.
pub fn granted(fields: &[(Cow<'static, str>, String)]) -> Box<dyn Responder> {
    let head = Head { status: 204, content_type: "", length: Some(0), fields: fields.to_vec() };
    Box::new(Granted(Some(head)))
}

#[derive(Debug)]
struct Granted(Option<Head>);

impl Responder for Granted {
    fn step(&mut self, _now: Instant) -> Action {
        self.0.take().map_or(Action::End, Action::Head)
    }
}
