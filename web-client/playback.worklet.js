// The voice: frames of 24 kHz samples in, sound at the browser's rate out; says how far it has played.

import { Resampler } from "./resample.js";
import { Ring } from "./ring.js";
import { OUTPUT_RATE_HZ } from "./wire.js";

const REPORT_MS = 250;

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Ring(sampleRate);
    this.resampler = null;
    this.reply = null;
    this.unreported = 0;
    this.port.onmessage = ({ data }) => this.#take(data);
  }

  #take({ type, reply, samples, rateHz = OUTPUT_RATE_HZ }) {
    switch (type) {
      case "samples":
        if (reply !== this.reply) {
          this.reply = reply;
          this.resampler = new Resampler(rateHz, sampleRate);
        }
        this.ring.push(reply, this.resampler.process(samples));
        break;
      case "end":
        if (reply === this.reply && this.resampler) {
          this.ring.push(reply, this.resampler.finish());
          this.resampler = null;
          this.reply = null;
        }
        this.ring.end(reply);
        break;
      case "flush":
        this.resampler = null;
        this.reply = null;
        this.ring.flush();
        break;
    }
  }

  process(_, [[output]]) {
    for (const { type, reply, played } of this.ring.read(output)) {
      this.port.postMessage({ state: type, reply, playedMs: ms(played), bufferedMs: 0 });
      this.unreported = 0;
    }
    const progress = this.ring.progress();
    if (progress && this.ring.playing) {
      this.unreported += output.length;
      if (progress.played <= output.length || this.unreported >= (sampleRate * REPORT_MS) / 1000) {
        const { reply, played, buffered } = progress;
        this.port.postMessage({ state: "playing", reply, playedMs: ms(played), bufferedMs: ms(buffered) });
        this.unreported = 0;
      }
    }
    return true;
  }
}

function ms(samples) {
  return Math.round((samples * 1000) / sampleRate);
}

registerProcessor("floe-playback", Playback);
