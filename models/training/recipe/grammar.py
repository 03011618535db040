"""Sentences: what one says to an assistant, plain English phrases, and random strings of words."""

from __future__ import annotations

import random
import re
from functools import lru_cache

from recipe.vocabulary import ROOT, alone, kinds


@lru_cache
def patterns() -> dict[str, list[str]]:
    """The patterns of sentences.txt by heading: `assistant`, `plain`, rules for slots. A dash is an empty pattern."""
    found: dict[str, list[str]] = {}
    heading: list[str] = []
    for line in (ROOT / "sentences.txt").read_text().splitlines():
        if line.startswith("= "):
            heading = found.setdefault(line[2:], [])
        elif line and not line.startswith("#"):
            heading.append("" if line == "-" else line)
    return found


def number(rng: random.Random, value: int | None = None) -> str:
    """A number in words, from 0 to 999,999; short ones most often."""
    if value is None:
        digits = rng.choices([1, 2, 3, 4, 5, 6], weights=[30, 34, 16, 8, 6, 6])[0]
        value = rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
        if digits > 2 and rng.random() < 0.3:
            value -= value % 10 ** (digits - 1)
    ones = ["zero", *kinds()["digit"], *kinds()["teen"]]
    if value >= 1000:
        rest = value % 1000
        tail = "" if rest == 0 else (" and " if rest < 100 and rng.random() < 0.5 else " ") + number(rng, rest)
        return number(rng, value // 1000) + " thousand" + tail
    if value >= 100:
        rest = value % 100
        tail = "" if rest == 0 else rng.choice([" and ", " "]) + number(rng, rest)
        return (
            (ones[value // 100] if value >= 200 or rng.random() < 0.7 else "a").replace("a", "one") + " hundred" + tail
        )
    if value >= 20:
        return kinds()["tens"][value // 10 - 2] + (" " + ones[value % 10] if value % 10 else "")
    return ones[value]


def expand(pattern: str, rng: random.Random) -> str:
    """A sentence of a pattern."""

    def slot(found: re.Match[str]) -> str:
        name = found[1]
        if name == "number":
            return number(rng)
        if name in patterns():
            return expand(rng.choice(patterns()[name]), rng)
        return rng.choice(kinds()[name])

    text = re.sub(r"\[([^\]]*)\]", lambda found: rng.choice(found[1].split("|")), pattern)
    text = re.sub(r"\{(\w+)\}", slot, text)
    # Articles as one says them.
    text = re.sub(r"\ba (?=[aeio])", "an ", text)
    return " ".join(text.split())


def sentence(rng: random.Random) -> str:
    """A text of any sort: 45 % assistant talk, 20 % plain phrases, 35 % random words."""
    sort = rng.random()
    if sort < 0.45:
        return expand(rng.choice(patterns()["assistant"]), rng)
    if sort < 0.65:
        return expand(rng.choice(patterns()["plain"]), rng)
    length = rng.choices([1, 2, 3, 4, 5, 6, 7], weights=[2, 4, 5, 5, 4, 3, 2])[0]
    return " ".join(rng.choice(alone()) for _ in range(length))
