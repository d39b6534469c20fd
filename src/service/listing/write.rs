//! Lists of models, written.

use serde_json::Value;

use super::ModelEntry;
use crate::http::timestamp;

/// Who reads a digest cuts twelve digits off it (`ollama list`), so there have to be some.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const NO_DETAILS: &str = r#"{"parent_model":"","format":"","family":"","families":null,"parameter_size":"","quantization_level":""}"#;

/// A model in each of the three forms: an object of JSON each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenModel {
    pub id: String,
    pub openai: String,
    pub anthropic: String,
    pub ollama: String,
}

impl WrittenModel {
    pub fn new(model: &ModelEntry) -> WrittenModel {
        // `Value`'s Display is JSON, escaped.
        let quoted = |text: &str| Value::from(text).to_string();
        let ModelEntry { id, created, owned_by, display_name, file } = model;
        let (name, moment) = (quoted(id), timestamp::written(*created));
        let shown = quoted(display_name.as_ref().unwrap_or(id));
        let owner = quoted(owned_by);
        let (size, digest, details) = match file {
            Some(file) => (file.size, &*file.digest, &*file.details),
            None => (0, NO_DIGEST, NO_DETAILS),
        };
        let digest = quoted(digest);
        WrittenModel {
            id: id.clone(),
            openai: format!(
                r#"{{"id":{name},"object":"model","created":{created},"owned_by":{owner}}}"#
            ),
            anthropic: format!(
                r#"{{"type":"model","id":{name},"display_name":{shown},"created_at":"{moment}"}}"#
            ),
            ollama: format!(
                r#"{{"name":{name},"model":{name},"modified_at":"{moment}","size":{size},"digest":{digest},"details":{details}}}"#
            ),
        }
    }
}

/// All models in OpenAI's form.
pub fn openai_list(models: &[WrittenModel]) -> String {
    let data = joined(models.iter().map(|model| &*model.openai));
    format!(r#"{{"object":"list","data":[{data}]}}"#)
}

/// All models in Ollama's form.
pub fn ollama_list(models: &[WrittenModel]) -> String {
    let data = joined(models.iter().map(|model| &*model.ollama));
    format!(r#"{{"models":[{data}]}}"#)
}

/// A page of models in Anthropic's form; `more`: there are others in the direction that was asked for.
pub fn anthropic_page(models: &[WrittenModel], more: bool) -> String {
    let data = joined(models.iter().map(|model| &*model.anthropic));
    let id = |model: Option<&WrittenModel>| model.map_or(Value::Null, |model| (&*model.id).into());
    let (first, last) = (id(models.first()), id(models.last()));
    format!(r#"{{"data":[{data}],"has_more":{more},"first_id":{first},"last_id":{last}}}"#)
}

fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for text in texts {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(text);
    }
    out
}
