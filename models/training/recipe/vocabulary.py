"""The words the model knows and their tokens: GPT-2's byte pairs, Whisper's special tokens."""

from __future__ import annotations

import base64
import re
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Whisper's special tokens in an English-only model.
N_VOCAB = 51864
EOT = 50256
SOT = 50257
NO_SPEECH = 50361
NO_TIMESTAMPS = 50362
TIMESTAMP_BEGIN = 50363
TIMESTAMPS = 1501

# Of words that sound alike only the first may stand in random word strings: there nothing tells them apart.
HOMOPHONES = """
two to too | four for | one won | eight ate | no know knew | new knew | red read | write right | hour our | by
buy bye | here hear | see sea | son sun | week weak | there their | meet meat | wait weight | would wood | its
it's | a uh | I eye | cent sent | than then | were where | hi high | knight night | piece peace | who's whose |
lets let's
"""


@lru_cache
def kinds() -> dict[str, list[str]]:
    """Words by kind, from words.txt. A name of several words has blanks."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "words.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            kind, words = line.split(":", 1)
            unique = dict.fromkeys(word.replace("_", " ") for word in words.split())
            found[kind] = list(unique)
    return found


@lru_cache
def words() -> list[str]:
    """Every single word, sorted."""
    return sorted({word for group in kinds().values() for name in group for word in name.split()})


@lru_cache
def alone() -> list[str]:
    """The words that can be told by their sound alone: for random strings."""
    groups = [group.split() for group in HOMOPHONES.split("|")]
    ambiguous = {word for group in groups for word in group[1:]}
    return [word for word in words() if word not in ambiguous]


class Tokens:
    """GPT-2's byte-pair encoding, and the short list of tokens that the model can say."""

    def __init__(self, ranks_file: Path) -> None:
        """`ranks_file`: gpt2.tiktoken of the openai-whisper package."""
        lines = (line.split() for line in ranks_file.read_bytes().splitlines())
        self.ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
        texts = sorted({token for word in words() for token in self.encode(word)})
        special = [EOT, SOT, NO_SPEECH, NO_TIMESTAMPS]
        # Model-side indices: words, then special tokens, then all timestamps.
        self.used = texts + special + [TIMESTAMP_BEGIN + step for step in range(TIMESTAMPS)]
        self.index = {token: at for at, token in enumerate(self.used)}
        self.n_text = len(texts)
        self.by_id = {rank: token for token, rank in self.ranks.items()}

    @cache  # noqa: B019 (one instance per process)
    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, every word with a leading blank."""
        found: list[int] = []
        for piece in re.findall(r"'s|'t|'m| [^ ']+", " " + text):
            found.extend(self._merge(piece.encode()))
        return tuple(found)

    def _merge(self, piece: bytes) -> list[int]:
        parts = [piece[at : at + 1] for at in range(len(piece))]
        while len(parts) > 1:
            pairs = [(self.ranks.get(a + b, 1 << 30), at) for at, (a, b) in enumerate(pairwise(parts))]
            best, at = min(pairs)
            if best == 1 << 30:
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return [self.ranks[part] for part in parts]

    def decode(self, ids: list[int]) -> str:
        """The text of token ids; special tokens are left out."""
        return b"".join(self.by_id.get(token, b"") for token in ids if token < EOT).decode(errors="replace").strip()


# The training-time helper speaks letters: 0 is the CTC blank.
LETTERS = " 'abcdefghijklmnopqrstuvwxyz"
N_LETTERS = len(LETTERS) + 1


def letters(text: str) -> list[int]:
    """CTC targets of a text."""
    return [LETTERS.index(letter) + 1 for letter in text.lower()]
