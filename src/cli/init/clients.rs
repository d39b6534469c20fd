//! What a person does next: the first request, and how to point clients at the gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::configuration::{NO_MODEL, Plan};

/// What is told behind the configuration.
pub fn guide(plan: &Plan, file: &Path) -> String {
    let address = reachable(plan.listen);
    let model = plan.model();
    let start = match file.as_os_str() == "-" {
        true => "sluicegate run --config FILE".to_owned(),
        false => format!("sluicegate run --config {}", file.display()),
    };
    let doctor = start.replace(" run ", " doctor ");
    let body = first_body(model);
    let quoted = serde_json::Value::from(model).to_string();
    let stands_for = match model == NO_MODEL {
        true => "\nMODEL stands for the name of a model in what follows.\n",
        false => "",
    };
    let claude = claude_needs(plan);
    format!(
        r#"
Start it:

  {start}
{stands_for}
The first request, with curl:

  curl -N http://{address}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'

With Python (pip install openai):

  from openai import OpenAI
  client = OpenAI(base_url="http://{address}/v1", api_key="none")
  for event in client.chat.completions.create(
      model={quoted}, stream=True,
      messages=[{{"role": "user", "content": "Say hello."}}]):
      if event.choices:
          print(event.choices[0].delta.content or "", end="", flush=True)

With Node (npm install openai):

  import OpenAI from "openai";
  const client = new OpenAI({{ baseURL: "http://{address}/v1", apiKey: "none" }});
  const stream = await client.chat.completions.create({{
    model: {quoted}, stream: true, messages: [{{ role: "user", content: "Say hello." }}] }});
  for await (const event of stream) process.stdout.write(event.choices[0]?.delta?.content ?? "");

Clients:

  Open WebUI   OPENAI_API_BASE_URL=http://{address}/v1 OPENAI_API_KEY=none
               (or Settings, Connections, OpenAI API)
  Claude Code  ANTHROPIC_BASE_URL=http://{address} ANTHROPIC_AUTH_TOKEN=none \
               ANTHROPIC_MODEL={model} claude{claude}
  Codex        in ~/.codex/config.toml:
                 model = {quoted}
                 model_provider = "sluicegate"
                 [model_providers.sluicegate]
                 name = "sluicegate"
                 base_url = "http://{address}/v1"
                 wire_api = "responses"
  Continue     in config.yaml, under models:
                 - name: sluicegate
                   provider: openai
                   model: {quoted}
                   apiBase: http://{address}/v1
                   apiKey: none
  LangChain    ChatOpenAI(base_url="http://{address}/v1", api_key="none", model={quoted})

The dashboard: http://{admin}/   In a terminal: sluicegate top --admin {admin}
Something is wrong? {doctor}
"#,
        admin = reachable(plan.admin),
    )
}

/// The body of the first request.
fn first_body(model: &str) -> String {
    let body = serde_json::json!({
        "model": model,
        "stream": true,
        "messages": [{ "role": "user", "content": "Say hello." }],
    });
    // For a shell, in single quotes.
    body.to_string().replace('\'', "'\\''")
}

/// What Claude Code wants besides.
fn claude_needs(plan: &Plan) -> &'static str {
    let asked = plan.of_others().and_then(|server| server.api);
    match asked.is_none_or(|api| api.translate_to.is_some()) {
        true => "",
        false => "\n               (with translate_to = \"openai\" in its upstream)",
    }
}

/// Where a client of this machine finds a listener.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}
