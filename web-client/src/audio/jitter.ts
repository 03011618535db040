// What waits to be played: a ring of samples in which every reply keeps its own count. How much must be there before playing
// begins follows the network: a stall raises it, a smooth reply lowers it. Pure.

export interface JitterOptions {
  capacityMs?: number;
  /** The reserve at first, and its bounds. */
  reserveMs?: number;
  reserveMinMs?: number;
  reserveMaxMs?: number;
  fadeMs?: number;
}

/** A reply is over. */
export interface Over {
  type: 'drained' | 'flushed';
  reply: number;
  /** Samples of it that were played. */
  played: number;
}

interface Queued {
  reply: number;
  left: number;
  played: number;
  /** No more will come. */
  isEnded: boolean;
  /** No more is wanted. */
  isFlushed: boolean;
  /** It has stalled. */
  isRough: boolean;
}

/** Replies in order, one after the other; faded wherever sound stops before its end. */
export class JitterBuffer {
  readonly #data: Float32Array;
  readonly #rate: number;
  readonly #fade: number;
  readonly #bounds: readonly [number, number];
  #reserve: number;
  #head = 0;
  #length = 0;
  #replies: Queued[] = [];
  #isPlaying = false;
  #isFlushing = false;
  #gain = 0;
  /** Samples of silence since the buffer ran dry in the middle of a reply; null while it has not. */
  #stalled: number | null = null;
  /** How often it ran dry in the middle of a reply. */
  underruns = 0;
  /** Pieces that came after their time. */
  late = 0;
  /** Samples for which there was no room. */
  dropped = 0;

  /**
   * At `rateHz`. When the ring is full the newest samples are dropped and counted: the server sends only a little ahead, so
   * that does not happen.
   */
  constructor(rateHz: number, options: JitterOptions = {}) {
    const { capacityMs = 30_000, reserveMs = 80, reserveMinMs = 60, reserveMaxMs = 400, fadeMs = 5 } = options;
    this.#rate = rateHz;
    this.#data = new Float32Array(this.#samples(capacityMs));
    this.#reserve = this.#samples(reserveMs);
    this.#bounds = [this.#samples(reserveMinMs), this.#samples(reserveMaxMs)];
    this.#fade = Math.max(1, this.#samples(fadeMs));
  }

  /** Samples of `reply`. Those that come during the fade of a flush wait behind it. */
  push(reply: number, samples: Float32Array): void {
    if (this.#stalled !== null) this.late += 1;
    const taken = Math.min(this.#data.length - this.#length, samples.length);
    let write = (this.#head + this.#length) % this.#data.length;
    for (let at = 0; at < taken; at += 1) {
      this.#data[write] = samples[at] as number;
      write = write + 1 === this.#data.length ? 0 : write + 1;
    }
    this.#length += taken;
    this.dropped += samples.length - taken;
    this.#queued(reply).left += taken;
  }

  /** No more samples of `reply` will come. */
  end(reply: number): void {
    const queued = this.#replies.find((one) => one.reply === reply && !one.isFlushed);
    if (queued) queued.isEnded = true;
  }

  /** Forgets everything but a short fade. Reported by `read` once the fade is over; false if there was nothing. */
  flush(): boolean {
    if (this.#replies.length === 0) return false;
    // Of what has not begun to sound, nothing is left to fade.
    const keep = this.#isPlaying ? Math.min(this.#fade, this.#replies[0]?.left ?? 0) : 0;
    this.#replies = this.#replies.map((queued, at) => ({ ...queued, left: at === 0 ? keep : 0, isFlushed: true }));
    this.#length = keep;
    this.#isFlushing = true;
    this.#stalled = null;
    return true;
  }

  /** Fills `output` and tells which replies are over. */
  read(output: Float32Array): Over[] {
    const over: Over[] = [];
    this.#settle(over);
    this.#begin();
    for (let at = 0; at < output.length; at += 1) {
      if (this.#isPlaying && this.#length === 0) this.#runDry();
      output[at] = this.#isPlaying ? this.#next() : 0;
      if (this.#stalled !== null) this.#stalled += 1;
      // Only a reply that has run out needs a look.
      if (this.#replies[0]?.left === 0) {
        this.#settle(over);
        this.#begin();
      }
    }
    return over;
  }

  /** The reply being played or waited for, in samples. */
  progress(): { reply: number; played: number; buffered: number } | null {
    const [first] = this.#replies;
    return first ? { reply: first.reply, played: first.played, buffered: first.left } : null;
  }

  get isPlaying(): boolean {
    return this.#isPlaying;
  }

  /** What must be there before playing begins. */
  get reserveMs(): number {
    return Math.round((1000 * this.#reserve) / this.#rate);
  }

  #samples(ms: number): number {
    return Math.round((this.#rate * ms) / 1000);
  }

  #queued(reply: number): Queued {
    const last = this.#replies.at(-1);
    if (last && last.reply === reply && !last.isFlushed) return last;
    const queued: Queued = { reply, left: 0, played: 0, isEnded: false, isFlushed: false, isRough: false };
    this.#replies.push(queued);
    return queued;
  }

  #begin(): void {
    if (this.#isPlaying) return;
    const isComplete = this.#isFlushing || this.#replies.some((queued) => queued.isEnded);
    if (this.#length === 0 || (this.#length < this.#reserve && !isComplete)) return;
    this.#isPlaying = true;
    if (this.#stalled === null) return;
    // Had this much more been there, nobody would have noticed.
    this.#reserve = Math.min(this.#bounds[1], this.#reserve + this.#stalled);
    this.#stalled = null;
  }

  #runDry(): void {
    this.#isPlaying = false;
    this.#gain = 0;
    const [first] = this.#replies;
    if (!first || first.isEnded || first.isFlushed) return;
    this.underruns += 1;
    first.isRough = true;
    this.#stalled = 0;
  }

  #next(): number {
    const [first] = this.#replies;
    if (!first) return 0;
    // About to run dry in the middle of a reply, or told to stop: go quiet within what is left.
    const isFalling = this.#isFlushing || (!first.isEnded && this.#replies.length === 1 && this.#length <= this.#fade);
    const step = 1 / this.#fade;
    this.#gain = isFalling ? Math.max(0, this.#gain - step) : Math.min(1, this.#gain + step);
    const sample = (this.#data[this.#head] as number) * this.#gain;
    this.#head = this.#head + 1 === this.#data.length ? 0 : this.#head + 1;
    this.#length -= 1;
    first.left -= 1;
    first.played += 1;
    return sample;
  }

  /** Lets go of replies that are over. */
  #settle(over: Over[]): void {
    for (;;) {
      const [first] = this.#replies;
      if (!first || first.left > 0 || !(first.isEnded || first.isFlushed || this.#replies.length > 1)) return;
      over.push({ type: first.isFlushed ? 'flushed' : 'drained', reply: first.reply, played: first.played });
      this.#replies.shift();
      this.#stalled = null;
      if (!first.isRough && !first.isFlushed) this.#reserve = Math.max(this.#bounds[0], this.#reserve - this.#samples(20));
      if (first.isFlushed && !this.#replies[0]?.isFlushed) {
        this.#isFlushing = false;
        this.#gain = 0;
        this.#isPlaying = false;
      }
    }
  }
}
