"""OpenAI's SDK with its responses API, in front of servers that are asked for chats and for messages.

    translated_responses.py AS_ANTHROPIC AS_OPENAI --direct DIRECT_URL --tools TOOLS_AS_ANTHROPIC TOOLS_AS_OPENAI

The first two are gateways before llama.cpp's own server (DIRECT_URL), the last two before tool_server.py.
Asserts: the text is the text of the server's own chat API, streamed and whole; tokens arrive as they are
made; the events are those of the SDK's types, numbered, and the last one has all of the answer; two calls of
tools at once come whole, in pieces, and their results go back; logprobs are those of the server's own chat
API; what cannot be said is the SDK's own error.
"""

import argparse
import json

import openai

import evidence
from evidence import check
from translated import PROMPT, TOKENS, TOOLS, check_calls, openai_client, openai_text

ASKED = "How is it in Cologne, and how late?"


def responses_text(client):
    """(streamed text, arrivals of its parts, whole text)"""
    asked = {
        "model": "tiny",
        "input": PROMPT,
        "max_output_tokens": TOKENS,
        "temperature": 0,
        "extra_body": {"cache_prompt": False},
    }
    parts, arrivals, numbers, last = [], [], [], None
    for event in client.responses.create(stream=True, **asked):
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            parts.append(event.delta)
            arrivals.append(evidence.now())
        last = event
    text = "".join(parts)
    check(numbers == list(range(len(numbers))), f"responses: numbered {numbers[:5]}…")
    # Every token that it may have is used.
    check(last.type == "response.incomplete", f"responses: {last.type}")
    check(last.response.incomplete_details.reason == "max_output_tokens", f"responses: {last.response}")
    check(last.response.output_text == text, f"responses: {last.response.output_text[:80]!r}…")
    check(last.response.usage.output_tokens > 0, f"responses: {last.response.usage}")
    # The SDK's own sum of the events.
    with client.responses.stream(**asked) as stream:
        said = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
    check(said[-1] == text, f"responses, summed up: {said[-1][:80]!r}…")
    return text, arrivals, client.responses.create(**asked).output_text


def check_text(name, through, direct):
    _, _, there = openai_text(direct)
    here, arrivals, whole = responses_text(through)
    check(here == whole == there and len(here) > 100, f"{name}: {here[:80]!r}…, direct {there[:80]!r}…")
    largest = max(arrivals.count(moment) for moment in set(arrivals))
    evidence.check_time(len(arrivals) >= TOKENS / 2 and largest <= TOKENS / 4, f"{name}: {len(arrivals)} parts, {largest} at once")
    return {"parts": len(arrivals), "characters": len(here), **evidence.gap_summary(sorted(set(arrivals)))}


def responses_calls(client):
    items = [{"role": "user", "content": ASKED}]
    tools = [{"type": "function", "name": name, "parameters": schema} for name, schema in TOOLS.items()]
    arrivals = []
    for event in client.responses.create(model="m", input=items, tools=tools, stream=True):
        if event.type == "response.function_call_arguments.delta":
            arrivals.append(evidence.now())
        last = event
    check(last.type == "response.completed", f"responses: {last}")
    uses = [item for item in last.response.output if item.type == "function_call"]
    items += [use.to_dict() for use in uses]
    items += [{"type": "function_call_output", "call_id": use.call_id, "output": f"<{use.name}>"} for use in uses]
    answer = client.responses.create(model="m", input=items, tools=tools, stream=True)
    text = [event for event in answer][-1].response.output_text
    return [(use.name, use.arguments) for use in uses], arrivals, text


def check_logprobs(client):
    """As the server's own chat API tells them, with the text and with the whole."""
    asked = {"model": "tiny", "max_tokens": 8, "temperature": 0, "logprobs": True, "top_logprobs": 2}
    direct = client.chat.completions.create(messages=[{"role": "user", "content": PROMPT}], **asked)
    there = [(entry.token, len(entry.top_logprobs)) for entry in direct.choices[0].logprobs.content]
    asked = {"model": "tiny", "input": PROMPT, "max_output_tokens": 8, "temperature": 0, "top_logprobs": 2}
    asked["include"] = ["message.output_text.logprobs"]
    streamed = []
    for event in client.responses.create(stream=True, **asked):
        if event.type == "response.output_text.delta":
            streamed += [(entry.token, len(entry.top_logprobs)) for entry in event.logprobs]
        last = event
    ends = [last.response, client.responses.create(**asked)]
    wholes = [response.output[0].content[0].logprobs for response in ends]
    told = [[(entry.token, len(entry.top_logprobs)) for entry in whole] for whole in wholes]
    check(streamed == there and told == [there, there], f"logprobs: {streamed}, {told}, direct {there}")
    check(len(there) > 2 and all(top == 2 for _, top in there), f"logprobs: {there}")


def check_refusal(client):
    try:
        client.responses.create(model="m", input="go on", previous_response_id="resp_1")
        evidence.fail("responses: what was never stored was not refused")
    except openai.BadRequestError as error:
        known = error.code == "untranslatable" and "previous_response_id" in error.message
        check(known, f"responses: {error}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("as_anthropic")
    parser.add_argument("as_openai")
    parser.add_argument("--direct", required=True)
    parser.add_argument("--tools", nargs=2, required=True)
    asked = parser.parse_args()
    direct = openai_client(asked.direct)
    texts = {
        "chats": check_text("chats", openai_client(asked.as_openai), direct),
        "messages": check_text("messages", openai_client(asked.as_anthropic), direct),
    }
    calls = {
        name: check_calls(name, *responses_calls(openai_client(url)), json.loads)
        for name, url in zip(("messages", "chats"), asked.tools)
    }
    check_refusal(openai_client(asked.as_openai))
    check_logprobs(openai_client(asked.as_openai))
    evidence.done(test="translated_responses", texts=texts, calls=calls)


if __name__ == "__main__":
    evidence.run(main, 90)
