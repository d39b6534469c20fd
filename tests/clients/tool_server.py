"""A server that calls tools, in OpenAI's and in Anthropic's words, until standard input ends.

    tool_server.py PORT [--lifeline]

Prints `ready ADDRESS:PORT`. A request whose last message has no result of a tool is answered with two
calls at once, their arguments in pieces of three bytes, one every 20 ms; one with results is answered with
their texts. The model `loop` thinks first, says a word in front of its two calls, makes a third one when
it has their results, and tells all results when it has that one's.
"""

import http.server
import json
import sys
import time

import evidence

CALLS = [("call_a", "weather", {"city": "Köln"}), ("call_b", "clock", {"zone": "Europe/Berlin"})]
LAST_CALL = [("call_c", "train", {"from": "Köln", "at": {"hour": 9, "days": ["Mo", "Di"]}, "note": 'a "b"\n\\'})]
THOUGHT, SAID = "Two things at once…", "I will look."
PAUSE_S = 0.02


def pieces(arguments):
    text = json.dumps(arguments, ensure_ascii=False)
    return [text[at : at + 3] for at in range(0, len(text), 3)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        anthropic = self.path.startswith("/v1/messages")
        results = anthropic_results(body) if anthropic else openai_results(body)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in (anthropic_events if anthropic else openai_events)(body, results):
            data = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            time.sleep(PAUSE_S)
        self.wfile.write(b"0\r\n\r\n")


def openai_results(body):
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]


def anthropic_results(body):
    contents = [message["content"] for message in body["messages"]]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    results = [block["content"] for block in blocks if block["type"] == "tool_result"]
    return [one if isinstance(one, str) else "".join(part["text"] for part in one) for one in results]


def turn(body, results):
    """(what is thought, said, called) in the next turn"""
    loops = body["model"] == "loop"
    if not results:
        return (THOUGHT, [SAID], CALLS) if loops else (None, [], CALLS)
    if loops and len(results) == len(CALLS):
        return None, [], LAST_CALL
    return None, results, []


def openai_events(body, results):
    def chunk(delta, reason=None):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        whole = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        return f"data: {json.dumps(whole | {'choices': [choice]})}\n\n"

    thought, said, calls = turn(body, results)
    yield chunk({"role": "assistant", "content": None})
    if thought:
        yield chunk({"reasoning_content": thought})
    for text in said:
        yield chunk({"content": text})
    for index, (name, function, arguments) in enumerate(calls):
        call = {"index": index, "id": name, "type": "function"}
        yield chunk({"tool_calls": [call | {"function": {"name": function, "arguments": ""}}]})
        for piece in pieces(arguments):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, "tool_calls" if calls else "stop")
    yield "data: [DONE]\n\n"


def anthropic_events(body, results):
    def event(name, **more):
        return f"event: {name}\ndata: {json.dumps({'type': name} | more)}\n\n"

    message = {"id": "m1", "type": "message", "role": "assistant", "model": body["model"], "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    yield event("message_start", message=message)
    thought, said, calls = turn(body, results)
    blocks = []
    if thought:
        deltas = [{"type": "thinking_delta", "thinking": thought}, {"type": "signature_delta", "signature": "c2ln"}]
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if said:
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": text} for text in said]))
    for name, function, arguments in calls:
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(arguments)]
        blocks.append(({"type": "tool_use", "id": name, "name": function, "input": {}}, deltas))
    for index, (block, deltas) in enumerate(blocks):
        yield event("content_block_start", index=index, content_block=block)
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    reason = "tool_use" if calls else "end_turn"
    yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 9})
    yield event("message_stop")


def main(port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"ready 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if "--lifeline" in sys.argv:
        evidence.live_as_long_as_stdin()
    main(int(sys.argv[1]))
