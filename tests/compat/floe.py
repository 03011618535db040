"""A running Floe: the real binary with its bundled model and voice, on a free port of the loopback."""

import os
import re
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTENS = re.compile(r"Floe listens on (https?://[^\s\x1b]+)")
START_S, STOP_S = 60, 40


class Floe:
    """The server; ends with its `with`. Without `llm`, the address of a language model, its own agent answers."""

    def __init__(self, binary, log, llm, key, flags=()):
        self.log = Path(log)
        self.certificate = self.log.with_suffix(".pem")
        settings = {
            "server.listen": "127.0.0.1:0",
            "server.tls_self_signed_cert": str(self.certificate),
            # One server at a time works in a directory.
            "store.dir": str(self.log.with_suffix(".data")),
            "stt.model": str(ROOT / "models" / "floe-demo.en.bin"),
        }
        if llm:
            settings |= {"agent.engine": "openai", "agent.openai.remote.base_url": f"{llm}/v1", "agent.openai.model": "fake"}
        else:
            settings["agent.engine"] = "offline"
        command = [binary, "serve", *flags]
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        # The key not as an argument: those everybody on the machine can read.
        environment = os.environ | {"FLOE_SERVER_KEYS": key}
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                         stdout=self.log.open("w"), stderr=subprocess.STDOUT)
        self.url = self._wait()

    def _wait(self):
        """Its address, once it says that it is ready."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            found = LISTENS.search(self.log.read_text())
            if found:
                return found[1]
            time.sleep(0.05)
        self._process.kill()
        raise SystemExit(f"Floe did not start:\n{self.log.read_text()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self.status = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.status = None

    def ready(self):
        """Waits until it takes conversations: the model is loaded."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                # Its certificate is written a moment after it says where it listens.
                is_secure = self.url.startswith("https")
                context = ssl.create_default_context(cafile=str(self.certificate)) if is_secure else None
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5, context=context):
                    return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise SystemExit(f"Floe is not ready: {error}\n{self.log.read_text()}") from error
            time.sleep(0.1)
