"""An inference server whose pace is known, run by uvicorn: a real server with real habits.

    paced_server.py PORT [--keep-alive SECONDS] [--lifeline]

Prints `ready ADDRESS:PORT`. Every event says when it was sent (`sent_ns`, see evidence.now), so a
client can tell how long it was on its way.

    GET  /v1/models
    POST /v1/chat/completions, /v1/completions   max_tokens words, `?interval_ms=15` apart
    POST /stream?chunks=4&interval_ms=500        lines of JSON, one a chunk
    PUT  /duplex                                 answers each piece of the body when it arrives
    POST /upload                                 tells, at the end, when each piece arrived
    POST /echo                                   the body, once it is complete
    GET  /stats                                  requests, streams open now, streams left early
"""

import asyncio
import json
import sys
import urllib.parse

import uvicorn

import evidence

stats = {"requests": 0, "open": 0, "left_early": 0}


def word(number):
    return f"word{number} "


class Exchange:
    """One request and its answer, with the ASGI details kept in one place."""

    def __init__(self, scope, receive, send):
        self.scope, self.receive, self.send = scope, receive, send
        query = urllib.parse.parse_qs(scope["query_string"].decode())
        self.query = {name: values[-1] for name, values in query.items()}

    async def pieces(self):
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                return
            if message["body"]:
                yield message["body"]
            if not message.get("more_body"):
                return

    async def body(self):
        return b"".join([piece async for piece in self.pieces()])

    async def head(self, content_type, status=200):
        fields = [(b"content-type", content_type.encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": fields})

    async def data(self, data):
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self):
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def json(self, value, status=200):
        body = json.dumps(value).encode()
        length = str(len(body)).encode()
        fields = [(b"content-type", b"application/json"), (b"content-length", length)]
        await self.send({"type": "http.response.start", "status": status, "headers": fields})
        await self.send({"type": "http.response.body", "body": body})

    async def until_client_leaves(self):
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def paced(self, messages, interval_ms):
        """Sends `messages` (made when their time has come) that far apart, unless the client leaves."""

        async def produce():
            loop = asyncio.get_running_loop()
            begin = loop.time()
            for number, make in enumerate(messages):
                await asyncio.sleep(begin + number * interval_ms / 1000 - loop.time())
                await self.data(make())

        stats["open"] += 1
        producing = asyncio.create_task(produce())
        leaving = asyncio.create_task(self.until_client_leaves())
        await asyncio.wait({producing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        stats["open"] -= 1
        if producing.done():
            leaving.cancel()
            producing.result()
            await self.end()
        else:
            producing.cancel()
            stats["left_early"] += 1


async def stream(exchange):
    await exchange.body()
    await exchange.head("text/plain; charset=utf-8")

    def line(number):
        return lambda: (json.dumps({"n": number, "sent_ns": evidence.now()}) + "\n").encode()

    lines = [line(number) for number in range(int(exchange.query.get("chunks", 4)))]
    await exchange.paced(lines, float(exchange.query.get("interval_ms", 500)))


def completion(chat, words, finish):
    """The body of an answer, or of one event of a stream."""
    if chat:
        return {"index": 0, "delta": {"content": words} if words else {}, "finish_reason": finish}
    return {"index": 0, "text": words, "logprobs": None, "finish_reason": finish}


async def completions(exchange, chat):
    request = json.loads(await exchange.body())
    tokens = request.get("max_tokens", 16)
    identity = {"id": "cmpl-paced", "created": 0, "model": request["model"]}
    usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
    if not request.get("stream"):
        text = "".join(map(word, range(tokens)))
        choice = {"index": 0, "finish_reason": "length"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text, "logprobs": None}
        kind = "chat.completion" if chat else "text_completion"
        return await exchange.json(identity | {"object": kind, "choices": [choice], "usage": usage})
    kind = "chat.completion.chunk" if chat else "text_completion"

    def event(choices, **more):
        value = identity | {"object": kind, "choices": choices} | more
        return lambda: f"data: {json.dumps(value | {'sent_ns': evidence.now()})}\n\n".encode()

    events = [event([completion(chat, word(number), None)]) for number in range(tokens)]
    events.append(event([completion(chat, "", "length")]))
    if (request.get("stream_options") or {}).get("include_usage"):
        events.append(event([], usage=usage))
    events.append(lambda: b"data: [DONE]\n\n")
    await exchange.head("text/event-stream")
    await exchange.paced(events, float(exchange.query.get("interval_ms", 15)))


async def duplex(exchange):
    count = total = 0
    async for piece in exchange.pieces():
        # Not before the first piece: asking for it is what makes uvicorn write `100 Continue`.
        if count == 0:
            await exchange.head("text/plain; charset=utf-8")
        line = {"n": count, "bytes": len(piece), "received_ns": evidence.now()}
        await exchange.data((json.dumps(line) + "\n").encode())
        count, total = count + 1, total + len(piece)
    await exchange.data((json.dumps({"total": total}) + "\n").encode())
    await exchange.end()


async def upload(exchange):
    pieces = [{"bytes": len(piece), "received_ns": evidence.now()} async for piece in exchange.pieces()]
    await exchange.json({"pieces": pieces, "total": sum(piece["bytes"] for piece in pieces)})


async def echo(exchange):
    body = await exchange.body()
    await exchange.head("application/octet-stream")
    await exchange.data(body)
    await exchange.end()


async def models(exchange):
    model = {"id": "paced", "object": "model", "created": 0, "owned_by": "tests"}
    await exchange.json({"object": "list", "data": [model]})


HANDLERS = {
    "/v1/models": models,
    "/v1/chat/completions": lambda exchange: completions(exchange, True),
    "/v1/completions": lambda exchange: completions(exchange, False),
    "/stream": stream,
    "/duplex": duplex,
    "/upload": upload,
    "/echo": echo,
    "/stats": lambda exchange: exchange.json(stats),
}


async def application(scope, receive, send):
    exchange = Exchange(scope, receive, send)
    handler = HANDLERS.get(scope["path"])
    if handler is None:
        return await exchange.json({"error": {"message": "no such path"}}, 404)
    if scope["path"] != "/stats":
        stats["requests"] += 1
    await handler(exchange)


class Server(uvicorn.Server):
    async def startup(self, *arguments, **keywords):
        await super().startup(*arguments, **keywords)
        address, port = self.servers[0].sockets[0].getsockname()
        print(f"ready {address}:{port}", flush=True)


def main(arguments):
    options = [argument for argument in arguments if argument.startswith("--")]
    values = [argument for argument in arguments if not argument.startswith("--")]
    keep_alive = float(values[1]) if "--keep-alive" in options else 5
    if "--lifeline" in options:
        evidence.live_as_long_as_stdin()
    settings = {"lifespan": "off", "log_level": "warning", "ws": "none", "http": "h11"}
    config = uvicorn.Config(
        application, host="127.0.0.1", port=int(values[0]), timeout_keep_alive=keep_alive, **settings
    )
    Server(config).run()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: paced_server.py PORT [--keep-alive SECONDS] [--lifeline]")
    main(sys.argv[1:])
