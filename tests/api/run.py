"""Asks a running Floe whatever its own document allows, and more. See README.md."""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "compat"))

from floe import ROOT, Floe  # noqa: E402 (the path comes first)

AUDIO = ROOT / "tests" / "fixtures" / "audio"
RECORDINGS = ("17-slt.wav", "00-en-us.wav", "12-en-us-f2.wav")
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance", "unsupported_method")


def seed(url, key):
    """Ids of conversations that were held for this."""
    found = []
    for name in RECORDINGS:
        request = urllib.request.Request(f"{url}/api/voice/process", (AUDIO / name).read_bytes(),
                                         {"authorization": f"Bearer {key}", "content-type": "audio/wav"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            told = json.load(answer)
        if not (told["stored"] and told["turns"] and told["turns"][0]["reply"]["status"] == "completed"):
            raise SystemExit(f"{name}: {told}")
        found.append(told["conversation"])
    return found


def turns_heard(url):
    """How many utterances with words the server has heard so far."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith('voice_turns_total{outcome="words"}'))


def main():
    """Everything; exit status 0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--floe", required=True, help="the binary")
    parser.add_argument("--folder", type=Path, default=ROOT / "target" / "api", help="where to put logs and the report")
    parser.add_argument("--seconds", type=int, default=60, help="how long to ask")
    parser.add_argument("--examples", type=int, default=25, help="generated requests per route and kind at most")
    args = parser.parse_args()
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    key = f"api_{secrets.token_hex(12)}"
    with tempfile.TemporaryDirectory() as kept:
        # Here the recogniser is asked more than anybody could say.
        flags = ["--set", f"store.dir={kept}", "--set", "server.wait_max_ms=0"]
        with Floe(args.floe, folder / "floe.log", None, key, flags) as server:
            server.ready()
            environment = os.environ | {
                "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1",
                "FLOE_API_CONVERSATIONS": " ".join(seed(server.url, key)), "FLOE_API_SPEECH": str(AUDIO / RECORDINGS[0]),
            }
            command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{server.url}/openapi.json",
                       "--header", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS),
                       "--max-examples", str(args.examples), "--max-time", str(args.seconds), "--generation-deterministic",
                       "--request-timeout", "30", "--continue-on-failure", "--no-shrink", "--warnings", "off", "--no-color"]
            report = folder / "report.txt"
            with report.open("w") as out:
                asked = subprocess.run(command, env=environment, cwd=folder, stdout=out, stderr=subprocess.STDOUT,
                                       timeout=args.seconds + 120, check=False)
            heard = turns_heard(server.url) - len(RECORDINGS)
    lines = report.read_text().splitlines()
    if asked.returncode:
        print("\n".join(line[:400] for line in lines))
    else:
        print("requests:", next((line.strip() for line in lines if "generated" in line), "no summary"))
    print(f"utterances heard in uploads: {heard}")
    if heard < 1:
        print("FAILED no upload was a recording: is hooks.py still called?")
    log = (folder / "floe.log").read_text()
    leaks = [what for what in (key, "panicked") if what in log]
    for what in leaks:
        print(f"FAILED {folder / 'floe.log'} contains {what!r}")
    if server.status != 0:
        print(f"FAILED the server ended with status {server.status}")
    passed = asked.returncode == 0 and heard > 0 and not leaks and server.status == 0
    print("api: nothing undocumented, no 5xx" if passed else "api: FAILED")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
