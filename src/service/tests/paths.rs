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
        // A name that is TGI's too, where it stands alone.
        ("/v2/models/ensemble/generate_stream", Triton),
        ("/v2/models/ensemble/versions/1/generate", Triton),
        ("/v2/models/ensemble/infer", KServe),
        ("/v2/models/ensemble/versions/1/infer_stream", KServe),
        ("/v2/models/ensemble/ready", Generic),
        ("/v2/models/ensemble", Generic),
        ("/v1beta/models/gemini-2.5-flash:generateContent", Gemini),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", Gemini),
        ("/v1/projects/p/locations/l/publishers/google/models/g:generateContent", Gemini),
        ("/v1beta/models/gemini-2.5-flash:countTokens", Generic),
        ("/inference", Generic),
        ("/stream", Generic),
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
        ("/completion", LlamaCpp),
        ("/llama/completion", LlamaCpp),
        ("/completions", LlamaCpp),
        ("/llama/completions", Generic),
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
        (Setting::Gemini, "/v1beta/models/g:generateContent", Gemini),
        (Setting::Gemini, "/v1beta/openai/chat/completions", OpenAiChat),
        (Setting::Gemini, "/generate", Generic),
        (Setting::KServe, "/v2/models/m/infer", KServe),
        (Setting::KServe, "/v2/models/m/generate_stream", Triton),
        (Setting::Triton, "/v2/models/m/infer", KServe),
        (Setting::Triton, "/generate", Generic),
        (Setting::LlamaCpp, "/a/completions", LlamaCpp),
        (Setting::LlamaCpp, "/v1/completions", OpenAiCompletions),
        (Setting::LlamaCpp, "/v1/messages", Anthropic),
        (Setting::Sglang, "/a/generate", Sglang),
        (Setting::Sglang, "/v1/chat/completions", OpenAiChat),
        (Setting::Sglang, "/api/chat", Ollama),
        (Setting::Text, "/inference", Text),
        (Setting::Text, "/", Text),
        (Setting::Text, "/v1/chat/completions", OpenAiChat),
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
        assert_eq!(dialect.streams(path, "", None), absent);
        assert!(dialect.streams(path, "", Some(true)));
        assert!(!dialect.streams(path, "", Some(false)));
    }
    assert!(Tgi.streams("/generate_stream", "", Some(false)));
    assert!(!Tgi.streams("/generate", "", Some(true)));
}
