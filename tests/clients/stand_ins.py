"""Clients of Ollama, OpenAI and Anthropic before servers that speak as Ollama and as Gemini.

    stand_ins.py VERBATIM AS_OLLAMA AS_GEMINI --direct DIRECT_URL

Three gateways before stand_in.py: one that passes all on, one that asks it as Ollama is asked, one as
Gemini. Asserts: Ollama's own client streams at the server's pace, and its text, calls, counts and errors
are the server's; the same text, the same calls, the counts and the reasons reach the SDKs of OpenAI (chat
and responses) and Anthropic in their own words, at the same pace; results of calls go back; errors, before
the first token and behind it, are the SDK's own; a client that leaves is noticed.
"""

import argparse
import json

import anthropic
import httpx
import ollama
import openai

import evidence
from evidence import check
from translated import TOOLS, anthropic_client, openai_client

TOKENS = 40
PACE_MS = 15
TEXT = "".join(f" word{number}" for number in range(TOKENS))
MESSAGES = [{"role": "user", "content": "How is it in Cologne, and how late?"}]
CALLS = [("weather", {"city": "Köln"}), ("clock", {"zone": "Europe/Berlin"})]
FUNCTIONS = [{"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in TOOLS.items()]
# As the recorded answers have them.
COUNTS = {"ollama": (26, 33), "gemini": (391, 12 + 102)}


def same(what, here, there):
    check(here == there, f"{what}: {here!r}, not {there!r}")


def error_of(what, kind, call):
    """The error that a call ends with, which has to be of this class."""
    try:
        call()
    except kind as error:
        return error
    except Exception as error:
        evidence.fail(f"{what}: {type(error).__name__}: {error}, no {kind.__name__}")
    evidence.fail(f"{what}: no error")


def check_leaving(what, direct, begin):
    """Milliseconds from the client's leaving to the server's noticing."""
    before = direct.get("/stats").json()["left_early"]
    stream = begin()
    for _ in range(5):
        next(iter(stream))
    stream.close()

    def noticed():
        now = direct.get("/stats").json()
        return now["open"] == 0 and now["left_early"] == before + 1

    return evidence.wait_until(noticed, 1, f"{what}: the server is still at work a second later")


def check_ollama_client(url, direct):
    client = ollama.Client(host=url, timeout=30)
    asked = {"model": "llama3.2", "messages": MESSAGES, "options": {"num_predict": TOKENS}}
    parts, arrivals = [], []
    for part in client.chat(stream=True, **asked):
        if part.message.content:
            parts.append(part.message.content)
            arrivals.append(evidence.now())
    same("ollama, streamed", "".join(parts), TEXT)
    end = (part.done, part.done_reason, part.prompt_eval_count, part.eval_count)
    same("ollama, its end", end, (True, "stop", 26, 33))
    pace = evidence.check_paced("ollama", arrivals, PACE_MS)
    whole = client.chat(**asked)
    same("ollama, in one piece", (whole.message.content, whole.eval_count), (TEXT, 33))
    generated = client.generate(model="llama3.2", prompt="hi", options={"num_predict": 3})
    same("ollama, generated", generated.response, " word0 word1 word2")
    pieces = client.generate(model="m", prompt="hi", stream=True, options={"num_predict": 3})
    same("ollama, generated in pieces", [part.response for part in pieces], [" word0", " word1", " word2", ""])
    same("ollama, its models", [model.model for model in client.list().models], ["llama3.2"])
    for stream in (False, True):
        answer = client.chat(model="tools", messages=MESSAGES, tools=FUNCTIONS, stream=stream)
        told = [part.message for part in (answer if stream else [answer])]
        calls = [call.function for message in told for call in message.tool_calls or []]
        same("ollama, calls", [(call.name, dict(call.arguments)) for call in calls], CALLS)
    missing = error_of("ollama, missing", ollama.ResponseError, lambda: client.chat(model="missing", messages=MESSAGES))
    same("ollama, missing", (missing.status_code, missing.error), (404, "model 'missing' not found"))
    broken = error_of("ollama, broken", ollama.ResponseError, lambda: list(client.chat(model="breaks", stream=True)))
    check("signal: killed" in broken.error, f"ollama, broken: {broken.error}")
    endless = asked | {"options": {"num_predict": 4000}, "stream": True}
    return pace | {"free_after_ms": check_leaving("ollama", direct, lambda: client.chat(**endless))}


def read_chat(client):
    """(text, arrivals of its parts, reason, usage)"""
    asked = {"model": "llama3.2", "messages": MESSAGES, "max_tokens": TOKENS}
    parts, arrivals = [], []
    for chunk in client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **asked):
        if chunk.choices and chunk.choices[0].delta.content:
            parts.append(chunk.choices[0].delta.content)
            arrivals.append(evidence.now())
        if chunk.choices and chunk.choices[0].finish_reason:
            reason = chunk.choices[0].finish_reason
        usage = chunk.usage
    whole = client.chat.completions.create(**asked)
    same("in one piece", (whole.choices[0].message.content, whole.usage), ("".join(parts), usage))
    return "".join(parts), arrivals, reason, (usage.prompt_tokens, usage.completion_tokens)


def read_messages(client):
    asked = {"model": "llama3.2", "messages": MESSAGES, "max_tokens": TOKENS}
    arrivals = []
    with client.messages.stream(**asked) as stream:
        for _ in stream.text_stream:
            arrivals.append(evidence.now())
        last = stream.get_final_message()
    whole = client.messages.create(**asked)
    same("messages, in one piece", whole.content[0].text, last.content[0].text)
    reason = {"end_turn": "stop"}[last.stop_reason]
    return last.content[0].text, arrivals, reason, (last.usage.input_tokens, last.usage.output_tokens)


def read_responses(client):
    asked = {"model": "llama3.2", "input": MESSAGES, "max_output_tokens": TOKENS}
    arrivals = []
    for event in client.responses.create(stream=True, **asked):
        if event.type == "response.output_text.delta":
            arrivals.append(evidence.now())
    last = event.response
    whole = client.responses.create(**asked)
    same("responses, in one piece", whole.output_text, last.output_text)
    reason = {"completed": "stop"}[last.status]
    return last.output_text, arrivals, reason, (last.usage.input_tokens, last.usage.output_tokens)


READ = {"chat": read_chat, "messages": read_messages, "responses": read_responses}


def check_text(served, url):
    paces = {}
    for name, read in READ.items():
        client = anthropic_client(url) if name == "messages" else openai_client(url)
        # The SDKs build the types of their events when they read the first ones, for up to 200 ms.
        read(client)
        text, arrivals, reason, counts = read(client)
        same(f"{name} → {served}", (text, reason, counts), (TEXT, "stop", COUNTS[served]))
        paces[name] = evidence.check_paced(f"{name} → {served}", arrivals, PACE_MS)
    return paces


def openai_calls(client):
    asked = {"model": "tools", "tools": FUNCTIONS}
    with client.chat.completions.stream(messages=MESSAGES, **asked) as stream:
        choice = stream.get_final_completion().choices[0]
    whole = client.chat.completions.create(messages=MESSAGES, **asked).choices[0]
    same("calls, reasons", (choice.finish_reason, whole.finish_reason), ("tool_calls", "tool_calls"))

    def calls(message):
        return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]

    same("calls, in one piece", calls(whole.message), calls(choice.message))
    ids = {call.id for call in choice.message.tool_calls}
    check(len(ids) == len(choice.message.tool_calls), f"two calls have one id: {ids}")
    # As it came, with what the SDK does not know.
    message = choice.message.to_dict()
    message.pop("parsed", None)
    for call in message["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    messages = MESSAGES + [message]
    for call in choice.message.tool_calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"<{call.function.name}>"})
    told = client.chat.completions.create(messages=messages, **asked).choices[0].message.content
    return calls(choice.message), choice.message, told


def anthropic_calls(client):
    tools = [{"name": name, "input_schema": schema} for name, schema in TOOLS.items()]
    asked = {"model": "tools", "max_tokens": 100, "tools": tools}
    with client.messages.stream(messages=MESSAGES, **asked) as stream:
        message = stream.get_final_message()
    same("messages, why", message.stop_reason, "tool_use")
    uses = [block for block in message.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": f"<{use.name}>"} for use in uses]
    messages = MESSAGES + [{"role": "assistant", "content": [block.to_dict() for block in message.content]}]
    answer = client.messages.create(messages=messages + [{"role": "user", "content": results}], **asked)
    return [(use.name, use.input) for use in uses], answer.content[0].text


def check_ollama_calls(url):
    calls, _, told = openai_calls(openai_client(url))
    same("chat → ollama, calls", (calls, told), (CALLS, "<weather><clock>"))
    same("messages → ollama, calls", anthropic_calls(anthropic_client(url)), (CALLS, "<weather><clock>"))


def check_gemini_calls(url, direct):
    calls, message, told = openai_calls(openai_client(url))
    same("chat → gemini, calls", calls, [("get_weather", {"city": "shanghai", "date": "2025-11-10"})])
    same("chat → gemini, told", json.loads(told), {"result": "<get_weather>"})
    same("chat → gemini, said", message.content, "Yesterday was 2025-11-10.\n")
    check("Refining" in message.model_extra["reasoning_content"], f"chat → gemini: {message}")
    turns = direct.get("/stats").json()["last"]["body"]["contents"]
    same("gemini, roles", [turn["role"] for turn in turns], ["user", "model", "user"])


def check_errors(as_ollama, as_gemini):
    client = openai_client(as_ollama)
    missing = error_of(
        "chat → ollama",
        openai.NotFoundError,
        lambda: client.chat.completions.create(model="missing", messages=MESSAGES),
    )
    check("model 'missing' not found" in missing.message, f"chat → ollama: {missing}")
    broken = error_of(
        "chat → ollama, broken",
        openai.APIError,
        lambda: list(client.chat.completions.create(model="breaks", messages=MESSAGES, stream=True)),
    )
    check("signal: killed" in broken.message, f"chat → ollama: {broken}")
    both = {"model": "busy", "messages": MESSAGES, "max_tokens": 9}
    for url in (as_ollama, as_gemini):
        error_of("chat, busy", openai.InternalServerError, lambda: openai_client(url).chat.completions.create(**both))
        error_of("messages, busy", anthropic.APIStatusError, lambda: anthropic_client(url).messages.create(**both))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verbatim")
    parser.add_argument("as_ollama")
    parser.add_argument("as_gemini")
    parser.add_argument("--direct", required=True)
    asked = parser.parse_args()
    with httpx.Client(base_url=asked.direct, timeout=30, trust_env=False) as direct:
        own = check_ollama_client(asked.verbatim, direct)
        texts = {"ollama": check_text("ollama", asked.as_ollama), "gemini": check_text("gemini", asked.as_gemini)}
        check_ollama_calls(asked.as_ollama)
        check_gemini_calls(asked.as_gemini, direct)
        endless = {"model": "m", "messages": MESSAGES, "max_tokens": 4000, "stream": True}
        free = {
            name: check_leaving(
                name, direct, lambda: openai_client(url).chat.completions.create(**endless)
            )
            for name, url in (("ollama", asked.as_ollama), ("gemini", asked.as_gemini))
        }
    check_errors(asked.as_ollama, asked.as_gemini)
    evidence.done(test="stand_ins", own=own, texts=texts, free_after_ms=free)


if __name__ == "__main__":
    evidence.run(main, 90)
