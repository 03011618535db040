"""What no generator would guess: speech in files, ids of conversations that exist, words that were said."""

import itertools
import os
from pathlib import Path

import schemathesis

SPEECH = Path(os.environ["FLOE_API_SPEECH"]).read_bytes()
CONVERSATIONS = os.environ["FLOE_API_CONVERSATIONS"].split()

_calls = itertools.count()


def every_other():
    """Whether it is this one's turn. Counted, not drawn: the same run asks the same."""
    return next(_calls) % 2 == 0


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts real things where generated ones would all be refused alike."""
    path, method = case.operation.path, case.method.upper()
    if "{id}" in path and "conversations" in path and method == "GET" and every_other():
        case.path_parameters = {**(case.path_parameters or {}), "id": CONVERSATIONS[next(_calls) % len(CONVERSATIONS)]}
    if method == "POST" and path == "/api/v1/webhooks" and every_other():
        case.body = {"url": f"https://example.org/{next(_calls)}", "events": ["conversation.ended"]}
    if path == "/api/v1/search" and every_other() and isinstance(case.query, dict) and "q" in case.query:
        case.query = {**case.query, "q": "what ti"}
    if method == "POST" and path in ("/api/voice/process", "/v1/audio/transcriptions") and every_other():
        if isinstance(case.body, dict):
            case.body = {**case.body, "file": SPEECH}
        elif case.media_type in ("application/octet-stream", "audio/*"):
            case.body = SPEECH
