"""The client of docs/clients.md, `tests/clients/talk.py`, as its reader would run it: a recording in, words and speech out."""

import os
import subprocess
import sys
import wave
from pathlib import Path

from client import FOLDER, SENTENCES, URL, check, check_words, step, words

TALK = Path(__file__).resolve().parents[1] / "clients" / "talk.py"
SENTENCE = "time"


def main():
    """One question, one answer."""
    answer = FOLDER / "audio" / "native.answer.wav"
    server = URL.removesuffix("/v1").replace("http", "ws", 1)
    command = [sys.executable, str(TALK), server, SENTENCES[SENTENCE]["wav"], str(answer)]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, f"it failed: {done.stderr}")
    lines = done.stdout.splitlines()
    heard = next(line.removeprefix("you: ") for line in lines if line.startswith("you: "))
    check_words(heard, SENTENCE)
    said = next(line for line in lines if line.startswith("floe: "))
    check("completed" in said, said)
    with wave.open(str(answer)) as wav:
        seconds = wav.getnframes() / wav.getframerate()
    check(seconds > 0.4, f"only {seconds} s of speech")
    step(f"a recording in, its words back, and {seconds:.1f} s of speech: '{words(said)[:60]}'")


main()
