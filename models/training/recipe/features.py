"""Whisper's log-mel spectrogram as whisper.cpp computes it: silence after the end, a floor 8 decades down."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.fft import rfft

WINDOW = 400
HOP = 160
BANDS = 80


@lru_cache
def filters(package: Path) -> np.ndarray:
    """The filter bank [80, 201] from the assets of the openai-whisper package."""
    return np.load(package / "mel_filters.npz")["mel_80"].astype(np.float32)


@lru_cache
def _hann() -> np.ndarray:
    return (0.5 * (1 - np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW))).astype(np.float32)


def log_mel(sound: np.ndarray, frames: int, bank: np.ndarray) -> np.ndarray:
    """[frames, 80] of float32 samples at 16 kHz, 10 ms each; the rest is cut, what is missing is silence."""
    heard = min(frames, len(sound) // HOP + 3)
    start = sound[1 : WINDOW // 2 + 1][::-1]
    padded = np.zeros((heard - 1) * HOP + WINDOW + WINDOW, np.float32)
    padded[WINDOW // 2 - len(start) : WINDOW // 2] = start
    kept = sound[: len(padded) - WINDOW // 2]
    padded[WINDOW // 2 : WINDOW // 2 + len(kept)] = kept
    pieces = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:heard]
    spectrum = rfft(pieces * _hann(), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    mel = np.full((frames, BANDS), -10.0, np.float32)
    mel[:heard] = np.log10(np.maximum(power @ bank.T, 1e-10))
    return (np.maximum(mel, mel.max() - 8) + 4) / 4
