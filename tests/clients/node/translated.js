// The SDKs of OpenAI and Anthropic for Node.js, before servers of their own and of the other dialect.
//
//     translated.js AS_ANTHROPIC AS_OPENAI VERBATIM TOOLS_AS_ANTHROPIC TOOLS_AS_OPENAI PACED_AS_OPENAI
//                   --direct DIRECT_URL
//
// The first three are gateways before llama.cpp's own server (DIRECT_URL, which speaks both), the next
// two the same before tool_server.py, the last one before paced_server.py. Asserts: through a gateway,
// translating or not, the text is that of the server's own API; tokens arrive as they are made, and at the
// pace they were sent with; two calls at once come whole, in pieces, and their results go back; an abort
// frees the slot; what cannot be said, and what the server refuses, is the SDK's own error with its code.

const { default: Anthropic } = require("@anthropic-ai/sdk");
const { default: OpenAI } = require("openai");
const evidence = require("./evidence.js");

const TOKENS = 120;
const MESSAGES = [{ role: "user", content: "water gate river" }];
const ASK = [{ role: "user", content: "How is it in Cologne, and how late?" }];
const SCHEMAS = {
  weather: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  clock: { type: "object", properties: { zone: { type: "string" } }, required: ["zone"] },
};
const CALLS = [
  ["weather", { city: "Köln" }],
  ["clock", { zone: "Europe/Berlin" }],
];

const settings = { apiKey: "unused", maxRetries: 0, timeout: 30_000 };
const openai = (url) => new OpenAI({ baseURL: `${url}/v1`, ...settings });
const anthropic = (url) => new Anthropic({ baseURL: url, ...settings });

async function openaiText(client) {
  const asked = { model: "tiny", messages: MESSAGES, max_tokens: TOKENS, temperature: 0, cache_prompt: false };
  const [parts, arrivals] = [[], []];
  for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
    const text = chunk.choices[0]?.delta.content;
    if (!text) continue;
    parts.push(text);
    arrivals.push(evidence.turn());
  }
  const whole = await client.chat.completions.create(asked);
  evidence.same("openai: finish", whole.choices[0].finish_reason, "length");
  return [parts.join(""), arrivals, whole.choices[0].message.content];
}

async function anthropicText(client) {
  const asked = { model: "tiny", messages: MESSAGES, max_tokens: TOKENS, temperature: 0, cache_prompt: false };
  const [parts, arrivals] = [[], []];
  const stream = client.messages.stream(asked);
  stream.on("text", (text) => {
    parts.push(text);
    arrivals.push(evidence.turn());
  });
  const last = await stream.finalMessage();
  evidence.same("anthropic: stop", last.stop_reason, "max_tokens");
  evidence.check(last.usage.output_tokens > 0, `anthropic: ${JSON.stringify(last.usage)}`);
  const whole = await client.messages.create(asked);
  return [parts.join(""), arrivals, whole.content.map((block) => block.text ?? "").join("")];
}

async function responsesText(client) {
  const asked = { model: "tiny", input: MESSAGES, max_output_tokens: TOKENS, temperature: 0, cache_prompt: false };
  const [parts, arrivals] = [[], []];
  for await (const event of await client.responses.create({ ...asked, stream: true })) {
    if (event.type !== "response.output_text.delta") continue;
    parts.push(event.delta);
    arrivals.push(evidence.turn());
  }
  const whole = await client.responses.create(asked);
  evidence.same("responses: why", whole.incomplete_details?.reason, "max_output_tokens");
  return [parts.join(""), arrivals, whole.output_text];
}

async function checkText(name, read, through, direct) {
  const [here, arrivals, whole] = await read(through);
  evidence.check(here.length > 100, `${name}: ${here}`);
  evidence.same(name, [here, whole], [direct, direct]);
  return evidence.checkSpread(name, arrivals, TOKENS);
}

/** A token every 15 ms, told to Anthropic's SDK and to OpenAI's with its responses. */
async function checkPace(url) {
  const asked = { model: "paced", max_tokens: 40, messages: ASK };
  const texts = [];
  await anthropic(url)
    .messages.stream(asked)
    .on("text", () => texts.push(evidence.now()))
    .finalMessage();
  const deltas = [];
  const request = { model: "paced", max_output_tokens: 40, input: ASK, stream: true };
  const events = await openai(url).responses.create(request);
  for await (const event of events) {
    if (event.type === "response.output_text.delta") deltas.push(evidence.now());
  }
  evidence.same("paced tokens", [texts.length, deltas.length], [40, 40]);
  return {
    messages: evidence.checkPaced("messages", texts, 15),
    responses: evidence.checkPaced("responses", deltas, 15),
  };
}

async function openaiCalls(client) {
  const tools = Object.entries(SCHEMAS).map(([name, parameters]) => ({
    type: "function",
    function: { name, parameters },
  }));
  const arrivals = [];
  const stream = client.chat.completions.stream({ model: "m", messages: ASK, tools });
  stream.on("tool_calls.function.arguments.delta", () => arrivals.push(evidence.now()));
  const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
  evidence.same("openai: finish", finish_reason, "tool_calls");
  const results = message.tool_calls.map(({ id, function: { name } }) => ({
    role: "tool",
    tool_call_id: id,
    content: `<${name}>`,
  }));
  const { role, tool_calls } = message;
  const messages = [...ASK, { role, tool_calls }, ...results];
  const text = await client.chat.completions.stream({ model: "m", messages, tools }).finalContent();
  return [tool_calls.map(({ function: call }) => [call.name, JSON.parse(call.arguments)]), arrivals, text];
}

async function anthropicCalls(client) {
  const tools = Object.entries(SCHEMAS).map(([name, input_schema]) => ({ name, input_schema }));
  const asked = { model: "m", max_tokens: 100, tools };
  const arrivals = [];
  const stream = client.messages.stream({ ...asked, messages: ASK });
  stream.on("inputJson", () => arrivals.push(evidence.now()));
  const message = await stream.finalMessage();
  evidence.same("anthropic: stop", message.stop_reason, "tool_use");
  const uses = message.content.filter((block) => block.type === "tool_use");
  const results = uses.map((use) => ({ type: "tool_result", tool_use_id: use.id, content: `<${use.name}>` }));
  const { role, content } = message;
  const messages = [...ASK, { role, content }, { role: "user", content: results }];
  const text = await client.messages.stream({ ...asked, messages }).finalText();
  return [uses.map((use) => [use.name, use.input]), arrivals, text];
}

async function checkCalls(name, [calls, arrivals, text]) {
  evidence.same(name, calls, CALLS);
  evidence.same(name, text, "<weather><clock>");
  // Sixteen pieces, 20 ms apart.
  const span = arrivals.at(-1) - arrivals[0];
  evidence.checkTime(arrivals.length >= 12 && span > 150e6, `${name}: ${arrivals.length} pieces at once`);
  return { pieces: arrivals.length, span_ms: evidence.milliseconds(span) };
}

/** Milliseconds from an abort to the slot being free. */
async function checkAbort(name, direct, begin) {
  const busy = async () => (await (await fetch(`${direct}/slots`)).json()).filter((slot) => slot.is_processing);
  const free = async () => (await busy()).length === 0;
  await evidence.waitUntil(free, 5, "slots are busy before the test");
  const stream = await begin();
  let events = 0;
  for await (const _ of stream) {
    if (++events < 5) continue;
    evidence.same(`${name}: busy slots`, (await busy()).length, 1);
    break;
  }
  stream.controller.abort();
  return evidence.waitUntil(free, 1, `${name}: its slot is still busy a second later`);
}

async function checkErrors(asAnthropic, asOpenai) {
  const two = await evidence.errorOf("openai: two choices", OpenAI.BadRequestError, () =>
    openai(asAnthropic).chat.completions.create({ model: "m", messages: MESSAGES, n: 2 }),
  );
  evidence.same("openai: two choices", [two.code, two.message.includes("`n`")], ["untranslatable", true]);
  const search = await evidence.errorOf("anthropic: a server's tool", Anthropic.BadRequestError, () =>
    anthropic(asOpenai).messages.create({
      model: "m",
      max_tokens: 9,
      messages: MESSAGES,
      tools: [{ type: "web_search_20250305", name: "web_search" }],
    }),
  );
  evidence.same("anthropic: its type", search.error?.error?.type, "invalid_request_error");
  evidence.check(search.message.includes("tools[0]"), search.message);
  // Refused by llama.cpp itself, behind the translation.
  const long = [{ role: "user", content: "water ".repeat(5000) }];
  const openaiError = await evidence.errorOf("openai: too long", OpenAI.BadRequestError, () =>
    openai(asAnthropic).chat.completions.create({ model: "tiny", messages: long, max_tokens: 9 }),
  );
  evidence.check(openaiError.message.includes("context"), openaiError.message);
  const anthropicError = await evidence.errorOf("anthropic: too long", Anthropic.BadRequestError, async () => {
    const stream = anthropic(asOpenai).messages.stream({ model: "tiny", messages: long, max_tokens: 9 });
    await stream.finalMessage();
  });
  evidence.check(anthropicError.message.includes("context"), anthropicError.message);
}

async function main([asAnthropic, asOpenai, verbatim, toolsAsAnthropic, toolsAsOpenai, paced], { direct }) {
  const [openaiDirect] = await openaiText(openai(direct));
  const [anthropicDirect] = await anthropicText(anthropic(direct));
  const texts = {
    openai: await checkText("openai", openaiText, openai(asAnthropic), openaiDirect),
    anthropic: await checkText("anthropic", anthropicText, anthropic(asOpenai), anthropicDirect),
    responses: await checkText("responses", responsesText, openai(asAnthropic), openaiDirect),
    openai_verbatim: await checkText("openai, verbatim", openaiText, openai(verbatim), openaiDirect),
    anthropic_verbatim: await checkText("anthropic, verbatim", anthropicText, anthropic(verbatim), anthropicDirect),
  };
  const calls = {
    openai: await checkCalls("openai", await openaiCalls(openai(toolsAsAnthropic))),
    anthropic: await checkCalls("anthropic", await anthropicCalls(anthropic(toolsAsOpenai))),
  };
  const endless = { model: "tiny", messages: MESSAGES, max_tokens: 3900, stream: true, ignore_eos: true };
  const free = {
    openai: await checkAbort("openai", direct, () => openai(asAnthropic).chat.completions.create(endless)),
    anthropic: await checkAbort("anthropic", direct, () => anthropic(asOpenai).messages.create(endless)),
  };
  await checkErrors(asAnthropic, asOpenai);
  const pace = await checkPace(paced);
  return { test: "translated", texts, calls, pace, slot_free_after_ms: free };
}

evidence.run(main, 90);
