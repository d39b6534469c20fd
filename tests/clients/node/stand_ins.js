// The clients of Ollama and Gemini for Node.js on the verbatim way, and what all SDKs say of our errors.
//
//     stand_ins.js VERBATIM DEAD --direct DIRECT_URL
//
// VERBATIM is a gateway before stand_in.py (DIRECT_URL), DEAD one before a server that is not there.
// Asserts: the clients' streams come at the server's pace, their text, calls, counts and errors are the
// server's; an abort is noticed; an error of the gateway's own is the error of each SDK, with its status.

const { default: Anthropic } = require("@anthropic-ai/sdk");
const { ApiError, GoogleGenAI } = require("@google/genai");
const { Ollama } = require("ollama");
const { default: OpenAI } = require("openai");
const evidence = require("./evidence.js");

const TOKENS = 40;
const PACE_MS = 15;
const TEXT = Array.from({ length: TOKENS }, (_, number) => ` word${number}`).join("");
const MESSAGES = [{ role: "user", content: "hi" }];

async function checkOllama(url) {
  const client = new Ollama({ host: url });
  const asked = { model: "llama3.2", messages: MESSAGES, options: { num_predict: TOKENS } };
  const [parts, arrivals] = [[], []];
  let last;
  for await (const part of await client.chat({ ...asked, stream: true })) {
    last = part;
    if (!part.message.content) continue;
    parts.push(part.message.content);
    arrivals.push(evidence.now());
  }
  evidence.same("ollama, streamed", [parts.join(""), last.done_reason, last.eval_count], [TEXT, "stop", 33]);
  const whole = await client.chat(asked);
  evidence.same("ollama, in one piece", [whole.message.content, whole.eval_count], [TEXT, 33]);
  const { message } = await client.chat({ model: "tools", messages: MESSAGES });
  const calls = message.tool_calls.map((call) => call.function.name);
  evidence.same("ollama, calls", calls, ["weather", "clock"]);
  const missing = await evidence.errorOf("ollama, missing", Error, () =>
    client.chat({ model: "missing", messages: MESSAGES }),
  );
  evidence.same("ollama, missing", [missing.name, missing.status_code], ["ResponseError", 404]);
  const broken = await evidence.errorOf("ollama, broken", Error, async () => {
    for await (const _ of await client.chat({ model: "breaks", messages: MESSAGES, stream: true }));
  });
  evidence.check(broken.message.includes("signal: killed"), broken.message);
  return evidence.checkPaced("ollama", arrivals, PACE_MS);
}

/** Milliseconds from an abort to the server's noticing it. */
async function checkAbort(url, direct) {
  const stats = async () => (await fetch(`${direct}/stats`)).json();
  const before = (await stats()).left_early;
  const client = new Ollama({ host: url });
  const endless = { model: "m", messages: MESSAGES, options: { num_predict: 4000 }, stream: true };
  let parts = 0;
  const aborted = await evidence.errorOf("ollama, aborted", Error, async () => {
    for await (const _ of await client.chat(endless)) {
      if (++parts === 5) client.abort();
    }
  });
  evidence.same("ollama, aborted", aborted.name, "AbortError");
  const left = async () => {
    const now = await stats();
    return now.open === 0 && now.left_early === before + 1;
  };
  return evidence.waitUntil(left, 1, "the server is still at work a second later");
}

const gemini = (url) => new GoogleGenAI({ apiKey: "unused", httpOptions: { baseUrl: url } });

async function checkGemini(url) {
  const { models } = gemini(url);
  const asked = { model: "gemini-2.5-flash", contents: "hi", config: { maxOutputTokens: TOKENS } };
  const [parts, arrivals] = [[], []];
  let usage;
  for await (const part of await models.generateContentStream(asked)) {
    parts.push(part.text);
    arrivals.push(evidence.now());
    usage = part.usageMetadata;
  }
  evidence.same("gemini, streamed", [parts.join(""), usage.promptTokenCount], [TEXT, 391]);
  evidence.same("gemini, in one piece", (await models.generateContent(asked)).text, TEXT);
  const answer = await models.generateContent({ model: "tools", contents: "hi" });
  evidence.same("gemini, calls", answer.functionCalls[0].args, { city: "shanghai", date: "2025-11-10" });
  const busy = await evidence.errorOf("gemini, busy", ApiError, () =>
    models.generateContent({ model: "busy", contents: "hi" }),
  );
  evidence.same("gemini, busy", [busy.status, busy.message.includes("overloaded")], [503, true]);
  return evidence.checkPaced("gemini", arrivals, PACE_MS);
}

/** What each SDK makes of an error of ours. */
async function checkOwnErrors(url) {
  const settings = { apiKey: "unused", maxRetries: 0 };
  const openai = new OpenAI({ baseURL: `${url}/v1`, ...settings });
  const anthropic = new Anthropic({ baseURL: url, ...settings });
  const asked = { model: "m", messages: MESSAGES, max_tokens: 9 };
  const chat = await evidence.errorOf("openai", OpenAI.InternalServerError, () =>
    openai.chat.completions.create(asked),
  );
  const messages = await evidence.errorOf("anthropic", Anthropic.InternalServerError, () =>
    anthropic.messages.create(asked),
  );
  const ollama = await evidence.errorOf("ollama", Error, () => new Ollama({ host: url }).chat(asked));
  const content = await evidence.errorOf("gemini", ApiError, () =>
    gemini(url).models.generateContent({ model: "m", contents: "hi" }),
  );
  const statuses = [chat.status, messages.status, ollama.status_code, content.status];
  evidence.check(statuses.every((status) => status === chat.status && status >= 500), `statuses ${statuses}`);
  evidence.same("anthropic, its type", messages.error.type, "error");
  evidence.same("ollama, its class", ollama.name, "ResponseError");
  const told = JSON.parse(content.message).error;
  evidence.check(told.code === content.status && told.status && told.message, content.message);
  for (const message of [chat.message, messages.message, ollama.message]) {
    evidence.check(message.includes(told.message), `${message}, not ${told.message}`);
  }
  evidence.check(chat.code, `no code: ${chat.message}`);
  return { status: chat.status, code: chat.code };
}

async function main([verbatim, dead], { direct }) {
  const ollama = await checkOllama(verbatim);
  const freed = await checkAbort(verbatim, direct);
  const content = await checkGemini(verbatim);
  return { test: "stand_ins", ollama, gemini: content, free_after_ms: freed, own: await checkOwnErrors(dead) };
}

evidence.run(main, 60);
