"""The OpenAI SDK, streaming and not, against a base URL that ends in /v1.

    openai_stream.py BASE_URL [--tokens 60] [--interval-ms 15] [--query NAME=VALUE]...

Asserts, for chat and for plain completions: every token arrives, in order, as an event of its
own, at the pace it was sent with; the finish reason and the usage come; a stream and a plain
answer give the same text; a stream left half-way leaves the client able to ask again. The pace
asserted is the one the server is known for, `--interval-ms`; a server that is told its pace in the
query is told with `--query`.
"""

import argparse

import openai

import evidence


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("--model", default="paced")
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--interval-ms", type=float, default=15)
    parser.add_argument("--query", action="append", default=[], metavar="NAME=VALUE")
    return parser.parse_args()


def read_stream(stream, text_of):
    """(text, arrivals of its pieces, delays where the server says when it sent, finish, usage)"""
    words, arrivals, delays, finish, usage = [], [], [], None, None
    for event in stream:
        arrived = evidence.now()
        usage = event.usage or usage
        if not event.choices:
            continue
        choice = event.choices[0]
        finish = choice.finish_reason or finish
        if text_of(choice):
            words.append(text_of(choice))
            arrivals.append(arrived)
            if sent := (event.model_extra or {}).get("sent_ns"):
                delays.append(arrived - sent)
    return "".join(words), arrivals, delays, finish, usage


def check_stream(what, asked, stream, text_of):
    text, arrivals, delays, finish, usage = read_stream(stream, text_of)
    tokens = asked.tokens
    evidence.check(len(arrivals) == tokens, f"{what}: {len(arrivals)} events with text, {tokens} were sent")
    evidence.check(finish in ("stop", "length"), f"{what}: finish reason is {finish!r}")
    evidence.check(usage is not None, f"{what}: usage was asked for and did not come")
    evidence.check(usage.completion_tokens == tokens, f"{what}: usage says {usage.completion_tokens} tokens")
    result = evidence.check_paced(what, arrivals, asked.interval_ms)
    if delays:
        result |= evidence.check_prompt(what, delays)
    return text, result


def main():
    asked = arguments()
    query = dict(pair.split("=", 1) for pair in asked.query)
    client = openai.OpenAI(base_url=asked.base_url, api_key="unused", max_retries=0, timeout=30, default_query=query)
    common = {"model": asked.model, "max_tokens": asked.tokens}
    streamed = common | {"stream": True, "stream_options": {"include_usage": True}}
    messages = [{"role": "user", "content": "hi"}]

    models = [model.id for model in client.models.list()]
    evidence.check(models, "the models list is empty")

    chat_text, chat = check_stream(
        "chat stream",
        asked,
        client.chat.completions.create(messages=messages, **streamed),
        lambda choice: choice.delta.content,
    )
    text, plain = check_stream(
        "completion stream", asked, client.completions.create(prompt="hi", **streamed), lambda choice: choice.text
    )

    whole = client.chat.completions.create(messages=messages, **common)
    evidence.check(
        whole.choices[0].message.content == chat_text, "chat: the streamed and the whole answer are not the same text"
    )
    whole = client.completions.create(prompt="hi", **common)
    evidence.check(whole.choices[0].text == text, "completion: the streamed and the whole answer are not the same text")

    with client.chat.completions.create(messages=messages, **streamed) as left:
        next(iter(left))
    again = client.chat.completions.create(messages=messages, **common)
    evidence.check(again.choices[0].message.content == chat_text, "chat: another answer after a stream left half-way")

    evidence.done(test="openai_stream", sdk=openai.__version__, models=models, chat=chat, completion=plain)


if __name__ == "__main__":
    evidence.run(main, 60)
