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
        // Triton's, whose events are others.
        ("/v2/models/ensemble/generate_stream", Generic),
        ("/v1/audio/transcriptions", Generic),
        ("/v1/audio/speech", Generic),
        ("/v1/images/generations", Generic),
        ("/v1/responses/resp_1", Generic),
        ("/v1/chat/completions/chatcmpl-1", Generic),
        ("/api/pull", Generic),
        ("/docs", Generic),
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
fn a_setting_chooses_among_the_paths_of_its_servers() {
    for (setting, path, dialect) in [
        (Setting::OpenAi, "/v1/chat/completions", OpenAiChat),
        (Setting::OpenAi, "/v1/completions", OpenAiCompletions),
        (Setting::OpenAi, "/llm/completions", OpenAiCompletions),
        (Setting::OpenAi, "/llm/responses", OpenAiResponses),
        (Setting::OpenAi, "/v1/messages", Generic),
        (Setting::OpenAi, "/ask", Generic),
        (Setting::OpenAi, "/", Generic),
        (Setting::OpenAi, "/docs", Generic),
        (Setting::OpenAi, "/completion", Generic),
        (Setting::OpenAi, "/v1/responses/resp_1", Generic),
        (Setting::OpenAi, "/v1/audio/transcriptions", Generic),
        (Setting::OpenAi, "/v1/audio/speech", Generic),
        (Setting::OpenAi, "/v1/images/generations", Generic),
        (Setting::OpenAi, "/generate", Generic),
        (Setting::Anthropic, "/v1/messages", Anthropic),
        (Setting::Anthropic, "/messages", Anthropic),
        (Setting::Anthropic, "/v1/messages/batches", Generic),
        (Setting::Anthropic, "/v1/chat/completions", OpenAiChat),
        (Setting::Anthropic, "/ask", Generic),
        (Setting::Tgi, "/", Tgi),
        (Setting::Tgi, "/tgi/generate_stream", Tgi),
        (Setting::Tgi, "/generate", Tgi),
        (Setting::Tgi, "/docs", Generic),
        (Setting::Tgi, "/v1/chat/completions", OpenAiChat),
        (Setting::Ollama, "/api/chat", Ollama),
        (Setting::Ollama, "/llm/api/generate", Ollama),
        (Setting::Ollama, "/api/pull", Generic),
        (Setting::Ollama, "/api/create", Generic),
        (Setting::Ollama, "/", Generic),
        (Setting::Ollama, "/v1/chat/completions", OpenAiChat),
        (Setting::Ollama, "/v1/messages", Anthropic),
        (Setting::None, "/v1/chat/completions", Generic),
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
