"""`pipecat-ai`: its OpenAI Realtime service in a pipeline with real transports, once with the server finding the turns, once
with pipecat's own voice activity detection and turn strategies (`turn_detection` off)."""

import asyncio
import json
import sys
import time

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import EndFrame, InputAudioRawFrame, LLMRunFrame, StartFrame, TranscriptionFrame
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

import client
from client import Microphone, Recording, check, step, until, words
from tap import Tap

# What pipecat's voice activity detection works with; its service resamples to the session's 24 kHz.
INPUT_RATE = 16_000
CALLS = []


class Ear(BaseInputTransport):
    """A transport's input whose audio this script supplies."""

    listens = False

    async def start(self, frame: StartFrame):
        """Begins to take audio."""
        await super().start(frame)
        await self.set_transport_ready(frame)
        self.listens = True

    async def hear(self, chunk):
        """Takes a chunk from the microphone; none before the pipeline has started."""
        if self.listens:
            await self.push_audio_frame(InputAudioRawFrame(audio=chunk, sample_rate=INPUT_RATE, num_channels=1))


class Loudspeaker(BaseOutputTransport):
    """A transport's output that plays in real time, into a counter."""

    played = 0

    def __init__(self, params):
        super().__init__(params)
        self._due = 0.0

    async def start(self, frame: StartFrame):
        """Begins to play."""
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame):
        """Plays a frame."""
        self._due = max(self._due, time.monotonic()) + frame.num_frames / frame.sample_rate
        if any(frame.audio):
            self.played += len(frame.audio)
        await asyncio.sleep(max(0, self._due - time.monotonic()))
        return True


async def get_weather(params):
    """The tool."""
    CALLS.append(params.arguments["city"])
    await params.result_callback({"sky": "sunny"})


class Watcher(BaseObserver):
    """Sees the transcripts that the service hands into the pipeline."""

    def __init__(self):
        super().__init__()
        self.heard = []

    async def on_push_frame(self, data):
        """A frame goes from one processor to the next."""
        if isinstance(data.frame, TranscriptionFrame) and isinstance(data.source, OpenAIRealtimeLLMService):
            self.heard.append(words(data.frame.text))


class Bot:
    """A pipeline as pipecat's examples build it, and what an application can see of it."""

    def __init__(self, marker, local, tap):
        self.local, self.errors, self._tap = local, [], tap
        turns = False if local else events.TurnDetection(silence_duration_ms=400)
        transcription = events.InputAudioTranscription(model="whisper-1")
        audio = events.AudioConfiguration(input=events.AudioInput(transcription=transcription, turn_detection=turns))
        settings = OpenAIRealtimeLLMService.Settings(
            model="gpt-realtime", system_instruction=marker, session_properties=events.SessionProperties(audio=audio))
        self.service = OpenAIRealtimeLLMService(api_key=client.KEY, base_url=tap.url, settings=settings)
        tool = FunctionSchema(name="get_weather", description="Tells the weather.", required=["city"],
                              properties={"city": {"type": "string"}}, handler=get_weather)
        self.context = LLMContext([{"role": "user", "content": "Say hello!"}], tools=[tool])
        user = LLMUserAggregatorParams()
        if local:
            strategies = UserTurnStrategies(
                start=[VADUserTurnStartStrategy()],
                stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.4, wait_for_transcript=False)])
            user = LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer(params=VADParams(stop_secs=0.2)),
                                           user_turn_strategies=strategies)
        aggregators = LLMContextAggregatorPair(self.context, user_params=user)
        params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
        self.ear, self.loudspeaker = Ear(params), Loudspeaker(params)
        pipeline = Pipeline([self.ear, aggregators.user(), self.service, self.loudspeaker, aggregators.assistant()])
        parameters = PipelineParams(audio_in_sample_rate=INPUT_RATE, audio_out_sample_rate=client.RATE,
                                    enable_metrics=True, enable_usage_metrics=True)
        self.watcher = Watcher()
        self.worker = PipelineWorker(pipeline, params=parameters, cancel_on_idle_timeout=False, enable_rtvi=False,
                                     observers=[self.watcher])
        self.worker.add_event_handler("on_pipeline_error", self._failed)

    async def _failed(self, _, frame):
        self.errors.append(str(frame.error))

    async def __aenter__(self):
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        self._task = asyncio.create_task(runner.run())
        return self

    async def __aexit__(self, kind, *_):
        await (self.worker.queue_frame(EndFrame()) if kind is None else self.worker.cancel())
        await asyncio.wait([self._task], timeout=client.PATIENCE_S)

    def texts(self, role):
        """What pipecat's own context says that a role said."""
        messages = [message for message in self.context.get_messages() if isinstance(message, dict)]
        said = [message["content"] for message in messages if message.get("role") == role and message.get("content")]
        return [words(text if isinstance(text, str) else json.dumps(text)) for text in said]

    async def heard(self, sentence):
        """Waits until a sentence was transcribed, word for word. With its own detection pipecat clears the server's buffer when
        it has noticed that somebody speaks, and sends the last half second again. Where the machine keeps it from noticing for
        longer than that, the beginning of the first word is not in what it sends: then the other words count."""
        wanted = client.SENTENCES[sentence]["text"]
        others = wanted.partition(" ")[2]

        def there():
            if self.local and self.watcher.heard and self._tap.began_in_a_word():
                return any(text.endswith(others) for text in self.watcher.heard)
            return wanted in self.watcher.heard

        try:
            await until(there, wanted)
        except client.Failed as failed:
            raise client.Failed(f"{failed}; transcripts: {self.watcher.heard}") from failed
        if wanted not in self.watcher.heard:
            step(f"pipecat noticed too late that somebody spoke, and left out the beginning of {wanted.split()[0]!r}")

    async def said(self, role, text):
        """Waits until pipecat's context says so. A user's words may appear there as late as with the next turn."""
        def there():
            check(not self.errors, f"errors: {self.errors}")
            return any(text in one for one in self.texts(role))

        try:
            await until(there, f"{role}: {text!r}")
        except client.Failed as failed:
            raise client.Failed(f"{failed}; transcripts: {self.watcher.heard}; pipecat's context: {self.context.get_messages()}") from failed


async def talk(marker, local):
    """Greeting, question, tool, interruption, and on."""
    CALLS.clear()
    sentences = client.SENTENCES
    async with (Tap(Recording(marker.replace("-", "_"))) as tap, Bot(marker, local, tap) as bot,
                Microphone(bot.ear.hear, INPUT_RATE) as microphone):
        await bot.worker.queue_frame(LLMRunFrame())
        await bot.said("assistant", "you said say hello")
        await asyncio.sleep(1)
        await microphone.say("weather")
        await bot.heard("weather")
        await bot.said("assistant", "the weather is sunny")
        check(CALLS == ["boston"], f"the tool was called {CALLS}")
        check(bot.loudspeaker.played > client.SPEECH_BYTES_MIN, "no speech was played")
        step("greeted; spoke, was transcribed, tool called and its result spoken")
        await asyncio.sleep(1.5)

        before = bot.loudspeaker.played
        await microphone.say("family")
        await until(lambda: bot.loudspeaker.played > before + client.RATE, "the story")
        await asyncio.sleep(2)
        await microphone.say("thanks")
        await bot.heard("thanks")
        await bot.said("assistant", "you are welcome")
        step(f"interrupted; the model is told {client.check_heard(marker)!r}")
        await asyncio.sleep(1.5)

        await microphone.say("date")
        await bot.heard("date")
        await bot.said("assistant", "today is sunday")
        if not local:
            await bot.said("user", sentences["thanks"]["text"])
        check(not bot.errors, f"errors: {bot.errors}")
    check(bot.worker.has_finished(), "the pipeline did not end")
    step("went on, and closed")


async def conversation():
    """In the way the argument names."""
    logger.remove()
    logger.add(sys.stdout, level="ERROR")
    local = sys.argv[1] == "local"
    await talk(f"pipecat-{sys.argv[1]}", local)


if __name__ == "__main__":
    client.main(conversation)
