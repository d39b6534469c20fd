"""Runs MLServer with a model that answers each prompt with its words turned round, until killed, or until
standard input ends.

    serve.py PORT [--lifeline]

PORT is 0 for any that is free. Prints `ready ADDRESS:PORT` when it answers. The model is `echo`. Its prompt
is the one input, its answer the output `text_output`; `max_tokens` and `stop` in the parameters of a request
hold, and `fail` is an error. It runs in an environment of its own: see `requirements.txt` beside it.
"""

import asyncio
import os
import pathlib
import socket
import sys
import threading

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import StringCodec
from mlserver.errors import MLServerError
from mlserver.types import InferenceResponse


class Echo(MLModel):
    async def predict(self, payload):
        prompt = self.decode(payload.inputs[0], default_codec=StringCodec)[0]
        asked = payload.parameters.model_dump(exclude_none=True) if payload.parameters else {}
        if asked.get("fail"):
            raise MLServerError("The model was asked to fail.", status_code=422)
        text = " ".join(prompt.split()[::-1][: asked.get("max_tokens")])
        if "stop" in asked:
            text = text.split(asked["stop"])[0]
        output = StringCodec.encode_output("text_output", [text])
        return InferenceResponse(model_name=self.name, outputs=[output])


def live_as_long_as_stdin():
    def watch():
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def main(port):
    settings = Settings(
        host="127.0.0.1",
        http_port=port or free_port(),
        grpc_port=free_port(),
        metrics_endpoint=None,
        parallel_workers=0,
        debug=False,
    )
    server = MLServer(settings)
    serving = asyncio.ensure_future(
        server.start([ModelSettings(name="echo", implementation="serve.Echo")])
    )
    while True:
        await asyncio.sleep(0.1)
        if serving.done():
            return await serving
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", settings.http_port)
        except OSError:
            continue
        writer.write(b"GET /v2/models/echo/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        head = await reader.readline()
        writer.close()
        if b" 200 " in head:
            break
    print(f"ready 127.0.0.1:{settings.http_port}", flush=True)
    await serving


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--lifeline"]
    if len(arguments) != 1:
        sys.exit("usage: serve.py PORT [--lifeline]")
    if "--lifeline" in sys.argv:
        live_as_long_as_stdin()
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    asyncio.run(main(int(arguments[0])))
