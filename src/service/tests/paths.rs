use crate::service::Dialect::{self, *};
use crate::service::Setting;

#[test]
fn the_path_tells_the_dialect() {
    for (path, dialect) in [
        ("/v1/chat/completions", OpenAiChat),
        ("/v1/chat/completions/", OpenAiChat),
        ("/openai/deployments/gpt/chat/completions", OpenAiChat),
        ("/v1/completions", OpenAiCompletions),
        ("/v1/responses", OpenAiResponses),
        ("/v1/messages", Anthropic),
        ("/v1/messages/count_tokens", Generic),
        ("/generate_stream", Tgi),
        ("/generate", Tgi),
        ("/images/generate", Generic),
        ("/api/chat", Ollama),
        ("/api/generate", Ollama),
        ("/api/tags", Generic),
        ("/completion", Generic),
        ("/completions", Generic),
        ("/v1/embeddings", Generic),
        ("/", Generic),
        ("", Generic),
    ] {
        assert_eq!(Dialect::of(Setting::Auto, path), dialect, "{path}");
        assert_eq!(Dialect::of(Setting::None, path), Generic, "{path}");
    }
}

#[test]
fn a_setting_decides_what_the_path_leaves_open() {
    for (setting, path, dialect) in [
        (Setting::OpenAi, "/ask", OpenAiChat),
        (Setting::OpenAi, "/v1/messages", OpenAiChat),
        (Setting::OpenAi, "/v1/completions", OpenAiCompletions),
        (Setting::OpenAi, "/llm/completions", OpenAiCompletions),
        (Setting::OpenAi, "/llm/responses", OpenAiResponses),
        (Setting::Anthropic, "/ask", Anthropic),
        (Setting::Anthropic, "/v1/chat/completions", Anthropic),
        (Setting::Tgi, "/", Tgi),
        (Setting::Tgi, "/v1/chat/completions", OpenAiChat),
        (Setting::Ollama, "/ask", Ollama),
        (Setting::Ollama, "/v1/chat/completions", OpenAiChat),
        (Setting::Ollama, "/v1/messages", Anthropic),
    ] {
        assert_eq!(Dialect::of(setting, path), dialect, "{setting:?} {path}");
    }
}

#[test]
fn settings_have_names() {
    for setting in Setting::ALL {
        assert_eq!(Setting::from_name(setting.name()), Some(setting));
    }
    assert_eq!(Setting::from_name("OpenAI"), None);
}

#[test]
fn each_service_has_its_own_default_for_streaming() {
    for (dialect, path, absent) in [
        (OpenAiChat, "/v1/chat/completions", false),
        (Anthropic, "/v1/messages", false),
        (Ollama, "/api/chat", true),
        (Tgi, "/", false),
        (Generic, "/x", false),
    ] {
        assert_eq!(dialect.streams(path, None), absent);
        assert!(dialect.streams(path, Some(true)));
        assert!(!dialect.streams(path, Some(false)));
    }
    assert!(Tgi.streams("/generate_stream", Some(false)));
    assert!(!Tgi.streams("/generate", Some(true)));
}
