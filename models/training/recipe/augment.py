"""What happens to a clip on its way: speed, room, band limits, telephone, noise, level; and what is no speech."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve, lfilter, resample_poly

RATE = 16_000
Rng = np.random.Generator


def mu_law(sound: np.ndarray) -> np.ndarray:
    """Through 8 bits of µ-law (continuous formula of G.711) at the same rate."""
    sound = np.clip(sound, -1, 1)
    packed = np.sign(sound) * np.log1p(255 * np.abs(sound)) / np.log(256)
    packed = np.round(packed * 127) / 127
    return (np.sign(packed) * np.expm1(np.abs(packed) * np.log(256)) / 255).astype(np.float32)


def telephone(sound: np.ndarray) -> np.ndarray:
    """8 kHz µ-law and back."""
    narrow = resample_poly(sound, 1, 2).astype(np.float32)
    return resample_poly(mu_law(narrow), 2, 1).astype(np.float32)[: len(sound)]


def coloured(length: int, rng: Rng) -> np.ndarray:
    """Noise of a random colour, root mean square 1."""
    noise = rng.standard_normal(length, dtype=np.float32)
    pole = rng.choice([0.0, 0.0, 0.5, 0.9, 0.98, -0.6])
    if pole:
        noise = lfilter([1.0], [1.0, -pole], noise).astype(np.float32)
    if rng.random() < 0.3:
        steps = rng.random(length // 1600 + 2, dtype=np.float32)
        noise *= np.interp(np.arange(length), np.arange(len(steps)) * 1600, steps).astype(np.float32)
    return noise / (np.sqrt(np.mean(noise**2)) + 1e-9)


def speech(sound: np.ndarray, rng: Rng, hard: float) -> np.ndarray:
    """A clip as it may arrive; `hard` from 0 to 1 is how often it is treated at all."""
    if rng.random() < 0.6:
        length = int(len(sound) / rng.uniform(0.9, 1.1))
        sound = np.interp(np.linspace(0, len(sound) - 1, length), np.arange(len(sound)), sound).astype(np.float32)
    if rng.random() < 0.15 * hard:
        decay = rng.uniform(0.02, 0.12)
        tail = rng.standard_normal(int(decay * 3 * RATE), dtype=np.float32)
        tail *= np.exp(-np.arange(len(tail)) / (decay * RATE)).astype(np.float32) * 0.08
        tail[0] = 1
        sound = fftconvolve(sound, tail)[: len(sound)].astype(np.float32)
    sort = rng.random()
    if sort < 0.25 * hard:
        sound = telephone(sound * rng.uniform(0.2, 1))
    elif sort < 0.4 * hard:
        # As Opus at a low rate: everything above a limit is gone.
        up = int(rng.integers(5, 8))
        sound = resample_poly(resample_poly(sound, up, 8), 8, up).astype(np.float32)[: len(sound)]
    elif sort < 0.5 * hard:
        pole = rng.uniform(0.1, 0.6)
        sound = lfilter([1 - pole], [1, -pole], sound).astype(np.float32)
    return sound


def placed(sound: np.ndarray, rng: Rng, room: int, hard: float) -> tuple[np.ndarray, int, int]:
    """With silence around (at most `room` samples in all), noise and gain; and where speech begins and ends."""
    before = int(min(room * 0.6, rng.uniform(0, 0.45) * RATE))
    after = int(min(room - before, rng.uniform(0, 0.45) * RATE))
    sound = np.concatenate([np.zeros(before, np.float32), sound, np.zeros(after, np.float32)])
    level = np.sqrt(np.mean(sound**2)) + 1e-9
    if rng.random() < 0.25 + 0.3 * hard:
        snr = rng.uniform(45 - 35 * hard, 50)
        other = sound[::-1] / level if rng.random() < 0.1 else coloured(len(sound), rng)
        sound = sound + other * level * np.float32(10 ** (-snr / 20))
    gain = 10 ** (-rng.uniform(0, 26) / 20)
    return (sound * np.float32(gain)).astype(np.float32), before, len(sound) - after


def no_speech(length: int, rng: Rng) -> np.ndarray:
    """Silence, noise, tones, hum, clicks, chirps or several of them."""
    time = np.arange(length, dtype=np.float32) / RATE
    sound = np.zeros(length, np.float32)
    for _ in range(rng.integers(1, 3)):
        sort, level = rng.integers(0, 7), 10 ** (-rng.uniform(3, 60) / 20)
        if sort <= 1:
            sound += coloured(length, rng) * np.float32(level * 0.3)
        elif sort == 2:
            sound += np.float32(level) * np.sin(2 * np.pi * rng.uniform(60, 4000) * time, dtype=np.float32)
        elif sort == 3:
            hum = rng.choice([50, 60, 100, 120])
            sound += sum(np.float32(level / (n + 1)) * np.sin(2 * np.pi * hum * (n + 1) * time) for n in range(4))
        elif sort == 4:
            for at in rng.integers(0, length, rng.integers(1, 12)):
                click = rng.standard_normal(min(length - at, int(rng.integers(2, 500)))).astype(np.float32)
                sound[at : at + len(click)] += click * np.float32(level) * np.exp(-np.arange(len(click)) / 80)
        elif sort == 5:
            pitch = rng.uniform(100, 1500) + rng.uniform(-300, 1500) * time / max(time[-1], 1e-3)
            gate = np.sin(2 * np.pi * rng.uniform(0.5, 8) * time) > rng.uniform(-0.9, 0.6)
            sound += np.float32(level) * np.sin(2 * np.pi * np.cumsum(pitch) / RATE).astype(np.float32) * gate
    return np.clip(sound, -1, 1).astype(np.float32)
