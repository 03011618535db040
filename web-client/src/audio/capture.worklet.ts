// The microphone: whatever rate the browser gives becomes frames of 20 ms at 16 kHz.

import { FRAME_SAMPLES, INPUT_RATE_HZ } from '../session/protocol.js';
import { Resampler } from './resample.js';

/** The average of all channels. */
function mixed(channels: Float32Array[]): Float32Array {
  const [first] = channels;
  if (!first || channels.length === 1) return first ?? new Float32Array(0);
  return first.map((_, at) => channels.reduce((sum, channel) => sum + (channel[at] ?? 0), 0) / channels.length);
}

class Capture extends AudioWorkletProcessor {
  readonly #resampler = new Resampler(sampleRate, INPUT_RATE_HZ);
  #frame = new Float32Array(FRAME_SAMPLES);
  #filled = 0;

  process([channels]: Float32Array[][]): boolean {
    if (!channels || channels.length === 0) return true;
    for (const sample of this.#resampler.process(mixed(channels))) {
      this.#frame[this.#filled] = sample;
      this.#filled += 1;
      if (this.#filled === FRAME_SAMPLES) this.#post();
    }
    return true;
  }

  #post(): void {
    const frame = this.#frame;
    this.#frame = new Float32Array(FRAME_SAMPLES);
    this.#filled = 0;
    this.port.postMessage(frame, [frame.buffer]);
  }
}

registerProcessor('floe-capture', Capture);
