"""Text to clips: espeak-ng and flite, resampled to 16 kHz and trimmed, in shards of a thousand clips."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
import time
from math import gcd
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from recipe import grammar, testsets, voices

RATE = 16_000
CLIPS_PER_SHARD = 1000
LONGEST_S = 6.0


def speak(voice: voices.Voice, text: str) -> np.ndarray:
    """One clip: int16 samples at 16 kHz from the first to the last sound, peak at most 0.9."""
    # Lower case throughout: a capital I or A is else read as a letter's name by flite.
    with tempfile.NamedTemporaryFile(suffix=".wav", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as out:
        subprocess.run(voice.command(text.lower(), out.name), check=True, stderr=subprocess.DEVNULL)
        rate, samples = wavfile.read(out.name)
    sound = samples.astype(np.float32) / 32768
    if rate != RATE:
        common = gcd(rate, RATE)
        sound = resample_poly(sound, RATE // common, rate // common).astype(np.float32)
    loud = np.flatnonzero(np.abs(sound) > 0.006 * max(1e-3, float(np.abs(sound).max())) / 0.6)
    if len(loud) == 0:
        raise ValueError(f"no sound from {voice} for {text!r}")
    sound = sound[max(0, loud[0] - 320) : loud[-1] + 480]
    return (sound / max(0.9, float(np.abs(sound).max())) * 0.9 * 32767).astype(np.int16)


def shard(folder: Path, number: int, held_out: bool = False, clips: int = CLIPS_PER_SHARD) -> Path:
    """Renders a shard (seed = its number): `<n>.npy` holds the samples, `<n>.json` texts, voices and lengths."""
    path = folder / f"{number:04d}.json"
    if path.exists():
        return path
    rng = random.Random(("held out " if held_out else "shard ") + str(number))
    reserved = testsets.texts()
    sounds, about = [], []
    while len(about) < clips:
        text = grammar.sentence(rng)
        voice = voices.held_out(rng) if held_out else voices.training(rng)
        if text in reserved:
            continue
        try:
            sound = speak(voice, text)
        except (ValueError, subprocess.CalledProcessError):
            # Some variants fall silent on a few words; a clip more or less does not matter.
            continue
        if len(sound) <= LONGEST_S * RATE:
            sounds.append(sound)
            about.append({"text": text, "voice": voice.name, "samples": len(sound)})
    np.save(path.with_suffix(".npy"), np.concatenate(sounds))
    path.with_suffix(".part").write_text(json.dumps(about))
    path.with_suffix(".part").rename(path)
    return path


def _job(job: tuple[Path, int, bool]) -> None:
    shard(job[0], job[1], job[2])


def render(work: Path, shards: int, processes: int) -> None:
    """All shards of the training set and one of held-out voices, those that are missing."""
    jobs = []
    for name, count, held_out in (("clips", 1, False), ("dev", 1, True), ("clips", shards, False)):
        (work / name).mkdir(parents=True, exist_ok=True)
        jobs += [(work / name, number, held_out) for number in range(count)]
    begun = time.monotonic()
    with Pool(processes) as pool:
        for done, _ in enumerate(pool.imap(_job, jobs), 1):
            print(f"rendered {done}/{len(jobs)} shards in {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    render(options.work, options.shards, options.processes)
