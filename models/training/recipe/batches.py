"""Training batches: a process of its own draws clips, augments them and computes features."""

from __future__ import annotations

import json
from dataclasses import dataclass
from multiprocessing import Queue
from pathlib import Path
from typing import Any

import numpy as np

from recipe import augment, features
from recipe.vocabulary import EOT, NO_SPEECH, NO_TIMESTAMPS, SOT, TIMESTAMP_BEGIN, Tokens, letters

RATE = 16_000
# Mel frames of a batch: its size, the most tokens, the most letters.
SHAPES = {
    176: (32, 12, 56),
    256: (32, 16, 72),
    384: (24, 20, 88),
    512: (24, 20, 88),
    1024: (12, 48, 176),
    1536: (8, 64, 240),
    3000: (4, 64, 240),
}
# How often each shape comes, by stage. Short ones first: they teach most per second.
STAGES = {
    0.0: {176: 70, 256: 30},
    0.12: {176: 40, 256: 40, 384: 20},
    0.32: {176: 20, 256: 35, 384: 30, 512: 14, 3000: 1},
    0.52: {256: 30, 384: 20, 512: 38, 1024: 9, 1536: 1.5, 3000: 1.5},
    0.75: {256: 10, 384: 10, 512: 52, 1024: 20, 1536: 4, 3000: 4},
    0.81: {256: 8, 512: 32, 1024: 48, 1536: 9, 3000: 3},
}
# Contexts of the model: such batches are padded as whisper.cpp pads, and hold short clips too.
CONTEXTS = (512, 1024, 1536, 3000)


@dataclass
class Corpus:
    """Clips in memory-mapped shards."""

    sounds: list[np.ndarray]
    texts: list[str]
    lengths: np.ndarray

    @classmethod
    def load(cls, folder: Path, skip_last: int = 0) -> Corpus:
        """All finished shards of a folder, without the last few."""
        sounds, texts = [], []
        paths = sorted(folder.glob("*.json"))
        for path in paths[: len(paths) - skip_last]:
            samples, at = np.load(path.with_suffix(".npy"), mmap_mode="r"), 0
            for clip in json.loads(path.read_text()):
                sounds.append(samples[at : at + clip["samples"]])
                texts.append(clip["text"])
                at += clip["samples"]
        return cls(sounds, texts, np.array([len(sound) for sound in sounds]))

    def draw(self, rng: np.random.Generator, longest: int) -> tuple[np.ndarray, str]:
        """A clip of at most so many samples."""
        while True:
            at = int(rng.integers(len(self.texts)))
            if self.lengths[at] <= longest:
                return self.sounds[at].astype(np.float32) / 32768, self.texts[at]


class Maker:
    """Makes batches of one shape as dictionaries of arrays."""

    def __init__(self, corpus: Corpus, tokens: Tokens, assets: Path, seed: int) -> None:
        self.corpus, self.tokens = corpus, tokens
        self.bank = features.filters(assets)
        self.rng = np.random.default_rng(seed)

    def shape(self, progress: float) -> int:
        """A shape for this stage of the training."""
        stage = STAGES[max(start for start in STAGES if start <= progress)]
        weights = np.array(list(stage.values()), float)
        return int(self.rng.choice(list(stage), p=weights / weights.sum()))

    def example(self, frames: int, hard: float) -> tuple[np.ndarray, str, int, int]:
        """Samples, text ("" = no speech), and where speech begins and ends in samples."""
        rng = self.rng
        total = frames * 160
        # Floe leaves 64 positions (1.28 s) of the context free; some examples go almost to the end all the same.
        usable = total - (rng.choice([4800, 20480]) if frames in CONTEXTS else 800)
        if rng.random() < 0.06:
            length = int(min(usable, RATE * rng.uniform(0.5, 10)))
            return augment.no_speech(length, rng), "", 0, 0
        shortest = {256: 1.2, 384: 1.9}.get(frames, 0) * RATE
        sound, text = self.corpus.draw(rng, usable)
        for _ in range(4):
            if len(sound) >= shortest:
                break
            sound, text = self.corpus.draw(rng, usable)
        sound = augment.speech(sound, rng, hard)[:usable]
        joins = 0 if frames < 512 or rng.random() < 0.2 else {512: 1, 1024: 3, 1536: 5, 3000: 5}[frames]
        most_tokens, most_letters = SHAPES[frames][1] - 4, SHAPES[frames][2]
        while len(self.tokens.encode(text)) > most_tokens or len(text) > most_letters:
            sound, text = self.corpus.draw(rng, usable)
        for _ in range(int(rng.integers(0, joins + 1))):
            pause = np.zeros(int(rng.uniform(0.05, 0.9) * RATE), np.float32)
            more, more_text = self.corpus.draw(rng, usable)
            longer = text + " " + more_text
            fits = len(self.tokens.encode(longer)) <= most_tokens and len(longer) <= most_letters
            if fits and len(sound) + len(pause) + len(more) * 1.12 < usable:
                sound, text = np.concatenate([sound, pause, augment.speech(more, rng, hard)]), longer
        placed, begin, end = augment.placed(sound, rng, max(0, usable - len(sound)), hard)
        return placed, text, begin, end

    def batch(self, frames: int, hard: float) -> dict[str, np.ndarray]:
        """One batch. `kind`: 0 speech, 1 no speech."""
        size, n_tokens, n_letters = SHAPES[frames]
        index, rng = self.tokens.index, self.rng
        made: dict[str, Any] = {
            "mel": np.zeros((size, frames, features.BANDS), np.float32),
            "inputs": np.full((size, n_tokens), index[EOT], np.int32),
            "targets": np.full((size, n_tokens), -1, np.int32),
            "letters": np.zeros((size, n_letters), np.int32),
            "n_letters": np.zeros(size, np.int32),
            "n_frames": np.zeros(size, np.int32),
        }
        for row in range(size):
            sound, text, _, end = self.example(frames, hard)
            made["mel"][row] = features.log_mel(sound, frames, self.bank)
            if frames in CONTEXTS and rng.random() < 0.1:
                # As faster-whisper pads: zeros after the end of the sound.
                made["mel"][row, len(sound) // 160 + 1 :] = 0
            timed = rng.random() < 0.4
            if text:
                words = list(self.tokens.encode(text))
                stamp = TIMESTAMP_BEGIN + min(1500, round(end / 320))
                inputs = [SOT, TIMESTAMP_BEGIN if timed else NO_TIMESTAMPS, *words, *([stamp] if timed else [])]
                targets = [*inputs[1:], EOT]
            else:
                stray = self.tokens.used[int(rng.integers(self.tokens.n_text))]
                inputs = [SOT, TIMESTAMP_BEGIN if timed else NO_TIMESTAMPS, stray]
                targets = [NO_SPEECH, EOT, EOT]
            made["inputs"][row, : len(inputs)] = [index[token] for token in inputs]
            made["targets"][row, : len(targets)] = [index[token] for token in targets]
            made["letters"][row, : len(text)] = letters(text)
            made["n_letters"][row] = len(text)
            made["n_frames"][row] = min(frames // 2, len(sound) // 320 + 2)
        made["speech"] = (made["n_letters"] > 0).astype(np.float32)
        return made


def produce(queue: Queue, progress: Any, work: Path, assets: Path, seed: int) -> None:
    """Fills the queue for ever; `progress` is a shared number from 0 to 1. Ends with its parent."""
    tokens = Tokens(assets / "gpt2.tiktoken")
    maker = Maker(Corpus.load(work / "clips", skip_last=1), tokens, assets, seed)
    while True:
        at = progress.value
        frames = maker.shape(at)
        # Clean first, then hard, and milder again towards the end.
        hard = min(1.0, max(0.0, (at - 0.1) / 0.3)) if at < 0.6 else 0.7
        queue.put((frames, maker.batch(frames, hard)))
