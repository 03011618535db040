// The microphone: whatever rate the browser gives becomes 20 ms frames of 16 kHz PCM, with room for the header.

import { Resampler } from "./resample.js";
import { FRAME_SAMPLES, HEADER_BYTES, INPUT_RATE_HZ, writePcm16 } from "./wire.js";

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, INPUT_RATE_HZ);
    this.frame = new Float32Array(FRAME_SAMPLES);
    this.filled = 0;
  }

  process([channels]) {
    if (channels.length === 0) return true;
    const mono = channels.length === 1 ? channels[0] : mixed(channels);
    for (const sample of this.resampler.process(mono)) {
      this.frame[this.filled] = sample;
      this.filled += 1;
      if (this.filled === FRAME_SAMPLES) this.#post();
    }
    return true;
  }

  #post() {
    const buffer = new ArrayBuffer(HEADER_BYTES + 2 * FRAME_SAMPLES);
    writePcm16(this.frame, buffer, HEADER_BYTES);
    const level = Math.sqrt(this.frame.reduce((sum, sample) => sum + sample * sample, 0) / FRAME_SAMPLES);
    this.port.postMessage({ buffer, level }, [buffer]);
    this.filled = 0;
  }
}

function mixed(channels) {
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

registerProcessor("floe-capture", Capture);
