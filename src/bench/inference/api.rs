//! The APIs that can be asked: where, and in which words.

use serde_json::{Map, Value, json};

use super::files::Prompt;
use super::workload::Job;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    OpenaiChat,
    OpenaiCompletions,
    OpenaiResponses,
    Anthropic,
    OllamaChat,
    OllamaGenerate,
    Tgi,
}

/// What is asked for beside the prompt.
#[derive(Clone, Debug)]
pub struct Style {
    pub model: String,
    pub stream: bool,
    /// Ask for as many tokens as at most (`min_tokens`, `ignore_eos`), where a server has that.
    pub exact: bool,
    /// Ask a stream to tell its usage, where that has to be asked for.
    pub usage: bool,
    /// In which field OpenAI's chat is told how many tokens are wanted at most.
    pub limit_field: String,
    /// Put over the body; `null` takes a field away.
    pub extra: Map<String, Value>,
}

impl Api {
    pub const ALL: [Api; 7] = [
        Api::OpenaiChat,
        Api::OpenaiCompletions,
        Api::OpenaiResponses,
        Api::Anthropic,
        Api::OllamaChat,
        Api::OllamaGenerate,
        Api::Tgi,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Api::OpenaiChat => "openai-chat",
            Api::OpenaiCompletions => "openai-completions",
            Api::OpenaiResponses => "openai-responses",
            Api::Anthropic => "anthropic",
            Api::OllamaChat => "ollama-chat",
            Api::OllamaGenerate => "ollama-generate",
            Api::Tgi => "tgi",
        }
    }

    /// The path that is asked, where the URL names none.
    pub fn path(self, stream: bool) -> &'static str {
        match self {
            Api::OpenaiChat => "/v1/chat/completions",
            Api::OpenaiCompletions => "/v1/completions",
            Api::OpenaiResponses => "/v1/responses",
            Api::Anthropic => "/v1/messages",
            Api::OllamaChat => "/api/chat",
            Api::OllamaGenerate => "/api/generate",
            Api::Tgi if stream => "/generate_stream",
            Api::Tgi => "/generate",
        }
    }

    /// Whether a request has to name a model.
    pub fn names_model(self) -> bool {
        self != Api::Tgi
    }

    /// The path behind a base such as `/`, `/v1` or `/gateway/v1`; a path that ends as the API's does is
    /// taken as it is. The query stays.
    pub fn path_below(self, base: &str, stream: bool) -> String {
        let (path, query) = match base.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (base, String::new()),
        };
        let own = self.path(stream);
        let tail = own.strip_prefix("/v1").unwrap_or(own);
        let path = path.trim_end_matches('/');
        let path = match path {
            path if path.ends_with(tail) => path.to_owned(),
            path if path.ends_with("/v1") => format!("{path}{tail}"),
            path => format!("{path}{own}"),
        };
        path + &query
    }

    /// Fields of the request, whole lines without their ends.
    pub fn fields(self, key: Option<&str>) -> Vec<String> {
        let mut fields = vec!["Content-Type: application/json".to_owned()];
        if self == Api::Anthropic {
            fields.push("anthropic-version: 2023-06-01".to_owned());
        }
        match (self, key) {
            (_, None) => {}
            (Api::Anthropic, Some(key)) => fields.push(format!("x-api-key: {key}")),
            (_, Some(key)) => fields.push(format!("Authorization: Bearer {key}")),
        }
        fields
    }

    /// The body of a request.
    pub fn body(self, job: &Job, style: &Style) -> Vec<u8> {
        let mut body = match self {
            Api::Tgi => json!({
                "inputs": text(&job.prompt),
                "parameters": { "max_new_tokens": job.output },
            }),
            Api::OllamaChat => json!({
                "model": style.model,
                "messages": messages(&job.prompt),
                "stream": style.stream,
                "options": { "num_predict": job.output },
            }),
            Api::OllamaGenerate => json!({
                "model": style.model,
                "prompt": text(&job.prompt),
                "stream": style.stream,
                "options": { "num_predict": job.output },
            }),
            Api::Anthropic => json!({
                "model": style.model,
                "messages": messages(&job.prompt),
                "max_tokens": job.output,
                "stream": style.stream,
            }),
            Api::OpenaiResponses => json!({
                "model": style.model,
                "input": messages_or_text(&job.prompt),
                "max_output_tokens": job.output,
                "stream": style.stream,
            }),
            Api::OpenaiChat => json!({
                "model": style.model,
                "messages": messages(&job.prompt),
                style.limit_field.as_str(): job.output,
                "stream": style.stream,
            }),
            Api::OpenaiCompletions => json!({
                "model": style.model,
                "prompt": text(&job.prompt),
                "max_tokens": job.output,
                "stream": style.stream,
            }),
        };
        if let Some(body) = body.as_object_mut() {
            self.put_options(job, style, body);
        }
        body.to_string().into_bytes()
    }

    fn put_options(self, job: &Job, style: &Style, body: &mut Map<String, Value>) {
        let openai = matches!(self, Api::OpenaiChat | Api::OpenaiCompletions);
        if openai && style.stream && style.usage {
            body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        }
        if openai && style.exact {
            body.insert("min_tokens".to_owned(), json!(job.output));
            body.insert("ignore_eos".to_owned(), json!(true));
        }
        for (name, value) in &style.extra {
            match value {
                Value::Null => drop(body.shift_remove(name)),
                value => drop(body.insert(name.clone(), value.clone())),
            }
        }
    }
}

fn messages(prompt: &Prompt) -> Value {
    match prompt {
        Prompt::Text(text) => json!([{ "role": "user", "content": text }]),
        Prompt::Messages(messages) => messages.clone(),
    }
}

fn messages_or_text(prompt: &Prompt) -> Value {
    match prompt {
        Prompt::Text(text) => json!(text),
        Prompt::Messages(messages) => messages.clone(),
    }
}

/// For an API without chats: what was said last.
fn text(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Messages(messages) => {
            let all = messages.as_array().into_iter().flatten();
            let said = all.filter_map(|message| message.get("content")?.as_str());
            said.collect::<Vec<_>>().join("\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style() -> Style {
        Style {
            model: "m".to_owned(),
            stream: true,
            exact: false,
            usage: true,
            limit_field: "max_tokens".to_owned(),
            extra: Map::new(),
        }
    }

    fn body(api: Api, style: &Style) -> Value {
        let job = Job { prompt: Prompt::Text("hi".to_owned()), input: Some(1), output: 9 };
        serde_json::from_slice(&api.body(&job, style)).expect("JSON")
    }

    #[test]
    fn every_api_is_asked_in_its_own_words() {
        let user = json!([{ "role": "user", "content": "hi" }]);
        let usage = json!({ "include_usage": true });
        let expected = [
            json!({"model":"m","messages":user,"max_tokens":9,"stream":true,"stream_options":usage}),
            json!({"model":"m","prompt":"hi","max_tokens":9,"stream":true,"stream_options":usage}),
            json!({"model":"m","input":"hi","max_output_tokens":9,"stream":true}),
            json!({"model":"m","messages":user,"max_tokens":9,"stream":true}),
            json!({"model":"m","messages":user,"stream":true,"options":{"num_predict":9}}),
            json!({"model":"m","prompt":"hi","stream":true,"options":{"num_predict":9}}),
            json!({"inputs":"hi","parameters":{"max_new_tokens":9}}),
        ];
        for (api, expected) in Api::ALL.into_iter().zip(expected) {
            assert_eq!(body(api, &style()), expected, "{api:?}");
        }
    }

    #[test]
    fn options_are_put_where_a_server_has_them() {
        let exact = Style { exact: true, stream: false, ..style() };
        let chat = body(Api::OpenaiChat, &exact);
        assert_eq!((&chat["min_tokens"], &chat["ignore_eos"]), (&json!(9), &json!(true)));
        assert!(
            chat.get("stream_options").is_none(),
            "an answer in one piece has its usage anyway"
        );
        assert!(body(Api::Anthropic, &exact).get("min_tokens").is_none());
        let extra = json!({ "temperature": 0, "max_tokens": null, "model": "other" });
        let extra = extra.as_object().cloned().expect("an object");
        let chat = body(Api::OpenaiChat, &Style { extra, ..style() });
        assert_eq!((&chat["temperature"], &chat["model"]), (&json!(0), &json!("other")));
        assert!(chat.get("max_tokens").is_none());
        let limit_field = "max_completion_tokens".to_owned();
        let chat = body(Api::OpenaiChat, &Style { limit_field, ..style() });
        assert_eq!(chat["max_completion_tokens"], json!(9));
    }

    #[test]
    fn a_path_is_put_behind_its_base() {
        for (base, api, expected) in [
            ("/", Api::OpenaiChat, "/v1/chat/completions"),
            ("/v1", Api::OpenaiChat, "/v1/chat/completions"),
            ("/v1/", Api::OpenaiCompletions, "/v1/completions"),
            ("/v1/chat/completions", Api::OpenaiChat, "/v1/chat/completions"),
            (
                "/openai/deployments/x/chat/completions?api-version=1",
                Api::OpenaiChat,
                "/openai/deployments/x/chat/completions?api-version=1",
            ),
            ("/behind/v1?a=b", Api::OpenaiResponses, "/behind/v1/responses?a=b"),
            ("/", Api::Anthropic, "/v1/messages"),
            ("/ollama", Api::OllamaChat, "/ollama/api/chat"),
            ("/", Api::OllamaGenerate, "/api/generate"),
            ("/", Api::Tgi, "/generate_stream"),
        ] {
            assert_eq!(api.path_below(base, true), expected, "{base}");
        }
        assert_eq!(Api::Tgi.path_below("/", false), "/generate");
    }

    #[test]
    fn a_key_stands_in_the_field_of_its_api() {
        assert!(Api::OpenaiChat.fields(Some("k")).contains(&"Authorization: Bearer k".to_owned()));
        let anthropic = Api::Anthropic.fields(Some("k"));
        assert!(anthropic.contains(&"x-api-key: k".to_owned()), "{anthropic:?}");
        assert!(anthropic.iter().any(|field| field.starts_with("anthropic-version: ")));
        assert_eq!(Api::OllamaChat.fields(None).len(), 1);
    }
}
