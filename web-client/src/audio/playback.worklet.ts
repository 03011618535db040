// The voice: samples at the server's rate in, sound at the browser's rate out; says how far it has played.

import { JitterBuffer } from './jitter.js';
import type { PlaybackReport, PlaybackRequest } from './playback.js';
import { Resampler } from './resample.js';

const REPORT_MS = 250;

function ms(samples: number): number {
  return Math.round((1000 * samples) / sampleRate);
}

class Playback extends AudioWorkletProcessor {
  readonly #buffer = new JitterBuffer(sampleRate);
  #resampler: Resampler | null = null;
  #reply: number | null = null;
  #unreported = 0;
  #wasPlaying = false;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<PlaybackRequest>) => this.#take(data);
  }

  #take(request: PlaybackRequest): void {
    switch (request.type) {
      case 'samples':
        if (request.reply !== this.#reply || !this.#resampler) {
          this.#reply = request.reply;
          this.#resampler = new Resampler(request.rateHz, sampleRate);
        }
        return this.#buffer.push(request.reply, this.#resampler.process(request.samples));
      case 'end':
        if (request.reply === this.#reply && this.#resampler) this.#buffer.push(request.reply, this.#resampler.finish());
        this.#reply = null;
        return this.#buffer.end(request.reply);
      case 'flush':
        this.#reply = null;
        this.#buffer.flush();
    }
  }

  process(_: Float32Array[][], [outputs]: Float32Array[][]): boolean {
    const output = outputs?.[0];
    if (!output) return true;
    for (const { type, reply, played } of this.#buffer.read(output)) this.#report(type, reply, played, 0);
    const progress = this.#buffer.progress();
    const isPlaying = this.#buffer.isPlaying && progress !== null;
    if (isPlaying) {
      this.#unreported += output.length;
      // The first sound is told at once.
      if (!this.#wasPlaying || ms(this.#unreported) >= REPORT_MS) this.#report('playing', progress.reply, progress.played, progress.buffered);
    }
    this.#wasPlaying = isPlaying;
    return true;
  }

  #report(state: PlaybackReport['state'], reply: number, played: number, buffered: number): void {
    this.#unreported = 0;
    const { underruns, late, reserveMs } = this.#buffer;
    const report: PlaybackReport = { state, reply, playedMs: ms(played), bufferedMs: ms(buffered), underruns, late, reserveMs };
    this.port.postMessage(report);
  }
}

registerProcessor('floe-playback', Playback);
