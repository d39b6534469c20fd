"""The SDKs of OpenAI, Anthropic and Ollama read what the gateway writes in their dialects.

    dialects.py FOLDER

FOLDER holds answers as the gateway makes them, FOLDER/SCENARIO/DIALECT.json with status, content
type and body. They are served here, byte by byte as they are, and read by the SDKs.

Asserts, for each dialect: a predefined answer is the model's answer, streamed and in one piece; one
with an error status raises that status; a heartbeat is nothing; a stream broken by our error event
gives its text so far and then raises the SDK's own error with our message.
"""

import http.server
import json
import pathlib
import sys
import threading

import anthropic
import ollama
import openai

import evidence

TEXT = 'The model is "out",\nplease come back.'
HEARD = "The model "
WHY = "The upstream broke off."
MESSAGES = [{"role": "user", "content": "hi"}]
DIALECTS = {
    "/v1/chat/completions": "openai-chat",
    "/v1/completions": "openai-completions",
    "/v1/responses": "openai-responses",
    "/v1/messages": "anthropic",
    "/api/chat": "ollama",
}


class Handler(http.server.BaseHTTPRequestHandler):
    folder = None

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"] or 0))
        _, scenario, path = self.path.split("/", 2)
        answer = json.loads((self.folder / scenario / f"{DIALECTS['/' + path]}.json").read_text())
        self.send_response(answer["status"])
        self.send_header("content-type", answer["content_type"])
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(answer["body"].encode())

    def log_message(self, *_):
        pass


def openai_client(url, scenario):
    return openai.OpenAI(base_url=f"{url}/{scenario}/v1", api_key="unused", max_retries=0, timeout=10)


def openai_chat(url, scenario, stream):
    answer = openai_client(url, scenario).chat.completions.create(model="m", messages=MESSAGES, stream=stream)
    if not stream:
        evidence.check(answer.choices[0].finish_reason == "stop", "chat: finish reason")
        yield answer.choices[0].message.content
        return
    for event in answer:
        if event.choices:
            yield event.choices[0].delta.content or ""


def openai_completions(url, scenario, stream):
    answer = openai_client(url, scenario).completions.create(model="m", prompt="hi", stream=stream)
    for event in answer if stream else [answer]:
        if event.choices:
            yield event.choices[0].text


def openai_responses(url, scenario, stream):
    responses = openai_client(url, scenario).responses
    if not stream:
        yield responses.create(model="m", input="hi").output_text
        return
    # The helper keeps a snapshot of the whole response, and is strict about order and places.
    with responses.stream(model="m", input="hi") as events:
        for event in events:
            if event.type == "response.output_text.delta":
                yield event.delta
        evidence.check(events.get_final_response().output_text == TEXT, "responses: the final text")


def anthropic_messages(url, scenario, stream):
    client = anthropic.Anthropic(base_url=f"{url}/{scenario}", api_key="unused", max_retries=0, timeout=10)
    asked = {"model": "m", "max_tokens": 9, "messages": MESSAGES}
    if not stream:
        yield client.messages.create(**asked).content[0].text
        return
    with client.messages.stream(**asked) as events:
        yield from events.text_stream
        final = events.get_final_message()
        evidence.check(final.stop_reason == "end_turn", "anthropic: stop reason")
        evidence.check(final.content[0].text == TEXT, "anthropic: the final text")


def ollama_chat(url, scenario, stream):
    client = ollama.Client(host=f"{url}/{scenario}", timeout=10)
    answer = client.chat(model="m", messages=MESSAGES, stream=stream)
    for line in answer if stream else [answer]:
        yield line.message.content


CLIENTS = [
    (openai_chat, openai.APIError),
    (openai_completions, openai.APIError),
    (openai_responses, openai.APIError),
    (anthropic_messages, anthropic.APIError),
    (ollama_chat, ollama.ResponseError),
]


def read(client, url, scenario, stream):
    """The text, and the error that ended it."""
    pieces = []
    try:
        for piece in client(url, scenario, stream):
            pieces.append(piece)
    except Exception as error:
        return pieces, error
    return pieces, None


def check(client, kind, url):
    name = client.__name__
    for scenario, stream in [("stream", True), ("heartbeats", True), ("document", False)]:
        pieces, error = read(client, url, scenario, stream)
        evidence.check(error is None, f"{name}, {scenario}: {error!r}")
        evidence.check("".join(pieces) == TEXT, f"{name}, {scenario}: {pieces}")
        evidence.check(not stream or len(pieces) > 5, f"{name}, {scenario}: {pieces} is not word by word")
    for stream in [True, False]:
        pieces, error = read(client, url, "error", stream)
        evidence.check(isinstance(error, kind) and not pieces, f"{name}, error: {error!r} after {pieces}")
        evidence.check(error.status_code == 503 and TEXT[:9] in str(error), f"{name}, error: {error}")
    pieces, error = read(client, url, "broken", True)
    evidence.check(isinstance(error, kind), f"{name}, broken: {error!r} after {pieces}")
    evidence.check(WHY in str(error), f"{name}, broken: {error}")
    evidence.check("".join(pieces) == HEARD, f"{name}, broken: {pieces}")
    return f"{type(error).__name__}: {error}"


def main():
    Handler.folder = pathlib.Path(sys.argv[1])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    raised = {client.__name__: check(client, kind, url) for client, kind in CLIENTS}
    versions = {module.__name__: module.__version__ for module in (openai, anthropic)}
    evidence.done(test="dialects", raised=raised, **versions)


if __name__ == "__main__":
    evidence.run(main, 60)
