"""Python `openai-agents`: a `RealtimeSession` that talks, uses a tool, is interrupted, and hands over to another agent."""

import asyncio
import json

from agents import function_tool, set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeRunner, realtime_handoff
from agents.realtime.config import RealtimeSessionModelSettings

import client
from client import Microphone, Recording, check, step, until, words

MARKER = "python-agents"
CALLS = []


@function_tool
def get_weather(city: str) -> str:
    """Tells the weather."""
    CALLS.append(city)
    return json.dumps({"sky": "sunny"})


class Session:
    """What an application would keep of a session's events."""

    def __init__(self, session, recording):
        self.session, self.recording = session, recording
        self.seen, self.audio, self.raw, self.errors = [], 0, [], []
        self.history = []

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.wait([self._task])

    def count(self, kind):
        """How many events of a type came so far, the model's own included."""
        return self.seen.count(kind)

    async def event(self, kind, count=1):
        """Waits for the type's event of this number."""
        await until(lambda: self.count(kind) >= count or self._task.done(), f"{count} × {kind}")
        check(self.count(kind) >= count, f"the session ended before {kind}: {self._task}")

    def texts(self, role):
        """The transcripts of a role's items."""
        items = [item for item in self.history if item.type == "message" and item.role == role]
        return [words(part.transcript or "") for item in items for part in item.content if part.type in ("input_audio", "audio")]

    async def _run(self):
        async for event in self.session:
            self.seen.append(event.type)
            match event.type:
                case "audio":
                    self.audio += len(event.audio.data)
                case "error":
                    self.errors.append(event.error)
                case "history_updated":
                    self.history = event.history
                case "history_added":
                    self.history = [*self.history, event.item]
                case "raw_model_event":
                    self._raw(event.data)

    def _raw(self, data):
        self.seen.append(f"model.{data.type}")
        if data.type == "raw_server_event":
            self.recording.add(data.data)
            self.seen.append(data.data["type"])
        elif data.type == "exception":
            self.errors.append(data.exception)


async def conversation():
    """One session with the package's own defaults: semantic VAD, its own idea of what was played."""
    set_tracing_disabled(True)
    expert = RealtimeAgent(name="expert", instructions=f"{MARKER}-expert", handoff_description="Knows distances.")
    agent = RealtimeAgent(name="host", instructions=MARKER, tools=[get_weather], handoffs=[realtime_handoff(expert)])
    settings: RealtimeSessionModelSettings = {
        "model_name": "gpt-realtime", "voice": "alloy", "modalities": ["audio"],
        "input_audio_format": "pcm16", "output_audio_format": "pcm16",
        "input_audio_transcription": {"model": "gpt-4o-mini-transcribe"},
        "turn_detection": {"type": "semantic_vad", "interrupt_response": True, "eagerness": "high"}}
    runner = RealtimeRunner(agent, config={"model_settings": settings})
    url = client.URL.replace("http", "ws", 1) + "/realtime?model=gpt-realtime"
    session = await runner.run(model_config={"url": url, "api_key": client.KEY})
    async with session, Session(session, Recording("openai_agents")) as seen, Microphone(session.send_audio) as microphone:
        await seen.event("session.updated")
        step("connected; the session is configured")

        await microphone.say("weather")
        await seen.event("tool_end")
        await seen.event("response.done", 2)
        await until(lambda: "the weather is sunny" in seen.texts("assistant"), "the answer in the history")
        await until(lambda: client.SENTENCES["weather"]["text"] in seen.texts("user"), "the question in the history")
        check(CALLS == ["boston"], f"the tool was called {CALLS}")
        check(seen.audio > client.SPEECH_BYTES_MIN, "no speech")
        step("spoke, was transcribed, tool called and its result spoken")
        await asyncio.sleep(1.5)

        await microphone.say("family")
        await seen.event("response.done", 3)  # Long done: only the loudspeaker still plays.
        await asyncio.sleep(1.5)
        await microphone.say("thanks")
        await seen.event("audio_interrupted")
        await seen.event("conversation.item.truncated")
        await seen.event("response.done", 4)
        await until(lambda: "you are welcome" in seen.texts("assistant"), "the answer after the interruption")
        step(f"interrupted the playback; the model is told {client.check_heard(MARKER)!r}")
        await asyncio.sleep(1.5)

        await microphone.say("distance")
        await seen.event("handoff")
        await until(lambda: "you are with the expert now" in seen.texts("assistant"), "the other agent")
        check(client.asked(f"{MARKER}-expert"), "the model was not given the other agent's instructions")
        step("handed over to another agent, whose instructions are in force")
        check(not seen.errors, f"errors: {seen.errors}")


if __name__ == "__main__":
    client.main(conversation)
