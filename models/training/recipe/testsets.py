"""The evaluation's texts and voices: committed lists, never trained on."""

from __future__ import annotations

import json
import random
from functools import lru_cache

from recipe import grammar, voices
from recipe.vocabulary import ROOT, alone

FOLDER = ROOT / "testsets"


def load(name: str) -> list[dict]:
    """The entries of one list."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


@lru_cache
def texts() -> frozenset[str]:
    """Every text of every list: none of them is rendered for training."""
    names = [path.stem for path in FOLDER.glob("*.jsonl")]
    return frozenset(text for name in names for entry in load(name) for text in entry["texts"])


def _sentence(rng: random.Random, sort: str) -> str:
    while True:
        if sort == "random":
            text = " ".join(rng.choice(alone()) for _ in range(rng.randint(3, 6)))
        else:
            kind = "assistant" if rng.random() < 0.7 else "plain"
            # Only sentences with slots: a fixed phrase must not be lost to training.
            text = grammar.expand(rng.choice([it for it in grammar.patterns()[kind] if "{" in it]), rng)
        if 3 <= len(text.split()) <= 12:
            return text


def draw() -> None:
    """Draws the lists anew. Only for a new generation of the test sets: then the model must be trained anew too."""
    rng = random.Random("test sets")
    plan = [
        ("training-voices", 150, False, "grammar"),
        ("unseen-voices", 150, True, "grammar"),
        ("random-words", 60, False, "random"),
        ("turns", 40, False, "grammar"),
    ]
    FOLDER.mkdir(exist_ok=True)
    for name, count, held_out, sort in plan:
        lines = []
        for _ in range(count):
            voice = voices.held_out(rng) if held_out else voices.training(rng)
            sentences = [_sentence(rng, sort) for _ in range(rng.randint(2, 4) if name == "turns" else 1)]
            about = {"voice": voice.name, "speed": round(voice.speed, 2), "pitch": voice.pitch, "texts": sentences}
            lines.append(json.dumps(about))
        (FOLDER / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    draw()
