"""The parts of the recipe that must be exact: features, tokens, µ-law, sentences, and the file format."""

import io
import os
import random
import struct
import unittest
from pathlib import Path

import numpy as np

from recipe import augment, export, features, grammar, network, testsets, vocabulary

ASSETS = Path(os.environ["FLOE_WHISPER_ASSETS"])


def reference_log_mel(sound: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """OpenAI's `log_mel_spectrogram` of a clip with 30 s of silence after it, step by step."""
    padded = np.pad(np.concatenate([sound, np.zeros(480_000)]), 200, mode="reflect")
    window = np.hanning(401)[:-1]
    frames = [np.abs(np.fft.rfft(padded[at : at + 400] * window)) ** 2 for at in range(0, 512 * 160, 160)]
    mel = np.log10(np.maximum(bank @ np.stack(frames, axis=1), 1e-10))
    return ((np.maximum(mel, mel.max() - 8) + 4) / 4).T


class Recipe(unittest.TestCase):
    """Everything here takes seconds and needs no voices."""

    def setUp(self) -> None:
        """Reads the vocabulary and the filter bank."""
        self.tokens = vocabulary.Tokens(ASSETS / "gpt2.tiktoken")
        self.bank = features.filters(ASSETS)

    def test_features_are_those_of_whisper(self) -> None:
        """Same as the reference, also over the edge of the sound."""
        sound = np.random.default_rng(1).normal(0, 0.1, 40_123).astype(np.float32)
        ours = features.log_mel(sound, 512, self.bank)
        np.testing.assert_allclose(ours, reference_log_mel(sound, self.bank), atol=2e-4)

    def test_tokens_are_those_of_gpt_2(self) -> None:
        """Known ids, several tokens per word, and back."""
        self.assertEqual(self.tokens.encode("hello"), (23748,))
        self.assertEqual(self.tokens.encode("what's the time"), (644, 338, 262, 640))
        for word in vocabulary.words():
            self.assertEqual(self.tokens.decode(list(self.tokens.encode(word))), word)

    def test_every_sentence_is_of_known_words(self) -> None:
        """And speaks letters that the CTC head has."""
        rng, known = random.Random(5), set(vocabulary.words())
        self.assertGreaterEqual(len(known), 800)
        for _ in range(5000):
            text = grammar.sentence(rng)
            self.assertLessEqual(set(text.split()), known, text)
            self.assertTrue(vocabulary.letters(text))

    def test_numbers(self) -> None:
        """From zero to 999,999."""
        rng = random.Random(1)
        self.assertEqual(grammar.number(rng, 0), "zero")
        self.assertEqual(grammar.number(rng, 42), "forty two")
        self.assertEqual(grammar.number(rng, 5000), "five thousand")
        self.assertIn("thousand", grammar.number(rng, 999_999))

    def test_the_test_sets_are_committed(self) -> None:
        """And are kept from training."""
        for name in ("training-voices", "unseen-voices", "random-words", "turns"):
            self.assertGreaterEqual(len(testsets.load(name)), 40)
        self.assertIn(testsets.load("turns")[0]["texts"][0], testsets.texts())

    def test_mu_law(self) -> None:
        """Symmetric, within half a step, 38 dB for a loud tone."""
        tone = np.sin(np.arange(8000) * 0.3).astype(np.float32) * 0.5
        error = augment.mu_law(tone) - tone
        self.assertLess(10 * np.log10(np.mean(error**2) / np.mean(tone**2)), -36)
        np.testing.assert_allclose(augment.mu_law(-tone), -augment.mu_law(tone))

    def test_quantising_loses_half_a_step_at_most(self) -> None:
        """And zero stays zero."""
        matrix = np.random.default_rng(2).normal(0, 1, (4, 64)).astype(np.float32)
        matrix[0, :32] = 0
        back = export.dequantised(export.quantised(matrix), matrix.shape)
        self.assertLess(np.abs(back - matrix).max(), np.abs(matrix).max() / 127 * 0.52)
        self.assertFalse(back[0, :32].any())

    def test_the_file_has_whispers_tensors(self) -> None:
        """Every tensor once, to the last byte."""
        params = network.initial(1, len(self.tokens.used), vocabulary.N_LETTERS)
        arrays = {name: np.asarray(value) for name, value in params.items()}
        out = io.BytesIO()
        export.write(out, arrays, self.tokens, self.bank, export.Q8_0)
        data, at = out.getvalue(), 48
        self.assertEqual(struct.unpack_from("<I2i", data), (export.MAGIC, vocabulary.N_VOCAB, 1500))
        at += 8 + 4 * 80 * 201
        (words,), at = struct.unpack_from("<i", data, at), at + 4
        for _ in range(words):
            at += 4 + struct.unpack_from("<I", data, at)[0]
        names = set()
        while at < len(data):
            dims, name_length, kind = struct.unpack_from("<3i", data, at)
            shape = struct.unpack_from(f"<{dims}i", data, at + 12)
            at += 12 + 4 * dims
            names.add(data[at : at + name_length].decode())
            count = int(np.prod(shape))
            at += name_length + {export.F32: 4 * count, export.F16: 2 * count, export.Q8_0: count // 32 * 34}[kind]
        self.assertEqual(at, len(data))
        self.assertEqual(len(names), 11 + 4 * 15 + 3 * 24)


if __name__ == "__main__":
    unittest.main()
