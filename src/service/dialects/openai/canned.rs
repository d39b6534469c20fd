//! Predefined answers of OpenAI's two older dialects, and its error document.

use bytes::Bytes;

use super::write::{Cost, DONE, Envelope, Failure, Finish, Identity, Shape, Whole, error_kind};
use crate::http::json::escape;
use crate::service::dialects::writing::{CODE, CannedDocument, CannedStream};

pub(super) fn document(shape: Shape, identity: &Identity<'_>, text: &str) -> CannedDocument {
    let mut inside = Vec::with_capacity(text.len());
    escape(text, &mut inside);
    let text = std::iter::once(inside.as_slice());
    CannedDocument::json(Whole::new(shape, identity, Cost::default(), Finish::Stop, text).body)
}

pub(super) fn stream(
    shape: Shape,
    identity: &Identity<'_>,
    include_usage: bool,
) -> Box<dyn CannedStream> {
    Box::new(Envelope::new(shape, identity, include_usage))
}

impl CannedStream for Envelope {
    fn opening(&self) -> Option<Bytes> {
        self.role()
    }

    fn piece(&self, _index: u64, text: &str) -> Bytes {
        let mut inside = Vec::with_capacity(text.len());
        escape(text, &mut inside);
        self.text([&inside, b""])
    }

    fn closing(&self, _pieces: u64, _text: &str) -> Option<Bytes> {
        let usage = self.with_usage().then(|| self.usage(Cost::default()));
        let finish = self.finish(Finish::Stop);
        Some(Bytes::from([finish, usage.unwrap_or_default(), DONE].concat()))
    }
}

pub(in crate::service) fn error_document(status: u16, text: &str) -> Bytes {
    Failure { message: text, kind: error_kind(status), param: None, code: CODE }.body()
}
