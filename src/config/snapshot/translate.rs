//! Into which dialect requests are translated on their way to an upstream.

use crate::service::Dialect;
use crate::service::translate::TensorNames;

/// `translate_to`: the dialect that the servers of an upstream are asked in, whatever the client asks in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranslateTo {
    pub dialect: Dialect,
    /// The path they are asked for, or what stands in front of the part that depends on the request, with
    /// a query if they want one; `None`: the dialect's own.
    pub path: Option<String>,
    /// Of servers that are asked in tensors: their names.
    pub tensors: TensorNames,
}

impl TranslateTo {
    /// The dialects that can stand there, as they are written in a configuration.
    pub const CHOICES: [(&'static str, Dialect); 7] = [
        ("openai", Dialect::OpenAiChat),
        ("anthropic", Dialect::Anthropic),
        ("ollama", Dialect::Ollama),
        ("gemini", Dialect::Gemini),
        ("tgi", Dialect::Tgi),
        ("triton", Dialect::Triton),
        ("kserve", Dialect::KServe),
    ];

    /// The dialect as it stands in a configuration.
    pub fn name(&self) -> &'static str {
        let written = TranslateTo::CHOICES.iter().find(|(_, dialect)| *dialect == self.dialect);
        written.map_or("", |(name, _)| name)
    }
}
