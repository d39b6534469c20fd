//! Arguments that would be ignored beside others, and are refused.

use super::{Api, BenchArguments, Sweep};

impl BenchArguments {
    /// Refuses what would be ignored: whoever has written it expects something of it.
    pub(super) fn refuse_idle(&self, api: Api) -> Result<(), String> {
        let own = &self.inference;
        let is_openai = matches!(api, Api::OpenaiChat | Api::OpenaiCompletions);
        let is_open = self.open.is_some() || matches!(own.sweep, Some(Sweep::Rate(_)));
        let counts = matches!(own.sweep, Some(Sweep::Concurrency(_)));
        let idle = [
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
        ];
        match idle.into_iter().find(|(is_idle, _)| *is_idle) {
            Some((_, why)) => Err(why.to_owned()),
            None => Ok(()),
        }
    }
}
