"""Python `livekit-agents` with `livekit-plugins-openai`: a whole `AgentSession`, as an application runs one, only that a script
talks and listens in place of a room. The framework itself runs the tool, stops the speech and truncates."""

import asyncio
import json
import time

import client
from client import Microphone, check, step, until, words
from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool, io
from livekit_model import Complaints, frame, model

MARKER = "python-livekit-session"
CALLS = []


@function_tool
async def get_weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: Where.
    """
    CALLS.append(city)
    return json.dumps({"sky": "sunny"})


class Ear(io.AudioInput):
    """The session's audio input."""

    def __init__(self):
        super().__init__(label="ear")
        self.frames = asyncio.Queue[rtc.AudioFrame](maxsize=100)

    async def __anext__(self):
        return await self.frames.get()


class Loudspeaker(io.AudioOutput):
    """The session's audio output: plays in real time, and tells how far it came."""

    def __init__(self):
        super().__init__(label="loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=client.RATE)
        self.played_s, self._pushed_s, self._since = 0.0, 0.0, 0.0
        self._stopped = asyncio.Event()

    async def capture_frame(self, frame):
        """Takes a frame to play."""
        await super().capture_frame(frame)
        if not self._pushed_s:
            self._since = time.monotonic()
            self._stopped.clear()
            self.on_playback_started(created_at=time.time())
        self._pushed_s += frame.duration

    def flush(self):
        """Nothing more of this segment comes."""
        super().flush()
        if self._pushed_s:
            self._task = asyncio.create_task(self._play_out())

    def clear_buffer(self):
        """Stops."""
        self._stopped.set()

    def playing_s(self):
        """How much of the current segment was played."""
        return min(time.monotonic() - self._since, self._pushed_s)

    async def _play_out(self):
        rest = self._pushed_s - (time.monotonic() - self._since)
        try:
            await asyncio.wait_for(self._stopped.wait(), max(rest, 0))
        except TimeoutError:
            pass
        position, self._pushed_s = self.playing_s(), 0.0
        self.played_s += position
        self.on_playback_finished(playback_position=position, interrupted=self._stopped.is_set())


def said(session, role):
    """What the session's own history says that a role said."""
    items = [item for item in session.history.items if item.type == "message" and item.role == role]
    return [words(item.text_content or "") for item in items]


async def conversation():
    """One session."""
    complaints = Complaints()
    realtime = model("livekit_session")
    # The server finds the turns; nothing here listens beside it, and the loudspeaker cannot pause.
    turns = {"turn_detection": "realtime_llm", "interruption": {"resume_false_interruption": False}}
    session = AgentSession(llm=realtime, vad=None, turn_handling=turns)
    ear, loudspeaker = Ear(), Loudspeaker()
    session.input.audio, session.output.audio = ear, loudspeaker
    errors = []
    session.on("error", lambda event: errors.append(event.error))

    async def hears(role, text):
        await until(lambda: any(text in one for one in said(session, role)), f"{role}: {text!r}; {session.history.items}")

    await session.start(Agent(instructions=f"{MARKER} slowly", tools=[get_weather]), record=False)
    await session.generate_reply(user_input="Say hello!")
    await hears("assistant", "you said say hello")
    step("started without a room; a typed message answered")
    async with Microphone(lambda chunk: ear.frames.put(frame(chunk))) as microphone:
        await microphone.say("weather")
        await hears("user", client.SENTENCES["weather"]["text"])
        await hears("assistant", "the weather is sunny")
        check(CALLS == ["boston"], f"the tool was called {CALLS}")
        check(loudspeaker.played_s > 0.25, "no speech was played")
        step("spoke, was transcribed, tool run by the framework and its result spoken")

        await microphone.say("family")
        await hears("user", client.SENTENCES["family"]["text"])
        await until(lambda: 2.5 < loudspeaker.playing_s() < 20, "the story")
        await microphone.say("thanks")
        await hears("assistant", "you are welcome")
        step(f"interrupted; the model is told {client.check_heard(MARKER)!r}")

        await microphone.say("date")
        await hears("assistant", "today is sunday")
    await asyncio.wait_for(session.aclose(), client.PATIENCE_S)
    await realtime.aclose()
    check(not errors and not complaints.texts, f"errors {errors}, the library complains: {complaints.texts}")
    step("went on, and closed")


if __name__ == "__main__":
    client.main(conversation)
