// Changes the rate of a stream of samples: windowed sinc, so that nothing folds back into what is heard. Pure.

const ZERO_CROSSINGS = 16;
/** Table entries per zero crossing. */
const STEPS = 256;

/** The right half of a Blackman-windowed sinc, from its centre to its last zero crossing. */
function halfKernel(): Float32Array {
  const table = new Float32Array(ZERO_CROSSINGS * STEPS + 2);
  for (let at = 0; at < ZERO_CROSSINGS * STEPS; at += 1) {
    const x = at / STEPS;
    const turn = (Math.PI * x) / ZERO_CROSSINGS;
    const window = 0.42 + 0.5 * Math.cos(turn) + 0.08 * Math.cos(2 * turn);
    table[at] = (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)) * window;
  }
  return table;
}

const KERNEL = halfKernel();

export class Resampler {
  readonly #isSame: boolean;
  readonly #step: number;
  readonly #cutoff: number;
  readonly #half: number;
  #held: Float32Array;
  #at: number;

  /** From `from` Hz to `to` Hz. The output lags by `ZERO_CROSSINGS` samples of the lower rate. */
  constructor(from: number, to: number) {
    this.#isSame = from === to;
    this.#step = from / to;
    // A little below the lower Nyquist frequency: the filter needs room to fall.
    this.#cutoff = 0.94 * Math.min(1, to / from);
    this.#half = Math.ceil(ZERO_CROSSINGS / this.#cutoff);
    // Silence before the first sample lets the first output be centred on it.
    this.#held = new Float32Array(this.#half);
    this.#at = this.#half;
  }

  /** Takes samples and gives those that can be computed by now. */
  process(input: Float32Array): Float32Array {
    if (this.#isSame) return Float32Array.from(input);
    const samples = new Float32Array(this.#held.length + input.length);
    samples.set(this.#held);
    samples.set(input, this.#held.length);
    const last = samples.length - this.#half - 1;
    const count = this.#at > last ? 0 : Math.floor((last - this.#at) / this.#step) + 1;
    const output = new Float32Array(count);
    for (let at = 0; at < count; at += 1) output[at] = this.#sample(samples, this.#at + at * this.#step);
    this.#at += count * this.#step;
    const passed = Math.max(0, Math.min(samples.length, Math.floor(this.#at) - this.#half));
    this.#held = samples.slice(passed);
    this.#at -= passed;
    return output;
  }

  /** The end of the stream: what is still inside. */
  finish(): Float32Array {
    return this.#isSame ? new Float32Array(0) : this.process(new Float32Array(this.#half));
  }

  #sample(samples: Float32Array, at: number): number {
    const first = Math.max(0, Math.ceil(at - this.#half));
    const end = Math.min(samples.length - 1, Math.floor(at + this.#half));
    let sum = 0;
    for (let i = first; i <= end; i += 1) {
      const x = Math.abs(at - i) * this.#cutoff * STEPS;
      const k = Math.floor(x);
      if (k >= ZERO_CROSSINGS * STEPS) continue;
      const [left, right] = [KERNEL[k] as number, KERNEL[k + 1] as number];
      sum += (samples[i] as number) * (left + (x - k) * (right - left));
    }
    return sum * this.#cutoff;
  }
}
