"""The SDKs of OpenAI and Anthropic, each in front of a server that is asked in the other's words.

    translated.py AS_ANTHROPIC AS_OPENAI --direct DIRECT_URL --tools TOOLS_AS_ANTHROPIC TOOLS_AS_OPENAI

The first two are gateways before llama.cpp's own server (DIRECT_URL, which speaks both), one that asks it
for messages, one that asks it for chats; the last two are the same before tool_server.py. Asserts: the
text through a translation is the text of the server's own API in the SDK's dialect, streamed and whole;
tokens arrive as they are made; two calls of tools at once come whole, in pieces, and their results go
back; a client that leaves frees its slot; what cannot be said is the SDK's own error for a bad request.
"""

import argparse
import json

import anthropic
import httpx
import openai

import evidence
from evidence import check

PROMPT = "water gate river"
TOKENS = 120
ENDLESS_TOKENS = 3900
TOOLS = {
    "weather": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "clock": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
}
EXPECTED = [("weather", {"city": "Köln"}), ("clock", {"zone": "Europe/Berlin"})]


def openai_client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=30)


def anthropic_client(url):
    return anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0, timeout=30)


def chat(client, stream):
    return client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=TOKENS,
        temperature=0,
        stream=stream,
        extra_body={"cache_prompt": False},
    )


def openai_text(client):
    """(streamed text, arrivals of its parts, whole text)"""
    parts, arrivals = [], []
    for chunk in chat(client, True):
        for choice in chunk.choices:
            if choice.delta.content:
                parts.append(choice.delta.content)
                arrivals.append(evidence.now())
    return "".join(parts), arrivals, chat(client, False).choices[0].message.content


def anthropic_text(client):
    asked = {
        "model": "tiny",
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": TOKENS,
        "extra_body": {"cache_prompt": False, "temperature": 0},
    }
    parts, arrivals = [], []
    with client.messages.stream(**asked) as stream:
        for text in stream.text_stream:
            parts.append(text)
            arrivals.append(evidence.now())
        last = stream.get_final_message()
    check(last.usage.output_tokens > 0 and last.stop_reason == "max_tokens", f"anthropic: {last}")
    whole = client.messages.create(**asked)
    return "".join(parts), arrivals, "".join(block.text for block in whole.content if block.type == "text")


def check_text(name, read, through, direct):
    there, _, whole_there = read(direct)
    here, arrivals, whole_here = read(through)
    check(here == there and len(here) > 100, f"{name}: {here[:80]!r}…, direct {there[:80]!r}…")
    check(whole_here == whole_there == there, f"{name}, in one piece: {whole_here[:80]!r}…")
    largest = max(arrivals.count(moment) for moment in set(arrivals))
    evidence.check_time(len(arrivals) >= TOKENS / 2 and largest <= TOKENS / 4, f"{name}: {len(arrivals)} parts, {largest} at once")
    return {"parts": len(arrivals), "characters": len(here), **evidence.gap_summary(sorted(set(arrivals)))}


def openai_calls(client):
    messages = [{"role": "user", "content": "How is it in Cologne, and how late?"}]
    tools = [
        {"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in TOOLS.items()
    ]
    arrivals = []
    with client.chat.completions.stream(model="m", messages=messages, tools=tools) as stream:
        for event in stream:
            if event.type == "tool_calls.function.arguments.delta":
                arrivals.append(evidence.now())
        message = stream.get_final_completion().choices[0].message
    calls = [(call.function.name, call.function.arguments) for call in message.tool_calls]
    messages.append(message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
    for call in message.tool_calls:
        call_id, text = call.id, f"<{call.function.name}>"
        messages.append({"role": "tool", "tool_call_id": call_id, "content": text})
    with client.chat.completions.stream(model="m", messages=messages, tools=tools) as stream:
        text = stream.get_final_completion().choices[0].message.content
    return calls, arrivals, text


def anthropic_calls(client):
    asked = {
        "model": "m",
        "max_tokens": 100,
        "tools": [{"name": name, "input_schema": schema} for name, schema in TOOLS.items()],
    }
    messages = [{"role": "user", "content": "How is it in Cologne, and how late?"}]
    arrivals = []
    with client.messages.stream(messages=messages, **asked) as stream:
        for event in stream:
            if event.type == "input_json":
                arrivals.append(evidence.now())
        message = stream.get_final_message()
    check(message.stop_reason == "tool_use", f"anthropic: {message}")
    uses = [block for block in message.content if block.type == "tool_use"]
    messages.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": f"<{use.name}>"} for use in uses]
    messages.append({"role": "user", "content": results})
    with client.messages.stream(messages=messages, **asked) as stream:
        text = stream.get_final_text()
    return [(use.name, use.input) for use in uses], arrivals, text


def check_calls(name, calls, arrivals, text, decode):
    calls = [(function, decode(arguments)) for function, arguments in calls]
    check(calls == EXPECTED, f"{name}: {calls}")
    check(text == "<weather><clock>", f"{name}: {text!r}")
    # Sixteen pieces, 20 ms apart.
    evidence.check_time(len(arrivals) >= 12 and arrivals[-1] - arrivals[0] > 150e6, f"{name}: {len(arrivals)} pieces at once")
    return {"pieces": len(arrivals)}


def check_cancel(direct, client):
    """Milliseconds from the client's leaving to the slot being free."""

    def busy():
        return [slot for slot in direct.get("/slots").json() if slot["is_processing"]]

    evidence.wait_until(lambda: not busy(), 5, "slots are busy before the test")
    stream = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=ENDLESS_TOKENS,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    for _ in range(5):
        next(iter(stream))
    check(len(busy()) == 1, f"{len(busy())} slots are busy while one stream runs")
    stream.close()
    return evidence.wait_until(lambda: not busy(), 1, "its slot is still busy a second later")


def check_refusals(openai_url, anthropic_url):
    messages = [{"role": "user", "content": PROMPT}]
    try:
        openai_client(openai_url).chat.completions.create(model="m", messages=messages, n=2)
        evidence.fail("openai: two choices were not refused")
    except openai.BadRequestError as error:
        check(error.code == "untranslatable" and "`n`" in error.message, f"openai: {error}")
    try:
        tools = [{"type": "web_search_20250305", "name": "web_search"}]
        anthropic_client(anthropic_url).messages.create(model="m", max_tokens=9, messages=messages, tools=tools)
        evidence.fail("anthropic: a tool of the server's was not refused")
    except anthropic.BadRequestError as error:
        check("tools[0]" in str(error), f"anthropic: {error}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("as_anthropic")
    parser.add_argument("as_openai")
    parser.add_argument("--direct", required=True)
    parser.add_argument("--tools", nargs=2, required=True)
    asked = parser.parse_args()
    openai_through, anthropic_through = openai_client(asked.as_anthropic), anthropic_client(asked.as_openai)
    texts = {
        "openai": check_text("openai", openai_text, openai_through, openai_client(asked.direct)),
        "anthropic": check_text("anthropic", anthropic_text, anthropic_through, anthropic_client(asked.direct)),
    }
    calls = {
        "openai": check_calls("openai", *openai_calls(openai_client(asked.tools[0])), json.loads),
        "anthropic": check_calls("anthropic", *anthropic_calls(anthropic_client(asked.tools[1])), lambda it: it),
    }
    with httpx.Client(base_url=asked.direct, timeout=30, trust_env=False) as direct:
        free = check_cancel(direct, openai_through)
    check_refusals(asked.as_anthropic, asked.as_openai)
    evidence.done(test="translated", texts=texts, calls=calls, slot_free_after_ms=free)


if __name__ == "__main__":
    evidence.run(main, 90)
