"""Between a client that nobody can look into and the server: every message passes as it is and is looked at."""

import asyncio
import base64
import json

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

import client

LOUD = 300  # Of 32768: quieter is no voice in the sentences that are spoken here.


class Tap:
    """Listens on the loopback while its `async with` lasts, and connects each client on to the server."""

    def __init__(self, recording):
        self._recording, self._pcm = recording, bytearray()
        # What was appended between a clear (or the last commit) and each commit: 16-bit PCM at 24 kHz.
        self.turns = []

    async def __aenter__(self):
        self._server = await serve(self._pass_on, "127.0.0.1", 0, max_size=None, compression=None)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/realtime"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    def began_in_a_word(self):
        """Whether the client left out the beginning of its last turn: what it sent is loud from the first 10 ms on."""
        first = memoryview(self.turns[-1][: client.RATE * 2 // 100]).cast("h") if self.turns else ()
        return any(abs(sample) > LOUD for sample in first)

    async def _pass_on(self, caller):
        key = caller.request.headers["Authorization"]
        url = f"{client.URL.replace('http', 'ws', 1)}{caller.request.path.removeprefix('/v1')}"
        async with connect(url, additional_headers={"Authorization": key}, max_size=None, compression=None) as server:
            ways = (asyncio.create_task(self._up(caller, server)), asyncio.create_task(self._down(server, caller)))
            _, pending = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in pending:
                way.cancel()

    async def _up(self, caller, server):
        async for message in caller:
            event = json.loads(message)
            match event["type"]:
                case "input_audio_buffer.append":
                    self._pcm += base64.b64decode(event["audio"])
                case "input_audio_buffer.clear":
                    self._pcm.clear()
                case "input_audio_buffer.commit":
                    self.turns.append(bytes(self._pcm))
                    self._pcm.clear()
            await server.send(message)

    async def _down(self, server, caller):
        async for message in server:
            self._recording.add(message)
            await caller.send(message)
