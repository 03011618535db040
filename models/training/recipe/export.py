"""A checkpoint as a model file of whisper.cpp (its legacy format), with q8_0 or f16 matrices."""

from __future__ import annotations

import argparse
import pickle
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from recipe import features, network
from recipe.vocabulary import N_VOCAB, Tokens

MAGIC = 0x67676D6C
F32, F16, Q8_0 = 0, 1, 8
FILE_TYPE = {F16: 1, Q8_0: 2007}
BLOCK = 32


def quantised(matrix: np.ndarray) -> bytes:
    """Blocks of 32 weights: an f16 scale and 32 signed bytes."""
    blocks = matrix.astype(np.float32).reshape(-1, BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    levels = np.clip(np.round(blocks * inverse), -127, 127).astype(np.int8)
    return np.concatenate([scale.astype("<f2").view(np.int8), levels], axis=1).tobytes()


def dequantised(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `quantised`, for tests."""
    blocks = np.frombuffer(data, np.int8).reshape(-1, BLOCK + 2)
    scale = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    return (blocks[:, 2:] * scale).reshape(shape)


def tensors(params: dict[str, np.ndarray], tokens: Tokens) -> dict[str, np.ndarray]:
    """Whisper's tensors, rows first as PyTorch has them, from the training's."""
    made: dict[str, np.ndarray] = {}
    for name, value in params.items():
        if name.startswith("letters"):
            continue
        if name == "decoder.token_embedding.weight":
            rows = np.repeat(value[-1:], N_VOCAB, axis=0)
            rows[tokens.used] = value[:-1]
            made[name] = rows
        elif name.startswith("encoder.conv"):
            if name.endswith("bias"):
                made[name] = value[:, None]
            else:
                taps = value.reshape(3, -1, network.WIDTH)
                made[name] = taps.transpose(2, 1, 0)
        elif name.endswith("weight") and value.ndim == 2:
            made[name] = value.T
        else:
            made[name] = value
    made["encoder.positional_embedding"] = network.sinusoids()
    return made


def write(out: BinaryIO, params: dict[str, np.ndarray], tokens: Tokens, bank: np.ndarray, kind: int) -> None:
    """The whole file. `kind`: `F16` or `Q8_0`."""
    width, heads = network.WIDTH, network.HEADS
    encoder = (network.AUDIO_CONTEXT, width, heads, network.ENCODER_LAYERS)
    decoder = (network.TEXT_CONTEXT, width, heads, network.DECODER_LAYERS)
    out.write(struct.pack("<I11i", MAGIC, N_VOCAB, *encoder, *decoder, features.BANDS, FILE_TYPE[kind]))
    out.write(struct.pack("<2i", *bank.shape) + bank.astype("<f4").tobytes())
    n_words = max(tokens.by_id) + 2
    out.write(struct.pack("<i", n_words))
    for token in range(n_words):
        text = tokens.by_id.get(token, b"<|endoftext|>")
        out.write(struct.pack("<I", len(text)) + text)
    for name, value in sorted(tensors(params, tokens).items()):
        is_matrix = value.ndim > 1 and "positional" not in name and not name.endswith("bias")
        as_kind = F32 if not is_matrix else F16 if value.ndim == 3 else kind
        raw = name.encode()
        out.write(struct.pack("<3i", value.ndim, len(raw), as_kind))
        out.write(struct.pack(f"<{value.ndim}i", *reversed(value.shape)) + raw)
        contiguous = np.ascontiguousarray(value)
        out.write(
            quantised(contiguous) if as_kind == Q8_0 else contiguous.astype("<f2" if as_kind else "<f4").tobytes()
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--f16", action="store_true", help="16-bit matrices instead of 8-bit ones")
    options = parser.parse_args()
    kept = pickle.loads((options.work / "checkpoint.pkl").read_bytes())
    with options.out.open("wb") as file:
        known = Tokens(options.assets / "gpt2.tiktoken")
        kind = F16 if options.f16 else Q8_0
        write(file, kept["state"]["params"], known, features.filters(options.assets), kind)
    print(f"{options.out}: {options.out.stat().st_size} bytes after {kept['examples']} examples")
