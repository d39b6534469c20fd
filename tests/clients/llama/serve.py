"""Runs llama.cpp's own HTTP server on a model until killed, or until standard input ends.

    serve.py PORT MODEL.gguf [--tools] [--lifeline]

Prints `ready ADDRESS:PORT` when it answers. Four slots of 4,096 tokens, one thread; `/slots`
shows which of them are at work, and `/metrics` how long they took. With `--tools` tools, calls and results stand in the prompt, as
tools.jinja has it; the model's own template leaves them out.
"""

import pathlib
import sys
import time

import xllamacpp

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import evidence


def main(port, model, tools):
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.model_alias = {"tiny"}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = 4
    parameters.n_ctx = 4 * 4096
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.endpoint_slots = True
    parameters.endpoint_metrics = True
    parameters.ui = False
    if tools:
        parameters.use_jinja = True
        parameters.chat_template = pathlib.Path(__file__).with_name("tools.jinja").read_text()
    server = xllamacpp.Server(parameters)
    print("ready", server.listening_address.removeprefix("http://"), flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    if len(arguments) != 2:
        sys.exit("usage: serve.py PORT MODEL.gguf [--tools] [--lifeline]")
    if "--lifeline" in sys.argv:
        evidence.live_as_long_as_stdin()
    main(int(arguments[0]), arguments[1], "--tools" in sys.argv)
