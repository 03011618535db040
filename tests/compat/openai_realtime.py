"""Python `openai`: the text example of its README, push-to-talk as in its example, and a whole spoken conversation."""

import asyncio
import base64
import io
import wave

from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent

import client
from client import Failed, Microphone, Recording, check, check_words, pcm, step, until, words

MARKER = "python-openai"
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Listener:
    """Reads a connection and keeps what an application would: transcripts, answers, their audio."""

    def __init__(self, connection, recording):
        self.connection, self.recording = connection, recording
        self.events: list[RealtimeServerEvent] = []
        self.heard: list[str] = []
        self.audio: dict[str, bytes] = {}
        self.on_call = self.on_speech = None

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.wait([self._task])

    def of(self, kind):
        """All events of a type so far."""
        return [event for event in self.events if event.type == kind]

    async def event(self, kind, count=1):
        """Waits for the type's event of this number, and gives it back."""
        await until(lambda: len(self.of(kind)) >= count or self._task.done(), f"{count} × {kind}")
        check(len(self.of(kind)) >= count, f"the connection ended before {kind}: {self._task}")
        return self.of(kind)[count - 1]

    async def _run(self):
        while True:
            frame = await self.connection.recv_bytes()
            self.recording.add(frame)
            event = self.connection.parse_event(frame)
            self.events.append(event)
            match event.type:
                case "conversation.item.input_audio_transcription.completed":
                    self.heard.append(event.transcript)
                case "response.output_audio.delta":
                    so_far = self.audio.get(event.item_id, b"")
                    self.audio[event.item_id] = so_far + base64.b64decode(event.delta)
                case "response.function_call_arguments.done" if self.on_call:
                    await self.on_call(event)
                case "input_audio_buffer.speech_started" if self.on_speech:
                    await self.on_speech()


def said(response):
    """The words of a response, by its items."""
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    return " ".join(part.transcript or part.text for part in parts)


async def text_example(openai, recording):
    """The README's example: a text session, one question, read event by event."""
    async with openai.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"],
                                                 "instructions": MARKER})
        await connection.conversation.item.create(item={
            "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello!"}]})
        await connection.response.create()
        deltas, done = "", None
        async for event in connection:
            recording.add(event.to_json(indent=None))
            if event.type == "error":
                raise Failed(f"error: {event.error.message}")
            if event.type == "response.output_text.delta":
                deltas += event.delta
            elif event.type == "response.output_text.done":
                done = event.text
            elif event.type == "response.done":
                break
        check(done and deltas == done, f"the deltas {deltas!r} are not the text {done!r}")
        check(words(done) == "you said say hello", f"unexpected answer {done!r}")
        usage = event.response.usage
        check(usage.total_tokens == usage.input_tokens + usage.output_tokens > 0, f"usage {usage}")
    step("text example: session.update before reading, deltas, done, usage")


async def push_to_talk(openai, recording):
    """The push-to-talk example: no turn detection; the client cancels, commits, and asks for the answer."""
    async with openai.realtime.connect(model="gpt-realtime") as connection, Listener(connection, recording) as listener:
        created = await listener.event("session.created")
        check(created.session.id, "session.created without id")
        await connection.session.update(session={
            "type": "realtime", "instructions": MARKER,
            "audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}})
        await connection.send({"type": "response.cancel"})
        error = await listener.event("error")
        check(error.error.code == "response_cancel_not_active", f"error {error.error}")
        audio = pcm("time")
        for start in range(0, len(audio), 4800):
            await connection.input_audio_buffer.append(audio=base64.b64encode(audio[start : start + 4800]).decode())
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        done = await listener.event("response.done")
        check(words(said(done.response)) == "it is ten", f"unexpected answer {said(done.response)!r}")
        await until(lambda: listener.heard, "the transcript")
        check_words(listener.heard[0], "time")
        check(not listener.of("input_audio_buffer.speech_started"), "speech_started without turn detection")
        item = await last_item(listener)
        audio = listener.audio[item]
    step("push-to-talk: stray cancel is harmless; commit, transcript, spoken answer")
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, client.RATE, 0, "NONE", ""))
        wav.writeframes(audio)
    back = await openai.audio.transcriptions.create(model="whisper-1", file=("answer.wav", file.getvalue()))
    check("is ten" in words(back.text), f"the answer's audio was understood as {back.text!r}")
    step(f"the answer's audio, sent back to be transcribed: {back.text!r}")


async def last_item(listener):
    """The id of the last spoken item."""
    return list(listener.audio)[-1]


async def conversation(openai, recording):
    """Speaks, uses a tool, interrupts, goes on; authorised by an ephemeral key that carries the session."""
    marker = f"{MARKER}-talk"
    secret = await openai.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "realtime", "model": "gpt-realtime", "instructions": f"{marker} slowly", "tools": [TOOL],
                 "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"},
                                     "turn_detection": {"type": "server_vad", "silence_duration_ms": 400}}}})
    check(secret.value.startswith("ek_"), f"the secret is not an ephemeral key: {secret.value[:4]}…")
    visitor = AsyncOpenAI(base_url=client.URL, api_key=secret.value)
    async with visitor.realtime.connect(model="gpt-realtime") as connection, Listener(connection, recording) as listener:
        created = await listener.event("session.created")
        check(created.session.instructions == f"{marker} slowly", "the secret's session is not in force")
        step("connected with an ephemeral key that carries the session")

        async def use_tool(event):
            check(event.name == "get_weather" and event.arguments == '{"city": "boston"}', f"call {event}")
            await connection.conversation.item.create(item={
                "type": "function_call_output", "call_id": event.call_id, "output": '{"sky": "sunny"}'})
            await listener_done(listener, event.response_id)
            await connection.response.create()

        async def in_background(event):
            calls.append(asyncio.create_task(use_tool(event)))

        calls: list[asyncio.Task] = []
        listener.on_call = in_background
        async with Microphone(lambda chunk: connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())
                              ) as microphone:
            await microphone.say("weather")
            done = await listener.event("response.done", 2)
            await asyncio.gather(*calls)
            check_words(listener.heard[0], "weather")
            check(len(calls) == 1, f"{len(calls)} calls")
            check(words(said(done.response)) == "the weather is sunny", f"unexpected answer {said(done.response)!r}")
            check(len(listener.audio[await last_item(listener)]) > client.SPEECH_BYTES_MIN, "no speech")
            step("spoke, was transcribed, tool called and its result spoken")

            await interrupt(connection, listener, microphone)
            done = await listener.event("response.done", 4)
            check(words(said(done.response)) == "you are welcome", f"unexpected answer {said(done.response)!r}")
            heard = client.check_heard(marker)
            step(f"interrupted while it was speaking; the model is told {heard!r}")

            listener.on_speech = None
            await microphone.say("date")
            done = await listener.event("response.done", 5)
            check(words(said(done.response)) == "today is sunday", f"unexpected answer {said(done.response)!r}")
            check_words(listener.heard[-1], "date")
            step("went on")
        check(not listener.of("error"), f"errors: {listener.of('error')}")


async def listener_done(listener, response_id):
    """Waits until a response has ended."""
    await until(lambda: any(event.response.id == response_id for event in listener.of("response.done")), "response.done")


async def interrupt(connection, listener, microphone):
    """Lets a story play for a while, then talks over it; truncates what was not played, as an application does."""
    before = len(listener.of("response.output_audio.delta"))
    await microphone.say("family")
    await until(lambda: len(listener.of("response.output_audio.delta")) > before, "the story")
    item = await last_item(listener)
    playing_since = asyncio.get_running_loop().time()

    async def stop_playing():
        played_ms = int((asyncio.get_running_loop().time() - playing_since) * 1000)
        await connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=played_ms)

    listener.on_speech = stop_playing
    await asyncio.sleep(2.5)
    await microphone.say("thanks")
    done = await listener.event("response.done", 3)
    check(done.response.status == "cancelled", f"the story ended as {done.response.status}")
    check(done.response.status_details.reason == "turn_detected", f"because {done.response.status_details.reason}")
    truncated = await listener.event("conversation.item.truncated")
    check(truncated.item_id == item, "another item was truncated")
    late = [event for event in listener.events[listener.events.index(done) :]
            if event.type == "response.output_audio.delta" and event.item_id == item]
    check(not late, "audio of the interrupted response came after its end")


async def all_of_it():
    """Everything in turn."""
    openai = AsyncOpenAI(base_url=client.URL, api_key=client.KEY)
    recording = Recording("openai_realtime")
    await text_example(openai, recording)
    await push_to_talk(openai, recording)
    await conversation(openai, recording)


if __name__ == "__main__":
    client.main(all_of_it)
