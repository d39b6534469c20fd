//! APIs that are known by their host: which variable their key stands in, and how they are asked.
//!
//! The evidence is the host, with a path that is the API's own; every other URL is taken as it stands.
//! Absent on purpose: names of their models, which change, and the values of keys.

/// An API that many have a key for.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownApi {
    /// As a sentence calls it.
    pub title: &'static str,
    /// What its upstream is called.
    pub name: &'static str,
    /// Its endpoint, behind `https://`: the host, and what stands in front of a dialect's paths.
    endpoint: &'static str,
    /// The variable that its makers' own clients read.
    pub variable: &'static str,
    /// `service` of its upstream, which says how the key is sent too; `None`: told by the paths, and
    /// `Authorization: Bearer`.
    pub service: Option<&'static str>,
    /// `translate_to` of its upstream; `None`: it takes what OpenAI's clients send.
    pub translate_to: Option<&'static str>,
    /// How the names of its models begin, and of nobody else's; empty: they do not.
    pub models: &'static str,
    /// Where its list of models is.
    pub list: &'static str,
    /// The path of its own clients that is not below `/v1`.
    pub own_path: Option<&'static str>,
}

/// One that speaks OpenAI's chats alone.
const CHATS: KnownApi = KnownApi {
    title: "",
    name: "",
    endpoint: "",
    variable: "",
    service: None,
    translate_to: Some("openai"),
    models: "",
    list: "/v1/models",
    own_path: None,
};

/// In the order in which they are taken.
const APIS: [KnownApi; 9] = [
    // It has responses of its own, which a translation to chats would hide.
    KnownApi {
        title: "OpenAI's API",
        name: "openai",
        endpoint: "api.openai.com/v1",
        variable: "OPENAI_API_KEY",
        translate_to: None,
        models: "gpt-",
        ..CHATS
    },
    KnownApi {
        title: "Anthropic's API",
        name: "anthropic",
        endpoint: "api.anthropic.com",
        variable: "ANTHROPIC_API_KEY",
        service: Some("anthropic"),
        translate_to: Some("anthropic"),
        models: "claude-",
        ..CHATS
    },
    KnownApi {
        title: "Gemini's API",
        name: "gemini",
        endpoint: "generativelanguage.googleapis.com",
        variable: "GEMINI_API_KEY",
        service: Some("gemini"),
        translate_to: Some("gemini"),
        models: "gemini-",
        list: "/v1beta/models",
        own_path: Some("/v1beta/*"),
    },
    KnownApi {
        title: "Mistral's API",
        name: "mistral",
        endpoint: "api.mistral.ai/v1",
        variable: "MISTRAL_API_KEY",
        models: "mistral-",
        ..CHATS
    },
    KnownApi {
        title: "OpenRouter",
        name: "openrouter",
        endpoint: "openrouter.ai/api/v1",
        variable: "OPENROUTER_API_KEY",
        ..CHATS
    },
    KnownApi {
        title: "Groq's API",
        name: "groq",
        endpoint: "api.groq.com/openai/v1",
        variable: "GROQ_API_KEY",
        ..CHATS
    },
    KnownApi {
        title: "DeepSeek's API",
        name: "deepseek",
        endpoint: "api.deepseek.com/v1",
        variable: "DEEPSEEK_API_KEY",
        models: "deepseek-",
        ..CHATS
    },
    KnownApi {
        title: "xAI's API",
        name: "xai",
        endpoint: "api.x.ai/v1",
        variable: "XAI_API_KEY",
        models: "grok-",
        ..CHATS
    },
    KnownApi {
        title: "Together's API",
        name: "together",
        endpoint: "api.together.xyz/v1",
        variable: "TOGETHER_API_KEY",
        ..CHATS
    },
];

impl KnownApi {
    fn host(&self) -> &'static str {
        self.endpoint.split('/').next().unwrap_or_default()
    }

    /// Its endpoint, as a configuration has it.
    pub fn url(&self) -> String {
        format!("https://{}", self.endpoint)
    }

    /// Lines of a head that carry this key, and what else its list of models wants.
    pub fn key_lines(&self, key: &str) -> String {
        match self.service {
            Some("anthropic") => {
                format!("x-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n")
            }
            Some("gemini") => format!("x-goog-api-key: {key}\r\n"),
            _ => format!("Authorization: Bearer {key}\r\n"),
        }
    }
}

/// The API at this `host` or URL.
pub fn at(text: &str) -> Option<&'static KnownApi> {
    let rest = text.strip_prefix("https://").unwrap_or(text);
    let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.strip_suffix(":443").unwrap_or(authority);
    let base = base.trim_end_matches('/');
    let api = APIS.iter().find(|api| host.eq_ignore_ascii_case(api.host()))?;
    // Some have other dialects below other paths.
    let own = &api.endpoint[api.host().len()..];
    let is_own =
        base.is_empty() || base == own || own.is_empty() && matches!(base, "/v1" | "/v1beta");
    is_own.then_some(api)
}

/// Those whose variable is set.
pub fn with_key(is_set: impl Fn(&str) -> bool) -> Vec<&'static KnownApi> {
    APIS.iter().filter(|api| is_set(api.variable)).collect()
}

/// The one whose key stands in this variable.
pub fn with_variable(name: &str) -> Option<&'static KnownApi> {
    APIS.iter().find(|api| api.variable == name)
}
