"""A transformer in Whisper's shape, with a CTC head over letters that is used in training only."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

WIDTH, HEADS, HIDDEN = 128, 2, 512
ENCODER_LAYERS, DECODER_LAYERS = 4, 3
AUDIO_CONTEXT, TEXT_CONTEXT = 1500, 448
Params = dict[str, jax.Array]


def sinusoids() -> np.ndarray:
    """The encoder's positions, as in Whisper."""
    step = np.log(10000) / (WIDTH // 2 - 1)
    scaled = np.arange(AUDIO_CONTEXT)[:, None] * np.exp(-step * np.arange(WIDTH // 2))[None, :]
    return np.concatenate([np.sin(scaled), np.cos(scaled)], axis=1).astype(np.float32)


def initial(seed: int, n_used: int, n_letters: int) -> Params:
    """Random parameters. Matrices are [in, out]. Row `n_used` of the embedding stands for all tokens never said."""
    rng = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}

    def matrix(name: str, rows: int, columns: int, scale: float = 1.0, bias: bool = True) -> None:
        made[name + ".weight"] = rng.normal(0, scale / np.sqrt(rows), (rows, columns)).astype(np.float32)
        if bias:
            made[name + ".bias"] = np.zeros(columns, np.float32)

    def norm(name: str) -> None:
        made[name + ".weight"] = np.ones(WIDTH, np.float32)
        made[name + ".bias"] = np.zeros(WIDTH, np.float32)

    matrix("encoder.conv1", 3 * 80, WIDTH)
    matrix("encoder.conv2", 3 * WIDTH, WIDTH)
    for side, layers in (("encoder", ENCODER_LAYERS), ("decoder", DECODER_LAYERS)):
        for layer in range(layers):
            block = f"{side}.blocks.{layer}."
            for attention in ("attn",) if side == "encoder" else ("attn", "cross_attn"):
                norm(block + attention + "_ln")
                for part in ("query", "key", "value", "out"):
                    matrix(f"{block}{attention}.{part}", WIDTH, WIDTH, 0.5 if part == "out" else 1, part != "key")
            norm(block + "mlp_ln")
            matrix(block + "mlp.0", WIDTH, HIDDEN)
            matrix(block + "mlp.2", HIDDEN, WIDTH, 0.5)
    norm("encoder.ln_post")
    norm("decoder.ln")
    matrix("letters", WIDTH, n_letters)
    made["decoder.positional_embedding"] = rng.normal(0, 0.02, (TEXT_CONTEXT, WIDTH)).astype(np.float32)
    made["decoder.token_embedding.weight"] = rng.normal(0, 0.05, (n_used + 1, WIDTH)).astype(np.float32)
    return {name: jnp.asarray(value) for name, value in made.items()}


def _linear(p: Params, name: str, x: jax.Array) -> jax.Array:
    # Flat: XLA's CPU backend is faster on plain matrices.
    y = (x.reshape(-1, x.shape[-1]) @ p[name + ".weight"]).reshape(*x.shape[:-1], -1)
    return y + p[name + ".bias"] if name + ".bias" in p else y


def _norm(p: Params, name: str, x: jax.Array) -> jax.Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * p[name + ".weight"] + p[name + ".bias"]


def _attention(p: Params, name: str, x: jax.Array, source: jax.Array, mask: jax.Array | None) -> jax.Array:
    def heads(part: str, of: jax.Array) -> jax.Array:
        y = _linear(p, f"{name}.{part}", of)
        return y.reshape(*y.shape[:-1], HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)

    query, key, value = heads("query", x), heads("key", source), heads("value", source)
    scores = query @ key.transpose(0, 1, 3, 2) * (WIDTH // HEADS) ** -0.5
    if mask is not None:
        scores = scores + mask
    mixed = jax.nn.softmax(scores, axis=-1) @ value
    return _linear(p, name + ".out", mixed.transpose(0, 2, 1, 3).reshape(x.shape))


def _mlp(p: Params, block: str, x: jax.Array) -> jax.Array:
    hidden = jax.nn.gelu(_linear(p, block + "mlp.0", _norm(p, block + "mlp_ln", x)), approximate=True)
    return _linear(p, block + "mlp.2", hidden)


def _convolve(p: Params, name: str, x: jax.Array, stride: int) -> jax.Array:
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
    length = x.shape[1]
    taps = jnp.concatenate([padded[:, at : at + length : stride] for at in range(3)], axis=-1)
    return jax.nn.gelu(_linear(p, name, taps), approximate=True)


def encode(p: Params, mel: jax.Array) -> jax.Array:
    """[batch, frames, 80] to [batch, frames / 2, 128]."""
    x = _convolve(p, "encoder.conv2", _convolve(p, "encoder.conv1", mel, 1), 2)
    x = x + jnp.asarray(sinusoids()[: x.shape[1]])
    for layer in range(ENCODER_LAYERS):
        block = f"encoder.blocks.{layer}."
        y = _norm(p, block + "attn_ln", x)
        x = x + _attention(p, block + "attn", y, y, None)
        x = x + _mlp(p, block, x)
    return _norm(p, "encoder.ln_post", x)


def decode(p: Params, inputs: jax.Array, audio: jax.Array) -> jax.Array:
    """Logits [batch, tokens, used + 1] after each input token."""
    length = inputs.shape[1]
    x = p["decoder.token_embedding.weight"][inputs] + p["decoder.positional_embedding"][:length]
    mask = jnp.where(jnp.tril(jnp.ones((length, length), bool)), 0.0, -1e9)
    for layer in range(DECODER_LAYERS):
        block = f"decoder.blocks.{layer}."
        y = _norm(p, block + "attn_ln", x)
        x = x + _attention(p, block + "attn", y, y, mask)
        x = x + _attention(p, block + "cross_attn", _norm(p, block + "cross_attn_ln", x), audio, None)
        x = x + _mlp(p, block, x)
    return _norm(p, "decoder.ln", x) @ p["decoder.token_embedding.weight"].T


def ctc(p: Params, audio: jax.Array, targets: jax.Array, n_targets: jax.Array, n_frames: jax.Array) -> jax.Array:
    """CTC loss per example (0 = blank), by the forward recursion."""
    batch, length = targets.shape
    log_probs = jax.nn.log_softmax(_linear(p, "letters", audio))
    labels = jnp.zeros((batch, 2 * length + 1), jnp.int32).at[:, 1::2].set(targets)
    scores = jnp.take_along_axis(
        log_probs, jnp.broadcast_to(labels[:, None], (batch, audio.shape[1], 2 * length + 1)), 2
    )
    never = -1e5
    skips = jnp.zeros(labels.shape, bool).at[:, 3::2].set(targets[:, 1:] != targets[:, :-1])
    first = jnp.full(labels.shape, never).at[:, :2].set(scores[:, 0, :2])

    def step(alpha: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        score, at = now
        one = jnp.pad(alpha[:, :-1], ((0, 0), (1, 0)), constant_values=never)
        two = jnp.where(skips, jnp.pad(alpha[:, :-2], ((0, 0), (2, 0)), constant_values=never), never)
        most = jnp.maximum(jnp.maximum(alpha, one), two)
        total = most + jnp.log(jnp.exp(alpha - most) + jnp.exp(one - most) + jnp.exp(two - most)) + score
        return jnp.where((at < n_frames)[:, None], jnp.maximum(total, never), alpha), None

    alpha, _ = jax.lax.scan(step, first, (scores.transpose(1, 0, 2)[1:], jnp.arange(1, audio.shape[1])))
    end = 2 * n_targets[:, None]
    last = jnp.take_along_axis(alpha, jnp.concatenate([end, jnp.maximum(end - 1, 0)], 1), 1)
    return -jax.nn.logsumexp(last, axis=1)
