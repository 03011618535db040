"""Python `openai` over HTTP: models, transcriptions in every shape, speech in every format, ephemeral keys."""

import io
import wave
from pathlib import Path

import openai
from openai import AsyncOpenAI

import client
from client import SENTENCES, check, check_words, step, words

VOICE, TTS, STT = "alloy", "gpt-4o-mini-tts", "whisper-1"


async def transcriptions(api):
    """json, text, verbose_json, srt, vtt, and streamed."""
    file = Path(SENTENCES["weather"]["wav"])
    create = api.audio.transcriptions.create
    told = await create(model=STT, file=file, language="en")
    check_words(told.text, "weather")
    told = await create(model=STT, file=file, response_format="text")
    check_words(told, "weather")
    told = await create(model=STT, file=file, response_format="verbose_json", timestamp_granularities=["segment"])
    check_words(told.text, "weather")
    check(told.duration > 1 and told.segments and told.segments[0].end > told.segments[0].start, f"verbose: {told}")
    for shape, arrow in (("srt", "00:00:00,"), ("vtt", "00:00.")):
        told = await create(model=STT, file=file, response_format=shape)
        check("-->" in told and arrow in told and SENTENCES["weather"]["text"] in words(told), f"{shape}: {told!r}")
    deltas, done = "", None
    async for event in await create(model="gpt-4o-transcribe", file=file, stream=True):
        if event.type == "transcript.text.delta":
            deltas += event.delta
        elif event.type == "transcript.text.done":
            done = event.text
    check(done, "no transcript.text.done")
    check_words(done, "weather")
    check(deltas == done, f"the deltas {deltas!r} are not the text {done!r}")
    step("transcriptions: json, text, verbose_json, srt, vtt, streamed")


async def speech(api):
    """wav, pcm and opus, whole and streamed; the speech is understood again."""
    text = "what time is it"
    whole = await api.audio.speech.create(model=TTS, voice=VOICE, input=text, response_format="wav")
    with wave.open(io.BytesIO(whole.content)) as wav:
        rate, sound = wav.getframerate(), wav.readframes(1 << 30)
    check(len(sound) > rate, f"{len(sound)} bytes of speech")
    back = await api.audio.transcriptions.create(model=STT, file=("speech.wav", whole.content))
    check(words(back.text) == text, f"the speech was understood as {back.text!r}")
    streaming = api.audio.speech.with_streaming_response.create
    async with streaming(model=TTS, voice=VOICE, input=text, response_format="pcm") as reply:
        pieces = [piece async for piece in reply.iter_bytes()]
    check(sum(map(len, pieces)) > client.RATE, f"{sum(map(len, pieces))} bytes of streamed PCM")
    async with streaming(model=TTS, voice=VOICE, input=text, response_format="opus") as reply:
        ogg = b"".join([piece async for piece in reply.iter_bytes()])
    check(ogg.startswith(b"OggS") and b"OpusHead" in ogg[:64], "opus is not Ogg Opus")
    back = await api.audio.transcriptions.create(model=STT, file=("speech.ogg", ogg))
    check(words(back.text) == text, f"the Opus speech was understood as {back.text!r}")
    step("speech: wav, pcm streamed, opus streamed; understood again by the server's own ears")


async def errors(api):
    """Refusals come as the package's own exceptions."""
    try:
        await api.audio.transcriptions.create(model=STT, file=("nothing.wav", b"this is no audio"))
        check(False, "no refusal of a file that is none")
    except openai.APIStatusError as error:
        check(error.status_code == 415, f"status {error.status_code}")
        check(error.type == "invalid_request_error" and error.body["message"], f"body {error.body}")
    try:
        await AsyncOpenAI(base_url=client.URL, api_key="wrong", max_retries=0).models.list()
        check(False, "no refusal of a wrong key")
    except openai.AuthenticationError as error:
        check(error.code == "invalid_api_key", f"body {error.body}")
    try:
        await api.models.retrieve("there-is-no-such-model")
        check(False, "no refusal of an unknown model")
    except openai.NotFoundError as error:
        check(error.body["message"], f"body {error.body}")
    try:
        async with AsyncOpenAI(base_url=client.URL, api_key="wrong").realtime.connect(model="gpt-realtime"):
            check(False, "a wrong key opened a session")
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        check(status == 401, f"a wrong key on the socket: {error!r}")
    step("refusals: bad file, wrong key (HTTP and socket), unknown model")


async def all_of_it():
    """Everything in turn."""
    api = AsyncOpenAI(base_url=client.URL, api_key=client.KEY, max_retries=0)
    models = [model async for model in api.models.list()]
    check(models and all(model.id and model.object == "model" for model in models), f"models {models}")
    check((await api.models.retrieve(models[0].id)).id == models[0].id, "a listed model cannot be retrieved")
    step(f"models: {', '.join(model.id for model in models)}")
    await transcriptions(api)
    await speech(api)
    await errors(api)


if __name__ == "__main__":
    client.main(all_of_it)
