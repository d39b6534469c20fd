//! Predefined answers of version 2, and of Triton's extension.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::service::dialects::writing::{CannedStream, bytes_of};
use crate::service::openai::Identity;

fn infer(model: &str, text: &str) -> Value {
    json!({
        "model_name": model,
        "model_version": "1",
        "outputs": [{"name": "text_output", "datatype": "BYTES", "shape": [1], "data": [text]}],
    })
}

fn generate(model: &str, text: &str) -> Value {
    json!({"model_name": model, "model_version": "1", "text_output": text})
}

pub(super) fn inferred(model: &str, text: &str) -> Bytes {
    bytes_of(&infer(model, text))
}

pub(super) fn generated(model: &str, text: &str) -> Bytes {
    bytes_of(&generate(model, text))
}

#[derive(Debug)]
pub(super) struct Stream {
    model: String,
    /// Of Triton's extension.
    generates: bool,
}

impl Stream {
    pub fn new(path: &str, model: Option<&str>, identity: &Identity<'_>) -> Stream {
        let model = model.unwrap_or(identity.model).to_owned();
        Stream { model, generates: path.ends_with("/generate_stream") }
    }
}

impl CannedStream for Stream {
    fn piece(&self, _index: u64, text: &str) -> Bytes {
        let data = match self.generates {
            true => generate(&self.model, text),
            false => infer(&self.model, text),
        };
        Bytes::from(format!("data: {data}\n\n"))
    }

    fn closing(&self, _pieces: u64, _text: &str) -> Option<Bytes> {
        None
    }
}
