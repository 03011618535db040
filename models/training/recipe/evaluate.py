"""The model card's figures: the test sets through Floe's own engine, and ten minutes of sounds that are no speech."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections import defaultdict
from multiprocessing.pool import ThreadPool
from pathlib import Path

import jiwer
import numpy as np
from scipy.io import wavfile

from recipe import augment, testsets
from recipe.render import RATE, speak
from recipe.voices import Voice

SETS = ("training-voices", "unseen-voices", "random-words", "turns")
# What one row of the table asks for: a name, the sets, and the job's settings.
ROWS: list[tuple[str, tuple[str, ...], dict]] = [
    ("as Floe runs it", SETS, {}),
    ("through 8 kHz µ-law", SETS[:2], {"channel": "pcmu"}),
    ("through Opus at 28 kbit/s", SETS[:2], {"channel": "opus"}),
    ("20 dB quieter", SETS[:2], {"channel": "quiet"}),
    ("context 256 (clips that fit)", SETS[:2], {"context": 256}),
    ("context 512", SETS[:2], {"context": 512}),
    ("context 768", SETS[:2], {"context": 768}),
    ("context 1500", SETS[:2], {"context": 1500}),
    ("context 256, timestamps", SETS[:2], {"context": 256, "timestamps": True}),
    ("context 1500, timestamps", SETS[:2], {"context": 1500, "timestamps": True}),
]
SECONDS_FOR_256 = 3.84
LENGTHS = (5, 9, 13, 60)
NOISE_CLIPS, NOISE_SECONDS = 60, 10


def render_set(name: str, folder: Path) -> list[tuple[Path, str, str, float]]:
    """Clips of one list: file, text, voice, seconds. Rendered once; the same everywhere with the same engines."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for at, entry in enumerate(testsets.load(name)):
        path = folder / f"{name}-{at:03d}.wav"
        if not path.exists():
            rng = np.random.default_rng([7, at])
            voice = Voice(entry["voice"], entry["speed"], entry["pitch"])
            parts = [np.zeros(RATE // 4, np.int16)]
            for text in entry["texts"]:
                parts += [speak(voice, text), np.zeros(int(rng.uniform(0.25, 0.8) * RATE), np.int16)]
            wavfile.write(path, RATE, np.concatenate(parts))
        seconds = (path.stat().st_size - 44) / 2 / RATE
        found.append((path, " ".join(entry["texts"]), entry["voice"], seconds))
    return found


def render_noise(folder: Path) -> list[Path]:
    """Ten minutes in clips of ten seconds: what `augment.no_speech` makes of seeds that training never uses."""
    paths = []
    for at in range(NOISE_CLIPS):
        path = folder / f"noise-{at:03d}.wav"
        sound = augment.no_speech(NOISE_SECONDS * RATE, np.random.default_rng([99, at]))
        wavfile.write(path, RATE, (sound * 32767).astype(np.int16))
        paths.append(path)
    return paths


def recognise(program: Path, model: Path, jobs: list[dict]) -> list[dict]:
    """Runs jobs through the example `model_eval`, one process per core."""

    def some(jobs: list[dict]) -> list[dict]:
        lines = "".join(json.dumps(job) + "\n" for job in jobs)
        done = subprocess.run([program, model], input=lines, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{program} failed: {done.stderr.strip()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    size = -(-len(jobs) // (os.cpu_count() or 1))
    with ThreadPool() as pool:
        parts = pool.map(some, [jobs[at : at + size] for at in range(0, len(jobs), size)])
    return [answer for part in parts for answer in part]


def rate(pairs: list[tuple[str, str]]) -> float:
    """Word error rate in percent."""
    said, heard = zip(*((said.lower(), heard.lower()) for said, heard in pairs), strict=True)
    return 100 * jiwer.wer(list(said), list(heard))


def evaluate(program: Path, model: Path, work: Path, quick: bool, wrong: bool) -> None:
    """Prints the table."""
    clips = {name: render_set(name, work / "eval") for name in SETS}
    print("| how | " + " | ".join(SETS) + " |\n|" + " --- |" * (len(SETS) + 1))
    by_voice: dict[str, list[tuple[str, str]]] = defaultdict(list)
    by_length: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for title, names, settings in ROWS[:1] if quick else ROWS:
        cells = []
        for name in SETS:
            if name not in names:
                cells.append("")
                continue
            chosen = [clip for clip in clips[name] if settings.get("context") != 256 or clip[3] <= SECONDS_FOR_256]
            answers = recognise(program, model, [{"wav": str(clip[0]), **settings} for clip in chosen])
            pairs = [(clip[1], answer["text"]) for clip, answer in zip(chosen, answers, strict=True)]
            cells.append(f"{rate(pairs):.1f} % of {sum(len(said.split()) for said, _ in pairs)}")
            if not settings:
                for clip, pair in zip(chosen, pairs, strict=True):
                    by_voice[clip[2] if name == "unseen-voices" else name].append(pair)
                    if name == "turns":
                        by_length[next(most for most in LENGTHS if clip[3] < most)].append(pair)
                    if wrong and pair[0].lower() != pair[1].lower():
                        print(f"  {clip[2]} {pair[0]!r} -> {pair[1]!r}")
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)
    lengths = [f"under {most} s {rate(by_length[most]):.1f} %" for most in LENGTHS if by_length[most]]
    print("\nTurns by length: " + ", ".join(lengths))
    print(
        "\nUnseen voices one by one: "
        + ", ".join(f"{voice} {rate(by_voice[voice]):.1f} %" for voice in sorted(by_voice) if ":" in voice)
    )
    answers = recognise(program, model, [{"wav": str(path)} for path in render_noise(work / "eval")])
    imagined = [answer["text"] for answer in answers if answer["text"]]
    words = sum(len(text.split()) for text in imagined)
    print(f"\n{NOISE_CLIPS * NOISE_SECONDS // 60} minutes without speech: {words} words {imagined or ''}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True, help="the built example model_eval")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="the first row only")
    parser.add_argument("--wrong", action="store_true", help="show every sentence that was not understood")
    options = parser.parse_args()
    evaluate(options.program, options.model, options.work, options.quick, options.wrong)
