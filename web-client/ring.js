// What waits to be played: a ring of samples in which every reply keeps its own count. Pure.

/** Replies in order, one after the other; faded wherever sound stops before its end. */
export class Ring {
  /**
   * At `rateHz`, holding `capacityMs`. Playing begins when `startMs` are there (or the reply is complete). When the ring
   * is full the newest samples are dropped and counted: the server sends only a little ahead, so that never happens.
   */
  constructor(rateHz, { capacityMs = 30000, startMs = 100, fadeMs = 5 } = {}) {
    this.data = new Float32Array(Math.ceil((rateHz * capacityMs) / 1000));
    this.start = Math.round((rateHz * startMs) / 1000);
    this.fade = Math.max(1, Math.round((rateHz * fadeMs) / 1000));
    this.head = 0;
    this.length = 0;
    this.replies = []; // { reply, left, played, ended }
    this.playing = false;
    this.flushing = false;
    this.gain = 0;
    this.dropped = 0;
  }

  /** Samples of `reply`. Those that come during the fade of a flush wait behind it. */
  push(reply, samples) {
    const room = this.data.length - this.length;
    const taken = Math.min(room, samples.length);
    let write = (this.head + this.length) % this.data.length;
    for (let i = 0; i < taken; i += 1) {
      this.data[write] = samples[i];
      write = write + 1 === this.data.length ? 0 : write + 1;
    }
    this.length += taken;
    this.dropped += samples.length - taken;
    this.#entry(reply).left += taken;
  }

  /** No more samples of `reply` will come. */
  end(reply) {
    const entry = this.replies.find((one) => one.reply === reply);
    if (entry) entry.ended = true;
  }

  /** Forgets everything but a short fade. Reported by `read` once the fade is over; false if there was nothing. */
  flush() {
    if (this.replies.length === 0) return false;
    // Of what has not begun to sound, nothing is left to fade.
    const keep = this.playing ? Math.min(this.fade, this.replies[0].left) : 0;
    this.replies = this.replies.map((entry, i) => ({ ...entry, left: i === 0 ? keep : 0, flushed: true }));
    this.length = keep;
    this.flushing = true;
    return true;
  }

  /** Fills `output` and returns what happened: `{ type: "drained" | "flushed", reply, played }`, in order. */
  read(output) {
    const events = [];
    this.#settle(events);
    if (!this.playing && this.#mayStart()) this.playing = true;
    for (let i = 0; i < output.length; i += 1) {
      if (this.playing && this.length === 0) {
        this.playing = false;
        this.gain = 0;
      }
      output[i] = this.playing ? this.#next() : 0;
      // Only a reply that has run out needs a look.
      if (this.replies.length > 0 && this.replies[0].left === 0) {
        this.#settle(events);
        if (!this.playing && this.#mayStart()) this.playing = true;
      }
    }
    return events;
  }

  /** The reply being played or waited for: `{ reply, played, buffered }` in samples, or null. */
  progress() {
    if (this.replies.length === 0) return null;
    const [{ reply, played, left }] = this.replies;
    return { reply, played, buffered: left };
  }

  #entry(reply) {
    const last = this.replies.at(-1);
    if (last && last.reply === reply && !last.flushed) return last;
    const entry = { reply, left: 0, played: 0, ended: false, flushed: false };
    this.replies.push(entry);
    return entry;
  }

  #mayStart() {
    return this.length >= this.start || (this.length > 0 && (this.flushing || this.replies.some((one) => one.ended)));
  }

  #next() {
    const [entry] = this.replies;
    // About to run dry in the middle of a reply, or told to stop: go quiet within what is left.
    const falling = this.flushing || (!entry.ended && this.replies.length === 1 && this.length <= this.fade);
    const step = 1 / this.fade;
    this.gain = falling ? Math.max(0, this.gain - step) : Math.min(1, this.gain + step);
    const sample = this.data[this.head] * this.gain;
    this.head = this.head + 1 === this.data.length ? 0 : this.head + 1;
    this.length -= 1;
    entry.left -= 1;
    entry.played += 1;
    return sample;
  }

  /** Lets go of replies that are over. */
  #settle(events) {
    while (this.replies.length > 0) {
      const [{ reply, left, played, ended, flushed }] = this.replies;
      if (left > 0 || !(ended || flushed || this.replies.length > 1)) return;
      events.push({ type: flushed ? "flushed" : "drained", reply, played });
      this.replies.shift();
      if (flushed) {
        this.flushing = false;
        this.gain = 0;
        this.playing = false;
      }
    }
  }
}
