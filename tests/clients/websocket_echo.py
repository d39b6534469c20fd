"""WebSockets through the gateway: the `websockets` client here, its server there.

    websocket_echo.py GATEWAY_URL SERVER_PORT

GATEWAY_URL is ws://ADDRESS:PORT/PATH and leads to 127.0.0.1:SERVER_PORT, where this script runs
the server itself. Asserts: text, binary, fragments and a message far larger than any buffer come
back as sent; a ping is answered; messages the server pushes arrive at its pace; close codes pass
both ways; a client that is cut off is cut off for the server too, within a second.
"""

import asyncio
import os
import sys

import websockets
from websockets.asyncio.client import connect as connect_client
from websockets.asyncio.server import serve

import evidence

PUSHES = 60
INTERVAL_MS = 15
LARGE_BYTES = 8 << 20


class Server:
    """Echoes; `push` sends paced messages, `close` closes from this side. Keeps how each ended."""

    def __init__(self):
        self.ended = asyncio.Queue()

    async def handle(self, connection):
        try:
            async for message in connection:
                if message == "push":
                    await self.push(connection)
                elif message == "close":
                    await connection.close(4001, "server says so")
                else:
                    await connection.send(message)
        except websockets.ConnectionClosed:
            pass
        await self.ended.put((connection.close_code, connection.close_reason, evidence.now()))

    async def push(self, connection):
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for number in range(PUSHES):
            await asyncio.sleep(begin + number * INTERVAL_MS / 1000 - loop.time())
            await connection.send(str(evidence.now()))

    async def end(self):
        return await asyncio.wait_for(self.ended.get(), 5)


def connect(url, **settings):
    return connect_client(url, proxy=None, ping_interval=None, **settings)


def choose(_, offered):
    return "speech" if "speech" in offered else None


async def check_echo(connection):
    await connection.send("grüße 河")
    evidence.check(await connection.recv() == "grüße 河", "a text message did not come back as sent")
    everything = bytes(range(256))
    await connection.send(everything)
    evidence.check(await connection.recv() == everything, "a binary message did not come back as sent")
    await connection.send(["one ", "message ", "in ", "pieces"])
    evidence.check(await connection.recv() == "one message in pieces", "a fragmented message did not come back as sent")
    large = os.urandom(LARGE_BYTES)
    await connection.send(large)
    evidence.check(await connection.recv() == large, f"a message of {LARGE_BYTES} bytes did not come back as sent")
    many = [f"message {number}" for number in range(500)]
    for message in many:
        await connection.send(message)
    evidence.check([await connection.recv() for _ in many] == many, "500 messages did not come back in order")


async def check_ping(connection):
    times = sorted([await (await connection.ping()) for _ in range(50)])
    return {"ping_median_ms": round(times[25] * 1e3, 2), "ping_max_ms": round(times[-1] * 1e3, 2)}


async def check_push(connection):
    await connection.send("push")
    arrivals, delays = [], []
    for _ in range(PUSHES):
        sent = int(await connection.recv())
        arrivals.append(evidence.now())
        delays.append(arrivals[-1] - sent)
    return evidence.check_paced("pushed messages", arrivals, INTERVAL_MS) | evidence.check_prompt(
        "pushed messages", delays
    )


async def check_closes(url, server):
    async with connect(url) as connection:
        await connection.close(4000, "client says so")
    code, reason, _ = await server.end()
    evidence.check((code, reason) == (4000, "client says so"), f"the server saw the close as {code} {reason!r}")

    async with connect(url) as connection:
        await connection.send("close")
        try:
            await connection.recv()
            evidence.fail("a message came after the server closed")
        except websockets.ConnectionClosed as closed:
            received = closed.rcvd
    evidence.check(
        received is not None and (received.code, received.reason) == (4001, "server says so"),
        f"the client saw the close as {received}",
    )
    await server.end()


async def check_cut(url, server):
    """No close handshake: the socket is simply gone."""
    connection = await connect(url)
    await connection.send("hi")
    await connection.recv()
    begin = evidence.now()
    connection.transport.abort()
    code, _, at = await server.end()
    evidence.check(code == 1006, f"the server saw an end that was none as {code}")
    evidence.check_time(at - begin < 1e9, f"the server saw the cut after {evidence.milliseconds(at - begin)} ms")
    return {"cut_seen_after_ms": evidence.milliseconds(at - begin)}


async def check_compressed_and_subprotocol(url, server):
    async with connect(url, subprotocols=["other", "speech"]) as connection:
        evidence.check(connection.subprotocol == "speech", f"the subprotocol is {connection.subprotocol!r}")
        names = [extension.name for extension in connection.protocol.extensions]
        evidence.check("permessage-deflate" in names, f"compression was offered and not agreed: {names}")
    await server.end()


async def run(url, port):
    server = Server()
    async with serve(
        server.handle, "127.0.0.1", port, select_subprotocol=choose, max_size=2 * LARGE_BYTES, ping_interval=None
    ):
        async with connect(url, max_size=2 * LARGE_BYTES, compression=None) as connection:
            await check_echo(connection)
            ping = await check_ping(connection)
            push = await check_push(connection)
        code, _, _ = await server.end()
        evidence.check(code == 1000, f"the server saw a normal close as {code}")
        await check_compressed_and_subprotocol(url, server)
        await check_closes(url, server)
        cut = await check_cut(url, server)
    evidence.done(test="websocket_echo", websockets=websockets.__version__, **ping, push=push, **cut)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: websocket_echo.py ws://ADDRESS:PORT/PATH SERVER_PORT")
    evidence.run(lambda: asyncio.run(run(sys.argv[1], int(sys.argv[2]))), 60)
