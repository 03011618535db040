#!/usr/bin/env python3
"""Speaks a recording into a conversation with Floe, shows what is said, and writes the answer as a WAV file.

    python talk.py ws://localhost:8080 question.wav answer.wav      # FLOE_KEY=... where the server wants a key

A whole client in one page, to begin your own from; `pip install websockets`. The recording: WAV, mono, 16 bits, of a sample
rate that Floe takes (16000 is good). docs/protocol.md is the reference."""

import asyncio
import json
import os
import struct
import sys
import wave

from websockets.asyncio.client import connect

FRAME_MS = 20
OUTPUT_RATE = 24_000
HEADER = struct.Struct(">BBHII")  # kind, flags, stream, sequence, timestamp: big-endian
UP, DOWN = 1, 2
FIRST, LAST = 0x01, 0x02


async def converse(url, question, rate, show=print):
    """Says `question` (16-bit PCM); gives what was heard of it, what was answered, and the answer's speech (16-bit PCM)."""
    key = os.environ.get("FLOE_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with connect(f"{url}/v1/stream", subprotocols=["floe.v1"], additional_headers=headers) as socket:
        await socket.send(json.dumps({
            "type": "hello",
            "client": {"name": "talk.py", "version": "1", "platform": "python"},
            "input": {"formats": [{"codec": "pcm_s16le", "rate": rate, "frame_ms": FRAME_MS}]},
            "output": {"formats": [{"codec": "pcm_s16le", "rate": OUTPUT_RATE}]},
            "features": ["playback", "partials"],
        }))
        ready = json.loads(await socket.recv())
        if ready["type"] != "ready":
            raise RuntimeError(f"the server says: {ready.get('message', ready)}")
        # The microphone never pauses: silence is what ends a turn.
        speaking = asyncio.create_task(speak(socket, question, rate))
        try:
            return await listen(socket, show)
        finally:
            speaking.cancel()
            await socket.send(json.dumps({"type": "bye"}))


async def speak(socket, pcm, rate):
    """Sends the recording in real time, then silence for as long as it is wanted."""
    samples = rate * FRAME_MS // 1000
    size, sequence, began = 2 * samples, 0, asyncio.get_running_loop().time()
    while True:
        audio = pcm[sequence * size : (sequence + 1) * size].ljust(size, b"\0")
        await socket.send(HEADER.pack(UP, FIRST if sequence == 0 else 0, 0, sequence, sequence * samples) + audio)
        sequence += 1
        # By the clock, not by sleeping 20 ms each time: that would fall behind.
        await asyncio.sleep(max(0, began + sequence * FRAME_MS / 1000 - asyncio.get_running_loop().time()))


async def listen(socket, show):
    """Takes what comes until the answer is complete."""
    heard, speech = "", bytearray()
    async for message in socket:
        if isinstance(message, bytes):
            kind, flags, reply, _, _ = HEADER.unpack_from(message)
            if kind != DOWN:
                continue  # of a later version: not for us
            speech += message[HEADER.size :]
            # This loudspeaker is a file: what has come has been played. The server sends as far ahead as it is told.
            state = "drained" if flags & LAST else "playing"
            played_ms = len(speech) * 1000 // (2 * OUTPUT_RATE)
            report = {"type": "playback", "reply": reply, "played_ms": played_ms, "buffered_ms": 0, "state": state}
            if flags & (FIRST | LAST) or played_ms % 240 == 0:  # not for every frame: 12 messages a second are too many
                await socket.send(json.dumps(report))
            continue
        event = json.loads(message)
        match event["type"]:
            case "transcript.partial":
                show(f"  … {event['stable']}{event['unstable']}")
            case "transcript.final":
                heard = event["text"]
                show(f"you: {heard}")
            case "reply.interrupted":
                speech.clear()  # talked over: what was not heard is not to be played
            case "reply.done":
                show(f"floe: {event['text']}  ({event['status']}, {event.get('latency_ms', {})})")
                return heard, event["text"], bytes(speech)
            case "error" if event["fatal"]:
                raise RuntimeError(event["message"])
            case _:
                pass  # unknown types are ignored
    raise RuntimeError("the server hung up")


def main():
    """The command line."""
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    url, question, answer = sys.argv[1:]
    with wave.open(question) as wav:
        if (wav.getnchannels(), wav.getsampwidth()) != (1, 2):
            sys.exit(f"{question}: only mono with 16 bits")
        rate, pcm = wav.getframerate(), wav.readframes(wav.getnframes())
    _, _, speech = asyncio.run(converse(url, pcm, rate))
    with wave.open(answer, "wb") as wav:
        wav.setparams((1, 2, OUTPUT_RATE, 0, "NONE", None))
        wav.writeframes(speech)


if __name__ == "__main__":
    main()
