//! The list of models: what clients can ask for through this gateway, told in the form they ask in.
//!
//! A [`ModelList`] belongs to one route. Whoever learns of models puts them on its shelf, whole and
//! written; whoever is asked takes what lies there. The lock is held to swap or to copy a pointer,
//! so nobody waits for a list that is being made.
//!
//! Who comes by a key that is for some models is told of those.
//!
//! | asked for | answer |
//! |---|---|
//! | `…/models` | the list, in Anthropic's form and by its pages where the request has `anthropic-version` |
//! | `…/models/ID` | one model, or 404 `model_not_found` |
//! | `…/api/tags` | the list in Ollama's form |

mod page;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::json;

use self::page::Page;
use super::finished::Finished;
use super::{Request, Responder, Service};
use crate::clock::Instant;
use crate::escape::escaped;
use crate::http::explained;
use crate::http::path;
use crate::http::pattern::Pattern;
use crate::service::listing::{ModelEntry, WrittenModel, anthropic_page, ollama_list, openai_list};

const JSON: &str = "application/json";
/// Names in an answer of ours are cut here: the whole of it came from the client.
const NAME_SHOWN_MAX: usize = 256;

/// What the path of a route is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListedAt {
    /// `…/models`
    All,
    /// `…/models/*` or `…/models*`: this prefix, in front of a name.
    Each(String),
    /// `…/api/tags`
    Tags,
}

impl ListedAt {
    /// Of a route for this path. `None`: no client looks for models there.
    pub fn exact(path: &str) -> Option<ListedAt> {
        match path {
            _ if path.ends_with("/models") => Some(ListedAt::All),
            _ if path.ends_with("/api/tags") => Some(ListedAt::Tags),
            _ => None,
        }
    }

    /// The same of a route for every path with this beginning.
    pub fn below(prefix: &str) -> Option<ListedAt> {
        let leads = prefix.ends_with("/models") || prefix.ends_with("/models/");
        leads.then(|| ListedAt::Each(prefix.to_owned()))
    }
}

/// The models of one route.
pub struct ModelList {
    at: ListedAt,
    shelf: Mutex<Arc<Shelf>>,
    /// What was told before, so that it is never a worker who is the last to hold a list and has to
    /// free thousands of texts between two tokens.
    before: Mutex<Arc<Shelf>>,
}

/// What is told, written.
#[derive(Default)]
struct Shelf {
    models: Vec<WrittenModel>,
    openai: Bytes,
    ollama: Bytes,
}

impl Shelf {
    fn new(models: &[ModelEntry]) -> Shelf {
        Shelf::of(models.iter().map(WrittenModel::new).collect())
    }

    fn of(models: Vec<WrittenModel>) -> Shelf {
        let bytes = |text: String| Bytes::from(escaped(&text).into_owned());
        let (openai, ollama) = (bytes(openai_list(&models)), bytes(ollama_list(&models)));
        Shelf { models, openai, ollama }
    }

    /// What stands here of the models that somebody may use.
    fn only(&self, usable: &[Pattern]) -> Shelf {
        let may = |model: &&WrittenModel| usable.iter().any(|it| it.matches(model.id.as_bytes()));
        Shelf::of(self.models.iter().filter(may).cloned().collect())
    }
}

impl ModelList {
    /// An empty list.
    pub fn new(at: ListedAt) -> ModelList {
        let shelf = Arc::new(Shelf::new(&[]));
        ModelList { at, shelf: Mutex::new(Arc::clone(&shelf)), before: Mutex::new(shelf) }
    }

    /// Tells these from now on, in this order.
    pub fn put(&self, models: &[ModelEntry]) {
        let shelf = Arc::new(Shelf::new(models));
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        *before = std::mem::replace(&mut *self.shelf(), shelf);
    }

    fn shelf(&self) -> MutexGuard<'_, Arc<Shelf>> {
        // It is one pointer, and whole whoever panics.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request<'_>) -> Finished {
        let anthropic = request.fields.get("anthropic-version").is_some();
        if !matches!(request.method, "GET" | "HEAD") {
            let message = "a list of models is read with GET";
            let telling = refusal(405, anthropic, "method_not_allowed", message);
            return telling.with_field("Allow", "GET, HEAD");
        }
        let mut shelf = Arc::clone(&self.shelf());
        if let Some(usable) = request.models {
            shelf = Arc::new(shelf.only(usable));
        }
        let id = match &self.at {
            ListedAt::All => "",
            ListedAt::Tags => return Finished::new(200, JSON, shelf.ollama.clone()),
            ListedAt::Each(prefix) => match rest(request.path, prefix) {
                Some(id) => id,
                None => {
                    return refusal(404, anthropic, "no_route", "nothing is listed at this path");
                }
            },
        };
        match (id, anthropic) {
            ("", false) => Finished::new(200, JSON, shelf.openai.clone()),
            ("", true) => anthropic_answer(&shelf, request.query),
            (id, _) => one(&shelf, id, anthropic),
        }
    }
}

/// What stands on the shelf is no part of the configuration.
impl fmt::Debug for ModelList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelList").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Service for ModelList {
    fn respond(&self, request: &Request<'_>, _now: Instant) -> Box<dyn Responder> {
        Box::new(self.answer(request))
    }
}

/// The name behind the prefix, as it came; empty: all are asked for. `None`: the prefix has ended
/// inside a word.
fn rest<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let rest = path::behind(path, prefix);
    let id = path::without_slash(rest);
    (prefix.ends_with('/') || rest.is_empty() || id.len() < rest.len()).then_some(id)
}

fn one(shelf: &Shelf, written: &str, anthropic: bool) -> Finished {
    let id = page::decoded(written, false);
    match shelf.models.iter().find(|model| id.as_deref() == Some(&model.id)) {
        Some(model) if anthropic => json_answer(200, &model.anthropic),
        Some(model) => json_answer(200, &model.openai),
        None => {
            let name: String =
                id.as_deref().unwrap_or(written).chars().take(NAME_SHOWN_MAX).collect();
            let message =
                format!("there is no model {name:?} here; the list of models has all names");
            refusal(404, anthropic, "model_not_found", &message)
        }
    }
}

fn anthropic_answer(shelf: &Shelf, query: Option<&str>) -> Finished {
    let page = Page::of(query.unwrap_or_default()).and_then(|page| page.of_models(&shelf.models));
    match page {
        Ok((models, more)) => json_answer(200, &anthropic_page(models, more)),
        Err(wrong) => refusal(400, true, "bad_page", wrong),
    }
}

/// An error in the asker's form.
fn refusal(status: u16, anthropic: bool, code: &str, message: &str) -> Finished {
    let kind = "invalid_request_error";
    let kind = if anthropic && status == 404 { "not_found_error" } else { kind };
    let hint = explained::hint(code);
    let error = json!({ "message": message, "type": kind, "code": code, "hint": hint });
    let body = match anthropic {
        true => json!({ "type": "error", "error": error }),
        false => json!({ "error": error }),
    };
    json_answer(status, &body.to_string())
}

fn json_answer(status: u16, text: &str) -> Finished {
    Finished::new(status, JSON, Bytes::from(escaped(text).into_owned()))
}
