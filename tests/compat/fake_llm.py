"""The one stand-in here: a paid language model. OpenAI's streaming chat completions over a real socket, its answers scripted
by what was asked last, and its requests kept for the tests to look at."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

# Said when asked to tell something: long enough to be interrupted, and numbered, so that a test can tell how much of it the
# server believes was heard.
STORY = [f"This is part {number}." for number in (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty")]
# A question with this is answered with an error of the server.
BREAK_DOWN = "break down"
# Under these instructions the story is still being written when it is interrupted; otherwise it is long done by then.
SLOWLY = "slowly"
ANSWERS = {
    "time": "It is ten.",
    "date": "Today is sunday.",
    "thank": "You are welcome.",
    "tokyo": "It is very far.",
}


def answer(messages, tools):
    """What the model says: a tool's name with its arguments, or sentences with the pause before each, in seconds."""
    offered = {tool["function"]["name"]: tool["function"] for tool in tools}
    last = messages[-1]
    if last["role"] == "tool":
        try:
            return None, [(0, f"The weather is {json.loads(last['content'])['sky']}.")]
        except (ValueError, KeyError, TypeError):
            return None, [(0, "You are with the expert now.")]
    text = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "").lower()
    handoff = next((name for name in offered if name.startswith("transfer_to")), None)
    if "weather" in text and "get_weather" in offered:
        return ("get_weather", {"city": "boston"}), []
    if "tokyo" in text and handoff:
        return (handoff, {}), []
    if "tell me" in text:
        slowly = any(message["role"] == "system" and SLOWLY in message["content"] for message in messages)
        return None, [(0.3 if slowly and index else 0, sentence) for index, sentence in enumerate(STORY)]
    for word, words in ANSWERS.items():
        if word in text:
            return None, [(0, words)]
    return None, [(0, f"You said {text.strip(' .?!')}.")]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "FakeLlm"

    def do_POST(self):
        """A completion, as a stream of events."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/chat/completions" or not request.get("stream"):
            return self._json(404, {"error": {"message": "only streamed chat completions", "type": "test"}})
        with self.server.lock:
            self.server.asked.append(request)
        last = request["messages"][-1]
        if last["role"] == "user" and BREAK_DOWN in last["content"]:
            return self._json(500, {"error": {"message": "broken down", "type": "server_error", "code": None}})
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            limit = request.get("max_tokens") or request.get("max_completion_tokens")
            self._stream(*answer(request["messages"], request.get("tools") or []), limit)
        except (BrokenPipeError, ConnectionResetError):
            pass  # Interrupted: the server drops the request.

    def do_GET(self):
        """The requests so far whose messages contain the marker."""
        marker = parse_qs(urlparse(self.path).query).get("marker", [""])[0]
        with self.server.lock:
            found = [one for one in self.server.asked if marker in json.dumps(one["messages"])]
        self._json(200, found)

    def log_message(self, *_):
        """Quiet: what was asked is looked at through `do_GET`."""

    def _stream(self, tool, sentences, tokens_max):
        if tool:
            name, arguments = tool
            call = {"index": 0, "id": f"call_{time.monotonic_ns() % 10**12}", "type": "function"}
            self._event({"tool_calls": [call | {"function": {"name": name, "arguments": ""}}]})
            text = json.dumps(arguments)
            for piece in (text[:3], text[3:]):
                self._event({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        finish, tokens = "tool_calls" if tool else "stop", 0
        for pause, sentence in sentences:
            time.sleep(pause)
            for word in sentence.split():
                if tokens == tokens_max:
                    finish = "length"
                    break
                self._event({"content": f"{word} "})
                tokens += 1
        self._event({}, finish=finish)
        self._send({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, delta, finish=None):
        self._send({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "fake",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def _send(self, event):
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    def _json(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class FakeLlm(ThreadingHTTPServer):
    """The server, on a free port; ends with its `with`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.lock = [], threading.Lock()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def url(self):
        """Its base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"
