"""No client library: the corners of the protocol that the others leave out, so that their events are recorded, too."""

import asyncio
import base64
import json

from websockets.asyncio.client import connect

import client
from client import Recording, check, check_words, pcm, step, words

MARKER = "raw"
URL = client.URL.replace("http", "ws", 1) + "/realtime"
HEADERS = {"Authorization": f"Bearer {client.KEY}"}


class Connection:
    """A connection that records what comes."""

    def __init__(self, socket, recording):
        self.socket, self.recording = socket, recording

    async def send(self, kind, **fields):
        """Sends an event."""
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def ask(self, kind, answer, **fields):
        """Sends an event, and waits for one of this type."""
        await self.send(kind, **fields)
        return await self.event(answer)

    async def event(self, kind):
        """The next event of a type; others pass by."""
        while True:
            frame = await asyncio.wait_for(self.socket.recv(), client.PATIENCE_S)
            self.recording.add(frame)
            event = json.loads(frame)
            if event["type"] == kind:
                return event
            check(event["type"] != "error", f"waited for {kind}, got {event}")

    async def append(self, audio):
        """Appends audio, faster than anybody speaks."""
        for start in range(0, len(audio), 9600):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(audio[start : start + 9600]).decode())


def message(role, text, **more):
    """A message item."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **more}


async def items(connection):
    """Create at every place, retrieve, truncate, delete; and what is refused."""
    for place, item in ((None, message("user", "two", id="item_two")), ("root", message("system", "one", id="item_one")),
                        ("item_two", message("assistant", "three", id="item_three"))):
        more = {} if place is None else {"previous_item_id": place}
        added = await connection.ask("conversation.item.create", "conversation.item.added", item=item, **more)
        check(added["item"]["id"] == item["id"], f"another id: {added}")
        await connection.event("conversation.item.done")
    await connection.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id="item_two")
    await connection.ask("conversation.item.delete", "conversation.item.deleted", item_id="item_three")
    for kind, code, fields in (
        ("conversation.item.retrieve", "item_retrieve_invalid_item_id", {"item_id": "nowhere"}),
        ("conversation.item.delete", None, {"item_id": "nowhere"}),
        ("conversation.item.truncate", None, {"item_id": "item_two", "content_index": 0, "audio_end_ms": 1}),
        ("conversation.item.create", None, {"item": message("user", "x"), "previous_item_id": "nowhere"}),
        ("response.cancel", "response_cancel_not_active", {}),
        ("no.such.event", "unknown_event_type", {}),
        ("session.update", None, {"session": {"type": "realtime", "audio": {"output": {"speed": 99}}}}),
    ):
        error = await connection.ask(kind, "error", event_id="mine", **fields)
        check(error["error"]["event_id"] == "mine", f"{kind}: {error}")
        check(code in (None, error["error"]["code"]), f"{kind}: {error}")
    step("items created at every place, retrieved, deleted; seven refusals that echo the event id")


async def responses(connection):
    """Beside the conversation, with metadata and other instructions; cut at its limit; cancelled; refused."""
    response = {"conversation": "none", "output_modalities": ["text"], "metadata": {"topic": "test"},
                "instructions": f"{MARKER}-aside", "input": [message("user", "beside")]}
    created = await connection.ask("response.create", "response.created", response=response)
    check(created["response"]["metadata"] == {"topic": "test"}, f"{created}")
    done = (await connection.event("response.done"))["response"]
    check(done["conversation_id"] is None and words(done["output"][0]["content"][0]["text"]) == "you said beside", f"{done}")
    told = client.asked(f"{MARKER}-aside")[-1]["messages"]
    check([one["content"] for one in told if one["role"] == "user"] == ["beside"], f"{told}")
    await connection.ask("conversation.item.create", "conversation.item.done", item=message("user", "tell me about family"))
    await connection.ask("response.create", "response.output_audio.delta")
    error = await connection.ask("response.create", "error", event_id="second")
    check(error["error"]["code"] == "conversation_already_has_active_response", f"{error}")
    check(error["error"]["event_id"] == "second", f"{error}")
    done = (await connection.ask("response.cancel", "response.done"))["response"]
    check((done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled"), f"{done}")
    item = done["output"][0]["id"]
    cut = await connection.ask("conversation.item.truncate", "conversation.item.truncated", item_id=item, content_index=0,
                               audio_end_ms=200)
    check(cut["audio_end_ms"] == 200, f"{cut}")
    await connection.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id=item)
    step("a response beside the conversation, a second one refused, one cancelled and truncated")
    aside = {"conversation": "none", "output_modalities": ["text"]}
    for question, more, status, reason in (("please break down", {}, "failed", None),
                                           ("tell me", {"max_output_tokens": 3}, "incomplete", "max_output_tokens")):
        response = aside | {"input": [message("user", question)]} | more
        done = (await connection.ask("response.create", "response.done", response=response))["response"]
        details = done["status_details"]
        check((done["status"], details.get("reason")) == (status, reason), f"{done}")
        check(status != "failed" or details["error"]["message"], f"{done}")
    step("a response that fails, one that is cut at its limit")


async def sessions(connection):
    """Settings: both kinds of turn detection and none, telephone formats, cleared again."""
    update = lambda **session: connection.ask(  # noqa: E731
        "session.update", "session.updated", session={"type": "realtime", **session})
    detections = ({"type": "semantic_vad", "eagerness": "low"}, {"type": "server_vad", "idle_timeout_ms": 5000}, None)
    for detection in detections:
        echoed = (await update(audio={"input": {"turn_detection": detection}}))["session"]["audio"]["input"]["turn_detection"]
        check(echoed == detection or detection.items() <= echoed.items(), f"{echoed}")
    await update(tracing="auto")
    await update(instructions=MARKER, tools=[], tool_choice="none", max_output_tokens=100,
                 audio={"input": {"noise_reduction": {"type": "near_field"}, "transcription": {"model": "whisper-1"}}})
    await connection.ask("input_audio_buffer.clear", "input_audio_buffer.cleared")
    await connection.append(pcm("time"))
    await connection.ask("input_audio_buffer.commit", "input_audio_buffer.committed")
    heard = await connection.event("conversation.item.input_audio_transcription.completed")
    check_words(heard["transcript"], "time")
    step("settings change and are echoed; a manual turn is transcribed")


async def conversation():
    """Everything in turn."""
    recording = Recording("raw_websocket")
    async with connect(f"{URL}?model=any-name-at-all", additional_headers=HEADERS, subprotocols=["realtime"]) as socket:
        check(socket.subprotocol == "realtime", "the subprotocol was not selected")
        connection = Connection(socket, recording)
        await connection.event("session.created")
        await sessions(connection)
        await items(connection)
        await responses(connection)
    async with connect(f"{URL}?intent=transcription", additional_headers=HEADERS) as socket:
        check(socket.subprotocol is None, "a subprotocol that nobody offered")
        connection = Connection(socket, recording)
        created = await connection.event("session.created")
        check(created["session"]["type"] == "transcription", f"{created}")
        await connection.ask("session.update", "session.updated", session={
            "type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1", "language": "en"}}}})
        await connection.append(pcm("date") + bytes(client.RATE * 2))
        heard = await connection.event("conversation.item.input_audio_transcription.completed")
        check_words(heard["transcript"], "date")
        check(heard["usage"]["type"] == "duration", f"{heard}")
    step("a transcription session")
    async with connect(f"{URL}?model=gpt-realtime", additional_headers=HEADERS) as socket:
        connection = Connection(socket, recording)
        await connection.ask("session.update", "session.updated", session={
            "type": "realtime", "instructions": MARKER, "output_modalities": ["text"],
            "audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}}})
        await connection.ask("conversation.item.create", "conversation.item.done", item=message("user", "hello"))
        await connection.ask("response.create", "response.done")
        timeout = await connection.event("input_audio_buffer.timeout_triggered")
        check(timeout["audio_end_ms"] >= timeout["audio_start_ms"] >= 0, f"{timeout}")
        await connection.event("response.done")
    step("silence after an answer times out, and is answered")


if __name__ == "__main__":
    client.main(conversation)
