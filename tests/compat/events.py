"""Every frame that the server sent to the clients, held against the types of those who parse them, and against the order in
which a conversation's events must come."""

import base64
import json
from typing import Annotated

import client
from agents.realtime.openai_realtime import get_server_event_type_adapter
from client import FOLDER, check, step
from openai.types.realtime import RealtimeServerEvent
from pipecat.services.openai.realtime.events import parse_server_event
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

SERVER_EVENT = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])
# Fields that OpenAI sends and documents, but its package's types leave out.
UNTYPED = {
    ("session.created", "session"): {"id", "object", "expires_at"},
    ("session.updated", "session"): {"id", "object", "expires_at"},
}
FRAME_BYTES_MAX = 900 * 1024  # Several clients take messages of 1 MiB at most.
AUDIO_MS_MAX = 200


def extras(model, path):
    """Keys that a parsed event holds without its type knowing them."""
    for key in model.model_extra or ():
        yield ".".join((*path, key))
    for key in type(model).model_fields:
        values = getattr(model, key)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, BaseModel):
                yield from extras(value, (*path, key))


def unknown(event):
    """Keys of an event that neither OpenAI's types nor its documentation name."""
    for path in extras(event, ()):
        *parents, key = path.split(".")
        if key not in UNTYPED.get((event.type, ".".join(parents)), ()):
            yield path


def complaints(frame):
    """What is wrong with one frame."""
    if len(frame) > FRAME_BYTES_MAX:
        yield f"{len(frame)} bytes"
    try:
        yield from (f"unknown to openai: {path}" for path in unknown(SERVER_EVENT.validate_json(frame, strict=True)))
    except ValidationError as error:
        yield f"openai: {error}"
    try:
        get_server_event_type_adapter().validate_python(json.loads(frame))
    except ValidationError as error:
        yield f"openai-agents: {error}"
    event = json.loads(frame)
    if event.get("session", {}).get("type") == "transcription":
        return  # pipecat has no such sessions.
    try:
        # It has no model for a few events, and passes them over; the timeout is one.
        if parse_server_event(frame) is None and event["type"] != "input_audio_buffer.timeout_triggered":
            yield "pipecat does not know this event"
    except Exception as error:  # pipecat raises just that.
        yield f"pipecat: {error}"


class Order:
    """One connection's events, in the order in which they came."""

    def __init__(self):
        self.ids, self.items, self.turns = set(), [], {}
        self.responses, self.done = {}, set()
        self.parts, self.texts = {}, {}
        self.rate = None

    def add(self, event):
        """Takes the next event."""
        kind = event["type"]
        check(event["event_id"] not in self.ids, "an event id came twice")
        check(self.ids or kind == "session.created", "session.created is not the first event")
        self.ids.add(event["event_id"])
        self._items(kind, event)
        if kind.startswith("input_audio_buffer."):
            self._turn(kind.removeprefix("input_audio_buffer."), event)
        if kind.startswith("session."):
            audio_format = event["session"]["audio"].get("output", {}).get("format", {})
            self.rate = audio_format.get("rate") if audio_format.get("type") == "audio/pcm" else None
        if kind.startswith("response."):
            self._response(kind.removeprefix("response."), event)

    def _items(self, kind, event):
        previous = event.get("previous_item_id")
        check(previous is None or previous in self.items, f"previous_item_id {previous} was never announced")
        if kind in ("conversation.item.added", "input_audio_buffer.committed"):
            self.items.append(event["item"]["id"] if "item" in event else event["item_id"])
        elif kind.startswith("conversation.item."):
            item = event["item"]["id"] if "item" in event else event["item_id"]
            check(item in self.items, f"item {item} was never announced")

    def _turn(self, kind, event):
        stages = ("speech_started", "speech_stopped", "committed")
        if kind not in stages:
            return
        before = self.turns.get(event["item_id"])
        check(before is None or stages.index(kind) > stages.index(before), f"{kind} of an item after {before}")
        check(kind != "speech_stopped" or before, "speech_stopped without speech_started")
        self.turns[event["item_id"]] = kind

    def _response(self, kind, event):
        if kind == "created":
            response = event["response"]
            check(response["status"] == "in_progress" and response["output"] == [], "response.created is not a beginning")
            active = [one for one in self.responses.values() if one["conversation"] and one["id"] not in self.done]
            check(not active or not response["conversation_id"], "two responses at a time in one conversation")
            self.responses[response["id"]] = {"id": response["id"], "conversation": response["conversation_id"], "items": []}
            return
        name = event["response"]["id"] if kind == "done" else event["response_id"]
        check(name in self.responses, "an event of a response that was not created")
        check(name not in self.done, "an event of a response that is done")
        items = self.responses[name]["items"]
        if kind == "done":
            self.done.add(name)
            self._done(event["response"], items)
        elif kind == "output_item.added":
            check(event["output_index"] == len(items), "output_index is not the next")
            check(event["item"]["status"] == "in_progress", "an item begins finished")
            items.append(event["item"]["id"])
        elif kind == "output_item.done":
            check(event["item"]["id"] == items[event["output_index"]], "another item ended")
        else:
            check(event["item_id"] == items[event["output_index"]], "an event of an item that was not added")
            self._content(kind, event)

    def _content(self, kind, event):
        stream, _, stage = kind.rpartition(".")
        key = (event["item_id"], stream)
        if stream == "content_part":
            check(stage != "added" or key not in self.parts, "a content part began twice")
            check(self.parts.get(key) != "done", "a content part after its end")
            self.parts[key] = stage
            return
        if stream != "function_call_arguments":
            check(self.parts.get((event["item_id"], "content_part")) == "added", f"{kind} outside of its content part")
        if stage == "delta":
            self.texts[key] = self.texts.get(key, "") + (event["delta"] if stream != "output_audio" else "")
            if stream == "output_audio":
                self._audio(base64.b64decode(event["delta"], validate=True))
        elif stream != "output_audio":
            whole = event.get("transcript", event.get("text", event.get("arguments")))
            check(self.texts.get(key, "") == whole, f"the deltas {self.texts.get(key)!r} are not {whole!r}")

    def _audio(self, sound):
        if self.rate:
            check(len(sound) % 2 == 0, "half a sample")
            check(len(sound) <= self.rate * 2 * AUDIO_MS_MAX // 1000, f"a delta of {len(sound)} bytes")

    def _done(self, response, items):
        check([item["id"] for item in response["output"]] == items, "response.done has other items than were announced")
        usage, status = response["usage"], response["status"]
        check(usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], f"usage {usage}")
        numbers = [usage["input_token_details"][key] for key in ("text_tokens", "audio_tokens", "cached_tokens")]
        numbers += [usage["output_token_details"][key] for key in ("text_tokens", "audio_tokens")]
        check(all(isinstance(number, int) for number in numbers), f"usage {usage}")
        check(status in ("completed", "cancelled", "failed", "incomplete"), f"status {status}")
        check(status == "completed" or response["status_details"]["type"] == status, f"{response['status_details']}")


async def validation():
    """All recordings."""
    bad, kinds, frames, sessions = 0, set(), 0, 0
    for path in sorted((FOLDER / "events").glob("*.jsonl")):
        order = Order()
        for number, frame in enumerate(path.read_text().splitlines(), 1):
            event = json.loads(frame)
            frames, sessions = frames + 1, sessions + (event["type"] == "session.created")
            kinds.add(event["type"])
            if event["type"] == "session.created":
                order = Order()
            found = list(complaints(frame))
            try:
                order.add(event)
            except client.Failed as failed:
                found.append(f"order: {failed}")
            for complaint in found:
                bad += 1
                if bad <= 20:
                    step(f"{path.name}:{number}: {complaint}\n    {frame[:600]}")
    step(f"{frames} frames of {len(kinds)} types in {sessions} sessions: {', '.join(sorted(kinds))}")
    check(frames and bad == 0, f"{bad} complaints")


if __name__ == "__main__":
    client.main(validation)
