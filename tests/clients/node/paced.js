// OpenAI's SDK for Node.js on the verbatim way, in front of paced_server.py.
//
//     paced.js GATEWAY_URL
//
// Asserts, for chats and for plain completions: each token is an event of its own, at the pace and
// without delay; usage comes; whole and streamed text are the same; an abort is the SDK's own and
// frees the server; a path that is not there, and a server that is not there, are the SDK's own errors.

const { default: OpenAI } = require("openai");
const evidence = require("./evidence.js");

const TOKENS = 40;
const PACE_MS = 15;
const ASKED = { model: "paced", max_tokens: TOKENS };
const STREAMED = { ...ASKED, stream: true, stream_options: { include_usage: true } };
const MESSAGES = [{ role: "user", content: "hi" }];

async function read(what, stream, textOf) {
  const [arrivals, delays, words] = [[], [], []];
  let usage, finish;
  for await (const event of stream) {
    const arrived = evidence.now();
    usage = event.usage ?? usage;
    const choice = event.choices[0];
    finish = choice?.finish_reason ?? finish;
    if (!choice || !textOf(choice)) continue;
    words.push(textOf(choice));
    arrivals.push(arrived);
    delays.push(arrived - event.sent_ns);
  }
  evidence.same(`${what}: tokens, finish`, [words.length, finish], [TOKENS, "length"]);
  evidence.same(`${what}: usage`, usage?.completion_tokens, TOKENS);
  const pace = evidence.checkPaced(what, arrivals, PACE_MS);
  return [words.join(""), { ...pace, ...evidence.checkPrompt(what, delays) }];
}

async function checkAbort(url, client) {
  const stats = async () => (await fetch(`${url}/stats`)).json();
  const before = await stats();
  const stream = await client.chat.completions.create({ ...STREAMED, max_tokens: 4000, messages: MESSAGES });
  let events = 0;
  for await (const _ of stream) {
    if (++events === 5) stream.controller.abort();
  }
  evidence.check(stream.controller.signal.aborted && events < 20, `${events} events behind an abort`);
  const left = async () => {
    const now = await stats();
    return now.open === 0 && now.left_early === before.left_early + 1;
  };
  return evidence.waitUntil(left, 1, "its server is still at work a second later");
}

async function main([url]) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0, timeout: 30_000 });
  const chats = await client.chat.completions.create({ ...STREAMED, messages: MESSAGES });
  const [text, chat] = await read("chat", chats, (choice) => choice.delta.content);
  const plain = await client.completions.create({ ...STREAMED, prompt: "hi" });
  const [, completion] = await read("completion", plain, (choice) => choice.text);
  const whole = await client.chat.completions.create({ ...ASKED, messages: MESSAGES });
  evidence.same("chat, in one piece", whole.choices[0].message.content, text);
  const freed = await checkAbort(url, client);
  const lost = await evidence.errorOf("no such path", OpenAI.NotFoundError, () =>
    client.embeddings.create({ model: "m", input: "x" }),
  );
  evidence.check(lost.message.includes("no such path"), lost.message);
  const gone = new AbortController();
  gone.abort();
  await evidence.errorOf("aborted before it began", OpenAI.APIUserAbortError, () =>
    client.chat.completions.create({ ...ASKED, messages: MESSAGES }, { signal: gone.signal }),
  );
  return { test: "paced", chat, completion, free_after_ms: freed };
}

evidence.run(main, 60);
