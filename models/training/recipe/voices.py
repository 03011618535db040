"""Who speaks: espeak-ng accents with timbre variants, and flite. Some are kept for the evaluation alone."""

from __future__ import annotations

import random
from dataclasses import dataclass

ACCENTS = ["en-us"] * 5 + ["en-gb"] * 3 + ["en-gb-x-rp"] * 2 + ["en-029", "en-gb-x-gbclan"]
VARIANTS = [""] * 4 + [
    "m1",
    "m2",
    "m3",
    "m4",
    "m7",
    "m8",
    "f1",
    "f2",
    "f4",
    "f5",
    "klatt",
    "klatt4",
    "Alex",
    "Alicia",
    "Annie",
    "Gene",
    "Lee",
    "Mario",
]
VARIANTS += [
    "Michael",
    "adam",
    "anika",
    "announcer",
    "belinda",
    "benjamin",
    "caleb",
    "david",
    "ed",
    "edward",
    "john",
    "linda",
    "max",
    "paul",
]
VARIANTS += ["quincy", "rob", "robert", "shelby", "steph", "travis", "victor", "zac"]
FLITE = ["kal16", "slt", "rms", "awb"]

# Never trained on: three accents, five timbres, and flite's telephone voice.
HELD_OUT = [
    "e:en-gb-scotland",
    "e:en-us-nyc",
    "e:en-gb-x-gbcwmd",
    "e:en-us+m5",
    "e:en-us+m6",
    "e:en-us+f3",
    "e:en-gb+Andy",
    "e:en-us+Andrea",
    "f:kal",
]


@dataclass(frozen=True)
class Voice:
    """A voice and how it speaks this time."""

    name: str
    """`e:` espeak-ng or `f:` flite, and the engine's name of the voice."""
    speed: float
    """Words per minute (espeak-ng) or duration stretch (flite)."""
    pitch: int
    """0 to 99 (espeak-ng only)."""

    def command(self, text: str, out: str) -> list[str]:
        """The command that writes `text` as a WAV file to `out`."""
        engine, name = self.name.split(":")
        if engine == "e":
            return ["espeak-ng", "-v", name, "-s", f"{self.speed:.0f}", "-p", str(self.pitch), "-w", out, "--", text]
        return ["flite", "-voice", name, "--setf", f"duration_stretch={self.speed:.2f}", "-t", text, "-o", out]


def _styled(name: str, rng: random.Random) -> Voice:
    if name.startswith("f:"):
        return Voice(name, rng.uniform(0.8, 1.2), 50)
    return Voice(name, rng.uniform(125, 205), rng.randint(30, 70))


def training(rng: random.Random) -> Voice:
    """A voice of the training set: 45 % flite, the rest espeak-ng."""
    if rng.random() < 0.45:
        return _styled("f:" + rng.choice(FLITE), rng)
    accent, variant = rng.choice(ACCENTS), rng.choice(VARIANTS)
    return _styled("e:" + accent + ("+" + variant if variant else ""), rng)


def held_out(rng: random.Random) -> Voice:
    """A voice of the evaluation alone."""
    return _styled(rng.choice(HELD_OUT), rng)
