// Runs on the browser's audio thread: what the microphone hears, 40 ms of 16-bit samples at a time.

const SAMPLES = 960;

registerProcessor('microphone', class extends AudioWorkletProcessor {
  #chunk = new Int16Array(SAMPLES);
  #length = 0;

  process([[heard]], [[sound]]) {
    // Nobody speaks: silence, as long as the output is.
    for (let at = 0; at < sound.length; at += 1) {
      this.#chunk[this.#length] = Math.max(-1, Math.min(1, heard?.[at] ?? 0)) * 32767;
      this.#length += 1;
      if (this.#length === SAMPLES) {
        this.port.postMessage(this.#chunk.slice().buffer);
        this.#length = 0;
      }
    }
    return true;
  }
});
