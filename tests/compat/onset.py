"""How long after somebody begins to speak a client knows it, by the clock (row 85; its limit is a test of the suite, in the
audio's own time, which no busy machine can break)."""

import asyncio
import base64
import json
import time

import numpy
from websockets.asyncio.client import connect

import client
from client import KEY, PATIENCE_S, RATE, SENTENCES, URL, Recording, check, pcm, step

PIECE = RATE // 50  # 20 ms, in samples.
ROUNDS = 2
UPDATE = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {
    "turn_detection": {"type": "server_vad", "create_response": False}}}}}


async def onset(socket, noticed, sentence):
    """Speaks a sentence in real time: milliseconds from its voice's first sample until `speech_started` was there."""
    spoken = numpy.frombuffer(pcm(sentence), "<i2")
    samples = numpy.concatenate([numpy.zeros(RATE, "<i2"), spoken, numpy.zeros(RATE, "<i2")])
    first = int(numpy.argmax(abs(samples.astype(int)) * 100 >= abs(spoken.astype(int)).max()))
    noticed.clear()
    began = time.monotonic()
    for start in range(0, len(samples), PIECE):
        # A piece leaves when its last sample has been spoken.
        await asyncio.sleep(max(0, began + (start + PIECE) / RATE - time.monotonic()))
        audio = base64.b64encode(samples[start : start + PIECE].tobytes()).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
    check(len(noticed) == 1, f"{sentence}: speech began {len(noticed)} times")
    return (noticed[0] - began - first / RATE) * 1000


async def conversation():
    """All sentences, several times."""
    recording, noticed = Recording("onset"), []

    async def listen(socket):
        async for message in socket:
            recording.add(message)
            if json.loads(message)["type"] == "input_audio_buffer.speech_started":
                noticed.append(time.monotonic())

    url = f"{URL.replace('http', 'ws', 1)}/realtime?model=any"
    async with connect(url, additional_headers={"Authorization": f"Bearer {KEY}"}) as socket:
        listening = asyncio.create_task(listen(socket))
        await socket.send(json.dumps(UPDATE))
        took = sorted([await asyncio.wait_for(onset(socket, noticed, sentence), PATIENCE_S)
                       for sentence in SENTENCES for _ in range(ROUNDS)])
        listening.cancel()
    check(took[0] > 0, "speech began before anybody spoke")
    p95 = took[-(-len(took) * 95 // 100) - 1]
    step(f"voice to speech_started, {len(took)} times: half within {took[len(took) // 2]:.0f} ms, 95 of 100 within {p95:.0f} ms")


if __name__ == "__main__":
    client.main(conversation)
