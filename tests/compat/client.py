"""What the Python clients share: where things are, a microphone that talks in real time, and words to compare."""

import asyncio
import inspect
import json
import os
import re
import sys
import time
import traceback
import urllib.parse
import urllib.request
from pathlib import Path

URL = os.environ["FLOE_URL"]  # Base URL up to and including /v1, as an application would configure it.
KEY = os.environ["FLOE_KEY"]
LLM = os.environ["FLOE_LLM"]
FOLDER = Path(os.environ["FLOE_COMPAT"])
SENTENCES = json.loads((FOLDER / "audio" / "sentences.json").read_text())

RATE = 24_000
CHUNK_MS = 40
PATIENCE_S = 20  # Longest wait for anything: generous, as the machine may be busy.
SPEECH_BYTES_MIN = RATE // 2  # A quarter of a second: no answer here is shorter.


class Failed(Exception):
    """The server did not do what the client needs."""


def step(text):
    """Tells what was just seen to work."""
    print(f"  {text}", flush=True)


def check(condition, text):
    """Fails the run unless the condition holds."""
    if not condition:
        raise Failed(text)


def words(text):
    """A text as a listener hears it: lower case, no punctuation."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def check_words(heard, sentence):
    """Fails the run unless the sentence was transcribed right."""
    check(words(heard) == SENTENCES[sentence]["text"], f"heard {heard!r} instead of {SENTENCES[sentence]['text']!r}")


def pcm(sentence, rate=RATE):
    """A spoken sentence: 16-bit PCM at 24 or 16 kHz."""
    return (FOLDER / "audio" / f"{sentence}.{rate}.pcm").read_bytes()


async def until(condition, what, patience_s=PATIENCE_S):
    """Waits for a condition, and gives back what it was when it first held."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"waited {patience_s} s in vain for {what}")
        await asyncio.sleep(0.02)
    return value


def asked(marker):
    """The requests that the language model was sent with this marker in their instructions."""
    query = urllib.parse.urlencode({"marker": marker})
    with urllib.request.urlopen(f"{LLM}/asked?{query}", timeout=10) as reply:
        return json.load(reply)


def check_heard(marker, earlier="part one"):
    """After an interruption: the model is told the words that were heard, and no others."""
    messages = asked(marker)[-1]["messages"]
    told = [message["content"] for message in messages if message["role"] == "assistant" and message.get("content")]
    story = [text for text in told if "This is" in text]
    check(len(story) == 1, f"the interrupted story is not in the prompt once: {told}")
    check(earlier in story[0], f"the heard words are missing: {story[0]!r}")
    check("part fifteen" not in story[0], f"words that nobody heard are in the prompt: {story[0]!r}")
    return story[0]


class Recording:
    """The frames that the server sent, one a line, for `events.py`."""

    def __init__(self, name):
        self._file = (FOLDER / "events" / f"{name}.jsonl").open("w")

    def add(self, frame):
        """Keeps a frame: text, bytes or parsed."""
        if isinstance(frame, bytes):
            frame = frame.decode()
        self._file.write((frame if isinstance(frame, str) else json.dumps(frame)) + "\n")
        self._file.flush()


class Microphone:
    """A microphone that is always on: silence, and now and then a sentence, in real time."""

    def __init__(self, send, rate=RATE):
        self._send, self._rate = send, rate
        self._bytes = rate * 2 * CHUNK_MS // 1000
        self._pending, self._spoken = b"", asyncio.Event()
        self._spoken.set()

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.wait([self._task])

    async def say(self, sentence):
        """Speaks, and returns when the last word is out."""
        self._pending = pcm(sentence, self._rate)
        self._spoken.clear()
        waiting = asyncio.create_task(self._spoken.wait())
        await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
        if self._task.done():
            self._task.result()
        check(waiting.done(), "the microphone is stuck: the client takes no audio")

    async def _run(self):
        due = time.monotonic()
        while True:
            chunk, self._pending = self._pending[: self._bytes], self._pending[self._bytes :]
            sent = self._send(chunk.ljust(self._bytes, b"\0"))
            if inspect.isawaitable(sent):
                await sent
            if not self._pending:
                self._spoken.set()
            due += CHUNK_MS / 1000
            await asyncio.sleep(max(0, due - time.monotonic()))


def main(conversation, limit_s=150):
    """Runs a client's conversation: exit status 0 if all of it went well."""

    async def limited():
        await asyncio.wait_for(conversation(), limit_s)

    try:
        asyncio.run(limited())
    except Failed as failed:
        print(f"  FAILED: {failed}", flush=True)
        sys.exit(1)
    except BaseException:
        print("  FAILED:", flush=True)
        traceback.print_exc(file=sys.stdout)
        sys.exit(1)
