//! Arguments that would be ignored beside others, or cannot be meant together, and are refused.

use serde_json::Value;

use super::super::refused::refuse;
use super::{Api, BenchArguments, Objectives, Sweep};

impl BenchArguments {
    /// Refuses what would be ignored: whoever has written it expects something of it.
    pub(super) fn refuse_idle(&self, api: Api) -> Result<(), String> {
        let own = &self.inference;
        let is_openai = matches!(api, Api::OpenaiChat | Api::OpenaiCompletions);
        let is_open = self.open.is_some() || matches!(own.sweep, Some(Sweep::Rate(_)));
        let counts = matches!(own.sweep, Some(Sweep::Concurrency(_)));
        let sets = |names: &[&str]| {
            let name = |field: &String| field.split(':').next().unwrap_or_default().to_lowercase();
            self.header.iter().any(|field| names.contains(&name(field).as_str()))
        };
        let streams = own.extra_body.as_ref().and_then(|members| members.0.get("stream"));
        refuse(&[
            (
                own.arrivals.is_some() && !is_open,
                "--arrivals says when requests of an open loop are due: say --open RATE or --sweep \
                 rate=1,2,4 as well",
            ),
            (
                self.connections.is_some() && counts,
                "-c says how many are in flight, and so does --sweep concurrency=…: leave one out",
            ),
            (
                own.no_usage && !is_openai,
                "--no-usage is for OpenAI's chat and completions: the others tell their usage unasked",
            ),
            (
                own.limit_field.is_some() && api != Api::OpenaiChat,
                "--limit-field is for OpenAI's chat",
            ),
            (own.exact_output && !is_openai, "--exact-output is for OpenAI's chat and completions"),
            (
                own.key_env.is_some() && sets(&["authorization", "x-api-key"]),
                "--key-env says who asks, and so does this --header: leave one out",
            ),
            (
                streams.is_some_and(|value| *value != Value::Bool(!own.no_stream)),
                "--extra-body says whether the answer is a stream: --no-stream does, and what is \
                 measured follows it",
            ),
            (own.model.is_none() && api.names_model(), "--model is wanted: whom to ask for"),
            (
                own.no_stream && own.slo.as_ref().is_some_and(Objectives::need_stream),
                "--slo can limit e2e alone where answers come in one piece",
            ),
            (self.connections == Some(0), "-c must be above 0"),
            (
                self.duration.is_some_and(|duration| duration.is_zero()),
                "--duration must be above 0",
            ),
        ])
    }
}
