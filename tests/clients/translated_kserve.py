"""The SDKs of OpenAI and Anthropic in front of MLServer, which speaks the open inference protocol.

    translated_kserve.py URL

URL is a gateway before mlserver/serve.py that asks it for tensors. Asserts: the model's answer is the
answer of each API, in one piece, and to a client that wants a stream as a stream of one piece with an end;
parameters reach the model; an error of the server is the SDK's own with its status; what cannot be said is
the SDK's own error for a bad request.
"""

import sys

import anthropic
import openai

import evidence
from evidence import check

PROMPT = "water gate river"
ANSWER = "river gate water"


def refused(what, kind, call):
    try:
        call()
    except kind as error:
        return str(error)
    evidence.fail(f"{what} is no {kind.__name__}")


def main():
    url = sys.argv[1]
    chats = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=30)
    messages = anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0, timeout=30)

    def chat(prompt=PROMPT, **more):
        asked = [{"role": "user", "content": prompt}]
        return chats.chat.completions.create(model="echo", messages=asked, **more)

    whole = chat().choices[0]
    check(whole.message.content == ANSWER, f"chat: {whole}")
    check(whole.finish_reason == "stop", f"chat: {whole.finish_reason}")
    chunks = [chunk.choices[0] for chunk in chat(stream=True)]
    text = "".join(chunk.delta.content or "" for chunk in chunks)
    check(text == ANSWER and chunks[-1].finish_reason == "stop", f"chat, streamed: {chunks}")

    short = chat(max_tokens=2).choices[0].message.content
    check(short == "river gate", f"max_tokens: {short!r}")
    stopped = chat(stop=[" gate"]).choices[0].message.content
    check(stopped == "river", f"stop: {stopped!r}")
    check(chat("größe ü 😀").choices[0].message.content == "😀 ü größe", "any text is one")

    answer = chats.responses.create(model="echo", input=PROMPT)
    check(answer.output_text == ANSWER, f"responses: {answer}")
    asked = {"model": "echo", "max_tokens": 64, "messages": [{"role": "user", "content": PROMPT}]}
    answer = messages.messages.create(**asked)
    check(answer.content[0].text == ANSWER, f"messages: {answer}")
    with messages.messages.stream(**asked) as stream:
        check(stream.get_final_text() == ANSWER, "messages, streamed")

    said = refused("an error", openai.UnprocessableEntityError, lambda: chat(extra_body={"fail": True}))
    check("asked to fail" in said, f"an error says: {said}")
    refused("an unknown model", openai.NotFoundError, lambda: chats.chat.completions.create(
        model="other", messages=[{"role": "user", "content": "a"}]))
    said = refused("two choices", openai.BadRequestError, lambda: chat(n=2))
    check("`n`" in said, f"a refusal says: {said}")
    evidence.done(answer=ANSWER, apis=3)


if __name__ == "__main__":
    evidence.run(main, 60)
