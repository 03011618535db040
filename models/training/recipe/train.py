"""Training from random parameters within a given wall time."""

from __future__ import annotations

import argparse
import os
import pickle
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false --xla_cpu_enable_fast_math=true --xla_cpu_prefer_vector_width=512"
)

import jax
import jax.numpy as jnp
import jiwer
import numpy as np

from recipe import features, network
from recipe.batches import Corpus, produce
from recipe.vocabulary import EOT, N_LETTERS, N_VOCAB, NO_TIMESTAMPS, SOT, Tokens

State = dict[str, dict[str, jax.Array]]
PEAK, BETA1, BETA2, DECAY, CLIP = 1.4e-3, 0.9, 0.98, 0.01, 1.0
WARM_UP_STEPS = 400
DEV_CLIPS = 48


def loss_of(p: network.Params, batch: dict[str, jax.Array], weight: jax.Array, n_text: int, eot: int) -> tuple:
    """The weighted loss, and the decoder's and the CTC head's alone."""
    audio = network.encode(p, batch["mel"])
    logits = network.decode(p, batch["inputs"], audio)
    # The last row stands for all the tokens never said: the softmax counts it as many times.
    others = N_VOCAB - (logits.shape[-1] - 1)
    logits = logits.at[..., -1].add(float(np.log(others)))
    scores = jax.nn.log_softmax(logits)
    targets = batch["targets"]
    counted = (targets >= 0).astype(jnp.float32)
    chosen = jnp.take_along_axis(scores, jnp.maximum(targets, 0)[..., None], 2)[..., 0]
    # Where nobody speaks, what is not "end" is spread evenly over the words: a decoder that is forbidden to end at once
    # (whisper.cpp's suppress_blank) then says a word of no confidence, which every gate stops.
    flat = scores[..., :n_text].mean(-1)
    silent = (1 - batch["speech"])[:, None] * (targets == eot)
    chosen = jnp.where(silent > 0, 0.9 * chosen + 0.1 * flat, chosen)
    words = -(chosen * counted).sum() / counted.sum()
    each = network.ctc(p, audio, batch["letters"], batch["n_letters"], batch["n_frames"])
    # Speech too fast for its frames has no path; such an example teaches only the decoder.
    each = jnp.where(each < 1e4, each, 0.0)
    letters = each.sum() / jnp.maximum(batch["n_letters"].sum(), 1)
    return words + weight * letters, (words, letters)


@partial(jax.jit, static_argnames=("n_text", "eot"), donate_argnums=0)
def update(
    state: State, batch: dict, rate: jax.Array, weight: jax.Array, step: jax.Array, n_text: int, eot: int
) -> tuple:
    """One step of AdamW."""
    (_, parts), grads = jax.value_and_grad(loss_of, has_aux=True)(state["params"], batch, weight, n_text, eot)
    norm = jnp.sqrt(sum((grad**2).sum() for grad in grads.values()))
    scale = jnp.where(jnp.isfinite(norm), jnp.minimum(1.0, CLIP / (norm + 1e-6)), 0.0)
    params, first, second = {}, {}, {}
    for name, grad in grads.items():
        grad = jnp.where(jnp.isfinite(norm), grad, 0.0) * scale
        first[name] = BETA1 * state["first"][name] + (1 - BETA1) * grad
        second[name] = BETA2 * state["second"][name] + (1 - BETA2) * grad**2
        moved = first[name] / (1 - BETA1**step) / (jnp.sqrt(second[name] / (1 - BETA2**step)) + 1e-8)
        decay = DECAY if grad.ndim == 2 else 0.0
        params[name] = state["params"][name] - rate * (moved + decay * state["params"][name])
    return {"params": params, "first": first, "second": second}, parts


@partial(jax.jit, static_argnames="length")
def greedy(p: network.Params, mel: jax.Array, start: jax.Array, eot: int, length: int = 20) -> jax.Array:
    """Greedy decoding without timestamps: indices [batch, length]."""
    audio = network.encode(p, mel)
    inputs = jnp.full((mel.shape[0], length), eot).at[:, :2].set(start)

    def step(at: int, inputs: jax.Array) -> jax.Array:
        best = network.decode(p, inputs, audio)[:, at - 1].argmax(-1)
        return inputs.at[:, at].set(jnp.where((inputs[:, at - 1] == eot) & (at > 2), eot, best))

    return jax.lax.fori_loop(2, length, step, inputs)


class Dev:
    """Clips that are not trained on: word error rate by training voices and by others."""

    def __init__(self, work: Path, assets: Path, tokens: Tokens) -> None:
        self.tokens = tokens
        self.sets = {}
        for name, folder in (("seen", "clips"), ("unseen", "dev")):
            shard = sorted((work / folder).glob("*.json"))[-1:]
            corpus = Corpus.load(shard[0].parent)
            at = len(corpus.texts) - np.arange(1, 1000)
            at = [
                one for one in at if corpus.lengths[one] < 3.8 * 16_000 and len(tokens.encode(corpus.texts[one])) < 17
            ]
            sounds = [corpus.sounds[one].astype(np.float32) / 32768 for one in at[:DEV_CLIPS]]
            bank = features.filters(assets)
            padded = [np.pad(sound, (3000, 3000)) for sound in sounds]
            mel = np.stack([features.log_mel(sound, 512, bank) for sound in padded])
            self.sets[name] = ([corpus.texts[one] for one in at[:DEV_CLIPS]], mel)

    def measure(self, p: network.Params) -> str:
        """Both word error rates, and a sample."""
        index, said = self.tokens.index, ""
        for name, (texts, mel) in self.sets.items():
            start = jnp.array([index[SOT], index[NO_TIMESTAMPS]])
            rows = np.asarray(greedy(p, jnp.asarray(mel), start, index[EOT]))
            ids = [[self.tokens.used[at] if at < len(self.tokens.used) else EOT for at in row[2:]] for row in rows]
            heard = [self.tokens.decode(row) for row in ids]
            said += f"{name} {100 * jiwer.wer(texts, heard):.1f} %  "
        return said + f'"{texts[0]}" -> "{heard[0]}"'


def save(path: Path, state: State, step: int, examples: int, seconds: float) -> None:
    """A checkpoint, atomically."""
    arrays = jax.tree.map(np.asarray, state)
    part = path.with_suffix(".part")
    part.write_bytes(pickle.dumps({"state": arrays, "step": step, "examples": examples, "seconds": seconds}))
    part.rename(path)


def train(work: Path, assets: Path, minutes: float, resume: bool, seed: int, decay_part: float) -> None:
    """Trains for so many minutes and leaves `checkpoint.pkl` in `work`."""
    tokens = Tokens(assets / "gpt2.tiktoken")
    params = network.initial(seed, len(tokens.used), N_LETTERS)
    zeros = lambda: {name: jnp.zeros_like(value) for name, value in params.items()}  # noqa: E731
    state, step, examples, before = {"params": params, "first": zeros(), "second": zeros()}, 0, 0, 0.0
    if resume:
        kept = pickle.loads((work / "checkpoint.pkl").read_bytes())
        state = jax.tree.map(jnp.asarray, kept["state"])
        step, examples, before = kept["step"], kept["examples"], kept["seconds"]
    context = get_context("spawn")
    queue, progress = context.Queue(12), context.Value("d", before / (minutes * 60))
    worker = context.Process(target=produce, args=(queue, progress, work, assets, seed + step), daemon=True)
    worker.start()
    dev = Dev(work, assets, tokens)
    # A resumed training goes on where it was in its schedule.
    saved = measured = said = time.monotonic()
    begun = said - before
    waited, recent, counted = 0.0, [], 0
    while (now := time.monotonic()) - begun < minutes * 60:
        at = (now - begun) / (minutes * 60)
        progress.value = at
        rate = PEAK * min(1.0, (step + 1) / WARM_UP_STEPS, max(0.02, (1 - at) / decay_part))
        weight = 1.0 if at < 0.5 else 0.3
        _, batch = queue.get()
        waited += time.monotonic() - now
        step += 1
        scalars = [jnp.float32(value) for value in (rate, weight, step)]
        state, parts = update(state, batch, *scalars, n_text=tokens.n_text, eot=tokens.index[EOT])
        recent.append((float(parts[0]), float(parts[1])))
        examples += len(batch["speech"])
        counted += len(batch["speech"])
        if now - said > 60:
            words, letters = np.mean(recent, axis=0)
            print(
                f"{(now - begun) / 60:.1f} min  step {step}  examples {examples}  {counted / (now - said):.0f}/s  wait "
                f"{waited / (now - said):.0%}  rate {rate:.1e}  words {words:.3f}  letters {letters:.3f}",
                flush=True,
            )
            said, waited, recent, counted = now, 0.0, [], 0
        if now - measured > 420:
            print("   dev: " + dev.measure(state["params"]), flush=True)
            measured = now
        if now - saved > 300:
            save(work / "checkpoint.pkl", state, step, examples, now - begun)
            saved = now
    save(work / "checkpoint.pkl", state, step, examples, time.monotonic() - begun)
    print(f"done: {step} steps, {examples} examples, {time.monotonic() - begun:.0f} s", flush=True)
    print("   dev: " + dev.measure(state["params"]), flush=True)
    worker.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--assets", type=Path, required=True, help="whisper/assets of the openai-whisper package")
    parser.add_argument("--minutes", type=float, default=86)
    parser.add_argument("--decay", type=float, default=0.3, help="part of the time over which the rate falls to 0")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    train(options.work, options.assets, options.minutes, options.resume, options.seed, options.decay)
