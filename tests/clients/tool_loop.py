"""A loop of tools as Claude's clients run it, by the SDKs of Anthropic and OpenAI, through translations.

    tool_loop.py AS_ANTHROPIC AS_OPENAI TOOLS_AS_ANTHROPIC TOOLS_AS_OPENAI --direct DIRECT_URL

The first two are gateways before llama.cpp's own server (DIRECT_URL), whose template shows it tools, calls and
results; the last two are before tool_server.py. The calls are tool_server.py's, since a model of random
weights makes none. Asserts: over three turns, with calls side by side and a nested one behind them, what is
thought, said and called reaches the client, in pieces, and the last answer has every result; and at each
turn llama.cpp, shown the conversation so far through a translation, reads the very prompt that it reads of
its own API in the SDK's dialect: as many tokens, and the same words follow, streamed and whole.
"""

import argparse
import json

import evidence
from evidence import check
from stand_ins import same
from tool_server import CALLS, LAST_CALL, SAID, THOUGHT
from translated import anthropic_client, openai_client

SYSTEM = "You stand at a gate."
QUESTION = "How is it in Cologne, how late, and is there a train?"
SCHEMAS = {
    "weather": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "clock": {"type": "object", "properties": {"zone": {"type": "string", "enum": ["Europe/Berlin"]}}},
    "train": {"type": "object", "properties": {"from": {"type": "string"}, "at": {"type": "object"}}},
}
TOKENS = 40
EXPECTED = [[call[1:] for call in calls] for calls in (CALLS, LAST_CALL)] + [[]]


def result_of(name, arguments):
    return f"water {name} {json.dumps(arguments, ensure_ascii=False)} stone"


class Anthropic:
    """The conversation and the tools in Anthropic's words."""

    def __init__(self):
        self.messages = [{"role": "user", "content": QUESTION}]
        self.tools = [
            {"name": name, "description": f"The {name}.", "input_schema": schema} for name, schema in SCHEMAS.items()
        ]

    def asked(self, model):
        asked = {"model": model, "max_tokens": TOKENS, "system": SYSTEM, "messages": self.messages}
        return asked | {"tools": self.tools, "extra_body": {"temperature": 0, "cache_prompt": False}}

    def turn(self, client):
        """(thought, said, called, moments of the pieces) of one turn, which becomes part of the conversation"""
        moments = []
        with client.messages.stream(**self.asked("loop")) as stream:
            for event in stream:
                if event.type == "input_json":
                    moments.append(evidence.now())
            message = stream.get_final_message()
        blocks = {kind: [block for block in message.content if block.type == kind] for kind in ("thinking", "text")}
        uses = [block for block in message.content if block.type == "tool_use"]
        same("its reason", message.stop_reason, "tool_use" if uses else "end_turn")
        self.messages = self.messages + [
            {"role": "assistant", "content": [block.to_dict() for block in message.content]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": use.id, "content": result_of(use.name, use.input)}
                    for use in uses
                ],
            },
        ]
        thought = "".join(block.thinking for block in blocks["thinking"])
        said = "".join(block.text for block in blocks["text"])
        return thought, said, [(use.name, use.input) for use in uses], moments

    def words(self, client):
        """(tokens of the prompt, words that follow) as llama.cpp tells them"""
        asked = self.asked("tiny")
        with client.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        whole = client.messages.create(**asked)
        same("in one piece", whole.content[0].text, streamed.content[0].text)
        # Anthropic counts apart what was read from a cache.
        return whole.usage.input_tokens + (whole.usage.cache_read_input_tokens or 0), whole.content[0].text


class OpenAI:
    """The same in OpenAI's."""

    def __init__(self):
        self.messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
        self.tools = [
            {"type": "function", "function": {"name": name, "description": f"The {name}.", "parameters": schema}}
            for name, schema in SCHEMAS.items()
        ]

    def asked(self, model):
        asked = {"model": model, "max_tokens": TOKENS, "messages": self.messages, "tools": self.tools}
        return asked | {"temperature": 0, "extra_body": {"cache_prompt": False}}

    def turn(self, client):
        moments = []
        with client.chat.completions.stream(**self.asked("loop")) as stream:
            for event in stream:
                if event.type == "tool_calls.function.arguments.delta":
                    moments.append(evidence.now())
            choice = stream.get_final_completion().choices[0]
        calls = choice.message.tool_calls or []
        same("its reason", choice.finish_reason, "tool_calls" if calls else "stop")
        told = {"role": "assistant", "content": choice.message.content}
        if calls:
            told["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                for call in calls
            ]
        called = [(call.function.name, json.loads(call.function.arguments)) for call in calls]
        self.messages = self.messages + [told] + [
            {"role": "tool", "tool_call_id": call.id, "content": result_of(*values)}
            for call, values in zip(calls, called)
        ]
        thought = (choice.message.model_extra or {}).get("reasoning_content") or ""
        return thought, choice.message.content or "", called, moments

    def words(self, client):
        asked = self.asked("tiny")
        parts = [
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(stream=True, **asked)
            if chunk.choices
        ]
        whole = client.chat.completions.create(**asked)
        same("in one piece", whole.choices[0].message.content, "".join(parts))
        return whole.usage.prompt_tokens, whole.choices[0].message.content


def check_loop(name, conversation, tools, through, direct):
    prompts, pieces = [], 0
    for number, calls in enumerate(EXPECTED):
        here, there = conversation.words(through), conversation.words(direct)
        same(f"{name}, what llama.cpp reads in turn {number}", here, there)
        prompts.append(here[0])
        thought, said, called, moments = conversation.turn(tools)
        same(f"{name}, called in turn {number}", called, calls)
        if number == 0:
            same(f"{name}, thought and said", (thought, said), (THOUGHT, SAID))
        if calls:
            # A piece every 20 ms.
            apart = (moments[-1] - moments[0]) / 1e6
            evidence.check_time(apart > 10 * len(moments), f"{name}: {len(moments)} pieces within {apart} ms")
        pieces += len(moments)
    results = "".join(result_of(*call) for calls in EXPECTED for call in calls)
    same(f"{name}, told", said, results)
    check(prompts == sorted(set(prompts)), f"{name}: the prompt does not grow: {prompts}")
    return {"prompts": prompts, "pieces": pieces}


def main():
    parser = argparse.ArgumentParser()
    for name in ("as_anthropic", "as_openai", "tools_as_anthropic", "tools_as_openai", "--direct"):
        parser.add_argument(name)
    asked = parser.parse_args()
    loops = {
        "anthropic": (Anthropic, anthropic_client, asked.tools_as_openai, asked.as_openai),
        "openai": (OpenAI, openai_client, asked.tools_as_anthropic, asked.as_anthropic),
    }
    evidence.done(
        test="tool_loop",
        **{
            name: check_loop(name, conversation(), client(tools), client(through), client(asked.direct))
            for name, (conversation, client, tools, through) in loops.items()
        },
    )


if __name__ == "__main__":
    evidence.run(main, 90)
