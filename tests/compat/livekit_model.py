"""Python `livekit-agents` with `livekit-plugins-openai`: `RealtimeModel.session()` without a room. What the framework does
around it, this script does by hand: plays, notes what was played, truncates, runs the tool."""

import asyncio
import json
import logging

from livekit import rtc
from livekit.agents import llm
from livekit.plugins.openai import realtime
from openai.types.realtime import AudioTranscription
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad

import client
from client import Microphone, Recording, check, step, until, words

MARKER = "python-livekit"
CALLS = []


@llm.function_tool
async def get_weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: Where.
    """
    CALLS.append(city)
    return json.dumps({"sky": "sunny"})


class Complaints(logging.Handler):
    """What the library warns of: an event it could not handle, an item it could not place."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []
        logging.getLogger("livekit.agents").addHandler(self)

    def emit(self, record):
        """Keeps a warning."""
        self.texts.append(record.getMessage() + (f": {record.exc_info[1]!r}" if record.exc_info else ""))


class Generation:
    """One response as the framework takes it: its words, its audio, its calls."""

    def __init__(self, event):
        self.event, self.text, self.audio_ms, self.calls, self.message = event, "", 0.0, [], None
        self.task = asyncio.create_task(self._take())

    async def _take(self):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._messages())
            tasks.create_task(self._functions())

    async def _messages(self):
        async for message in self.event.message_stream:
            self.message = message.message_id
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._words(message.text_stream))
                tasks.create_task(self._sound(message.audio_stream))

    async def _words(self, stream):
        async for text in stream:
            self.text += text

    async def _sound(self, stream):
        async for frame in stream:
            self.audio_ms += frame.duration * 1000

    async def _functions(self):
        async for call in self.event.function_stream:
            self.calls.append(call)


class Session:
    """A session and what came of it."""

    def __init__(self, session):
        self.session, self.generations, self.heard, self.speech_started = session, [], [], 0
        self.errors = []
        session.on("generation_created", lambda event: self.generations.append(Generation(event)))
        session.on("input_audio_transcription_completed", self._transcribed)
        session.on("input_speech_started", self._started)
        session.on("error", lambda event: self.errors.append(event))

    def _transcribed(self, event):
        if event.is_final:
            self.heard.append(words(event.transcript))

    def _started(self, _):
        self.speech_started += 1

    async def generation(self, count):
        """Waits for the end of the response of this number."""
        await until(lambda: len(self.generations) >= count, f"response {count}")
        generation = self.generations[count - 1]
        await asyncio.wait_for(generation.task, client.PATIENCE_S)
        return generation


class Tapped(realtime.RealtimeModel):
    """The model, whose sessions' events are recorded from the first on."""

    def __init__(self, recording, **options):
        super().__init__(**options)
        self._recording = recording

    def session(self, **options):
        """A session."""
        session = super().session(**options)
        session.on("openai_server_event_received", self._recording.add)
        return session


def model(recording):
    """The model as an application sets it up: only the base URL is ours."""
    return Tapped(
        Recording(recording),
        base_url=client.URL, api_key=client.KEY, model="gpt-realtime", voice="marin",
        input_audio_transcription=AudioTranscription(model="gpt-4o-mini-transcribe"),
        turn_detection=ServerVad(type="server_vad", create_response=True, interrupt_response=True))


def frame(chunk):
    """A chunk as the framework's audio frame."""
    return rtc.AudioFrame(data=chunk, sample_rate=client.RATE, num_channels=1, samples_per_channel=len(chunk) // 2)


async def talk(session, seen, microphone):
    """A tool, an interruption, and on."""
    await microphone.say("weather")
    calling = await seen.generation(1)
    check([call.name for call in calling.calls] == ["get_weather"], f"calls {calling.calls}")
    call = calling.calls[0]
    output = await get_weather(**json.loads(call.arguments))
    context = session.chat_ctx.copy()
    context.items.append(llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output=output, is_error=False))
    await session.update_chat_ctx(context)
    await asyncio.wait_for(session.generate_reply(), client.PATIENCE_S)
    answer = await seen.generation(2)
    check(words(answer.text) == "the weather is sunny", f"unexpected answer {answer.text!r}")
    check(answer.audio_ms > 250 and CALLS == ["boston"], f"{answer.audio_ms} ms of speech, calls {CALLS}")
    check(seen.heard == [client.SENTENCES["weather"]["text"]], f"heard {seen.heard}")
    step("spoke, was transcribed, tool called, its result replayed into the history and spoken")

    started = seen.speech_started
    await microphone.say("family")
    await until(lambda: len(seen.generations) >= 3 and seen.generations[2].audio_ms > 250, "the story")
    await asyncio.sleep(2.5)
    await microphone.say("thanks")
    await until(lambda: seen.speech_started >= started + 2, "speech_started")
    story = await seen.generation(3)
    answer = await seen.generation(4)
    check(words(answer.text) == "you are welcome", f"unexpected answer {answer.text!r}")
    return story


async def replay(first):
    """What a reconnection does: another session takes over the history, and knows it."""
    model_again = model("livekit_replay")
    session = model_again.session()
    seen = Session(session)
    await session.update_instructions(f"{MARKER}-replay")
    context = first.copy(exclude_function_call=False)
    await session.update_chat_ctx(context)
    check([item.id for item in session.chat_ctx.items] == [item.id for item in context.items], "the order is another")
    context.items.insert(0, llm.ChatMessage(role="user", content=["I am at the beginning."]))
    context.items.append(llm.ChatMessage(role="user", content=["Hello again."]))
    removed = next(item for item in context.items if item.type == "message" and "welcome" in (item.text_content or ""))
    context.items.remove(removed)
    await session.update_chat_ctx(context)
    reply = session.generate_reply(instructions="Be brief.")
    await asyncio.wait_for(reply, client.PATIENCE_S)
    answer = await seen.generation(1)
    check(words(answer.text) == "you said hello again", f"unexpected answer {answer.text!r}")
    messages = client.asked(f"{MARKER}-replay")[-1]["messages"]
    told = [message.get("content") or "" for message in messages]
    check("Be brief." in told[0] and told[1] == "I am at the beginning.", f"the prompt begins {told[:2]}")
    check(any("sunny" in text for text in told) and not any("welcome" in text for text in told), f"the prompt is {told}")
    check(any(message.get("tool_calls") for message in messages), "the call is not in the prompt")
    # Two at once: the first is cancelled before the second begins.
    session.generate_reply(instructions="tell")
    session.interrupt()
    await asyncio.wait_for(session.generate_reply(), client.PATIENCE_S)
    await asyncio.gather(*(generation.task for generation in seen.generations))
    check(not seen.errors, f"errors: {seen.errors}")
    await session.aclose()
    await model_again.aclose()
    step("history replayed into a new session: items at the front, deleted, appended; reply with metadata")


async def conversation():
    """Everything in turn."""
    complaints = Complaints()
    talker = model("livekit_model")
    session = talker.session()
    seen = Session(session)
    await session.update_instructions(MARKER + " slowly")
    await session.update_tools([get_weather])
    step("connected")
    async with Microphone(lambda chunk: session.push_audio(frame(chunk))) as microphone:
        story = await talk(session, seen, microphone)
        # As the framework does when the user talked over it, only that it does so at once.
        session.truncate(message_id=story.message, modalities=["audio", "text"], audio_end_ms=2500)
        await asyncio.sleep(1)
        await microphone.say("date")
        answer = await seen.generation(5)
        check(words(answer.text) == "today is sunday", f"unexpected answer {answer.text!r}")
        step(f"interrupted, truncated, went on; the model is told {client.check_heard(MARKER)!r}")
    history = session.chat_ctx
    await session.aclose()
    await talker.aclose()
    check(not seen.errors, f"errors: {seen.errors}")
    await replay(history)
    check(not complaints.texts, f"the library complains: {complaints.texts}")


if __name__ == "__main__":
    client.main(conversation)
