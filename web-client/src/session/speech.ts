// What the microphone gives, on its way to the uplink: kept until the server is ready, left out while nobody may hear it.

import { encoderFor, type FrameEncoder } from '../audio/encoder.js';
import { FRAME_MS, type Format } from './protocol.js';
import type { Uplink } from './uplink.js';

/** Speech from before the server said what it takes: as much as the uplink would keep. */
const EARLY_FRAMES = 10_000 / FRAME_MS;
/** 300 ms from before push-to-talk was pressed, when the first syllable was out. */
const PREROLL_FRAMES = 300 / FRAME_MS;

/** Who may hear a frame. */
export type Hearing = 'server' | 'later' | 'nobody';

export class Speech {
  #encoder: FrameEncoder | null = null;
  #codec: string | null = null;
  #early: Float32Array[] = [];
  #preroll: Float32Array[] = [];

  /** `captured` is called for every frame that is for the server, `failed` if the encoder breaks. */
  constructor(private readonly uplink: Uplink, private readonly on: { captured(): void; failed(): void }) {}

  /** The server is ready, and takes this. What was said before goes first. */
  begin(format: Format): void {
    if (!this.#encoder || this.#codec !== format.codec) {
      this.#encoder?.close();
      this.#codec = format.codec;
      this.#encoder = encoderFor(format, (packet) => this.uplink.push(packet), () => {
        this.#encoder = null;
        this.on.failed();
      });
    }
    for (const frame of this.#early.splice(0)) this.#encode(frame);
  }

  /** Takes a frame. `later`: push-to-talk may be pressed in a moment. */
  take(frame: Float32Array, hearing: Hearing): void {
    if (hearing === 'server') return this.#encode(frame);
    if (hearing === 'nobody') this.#preroll = [];
    else this.#preroll.push(frame);
    if (this.#preroll.length > PREROLL_FRAMES) this.#preroll.shift();
    this.uplink.skip();
  }

  /** Push-to-talk was pressed. */
  recall(): void {
    for (const frame of this.#preroll.splice(0)) this.#encode(frame);
  }

  /** Once everything that was taken is in the uplink. */
  async flush(): Promise<void> {
    await this.#encoder?.flush().catch(() => {});
  }

  /** The microphone was closed: what no server has heard by now, none shall. */
  forget(): void {
    this.#early = [];
    this.#preroll = [];
  }

  /** The conversation is over. */
  end(): void {
    this.forget();
    this.#encoder?.close();
    this.#encoder = null;
  }

  #encode(frame: Float32Array): void {
    if (this.#encoder) {
      this.on.captured();
      return this.#encoder.encode(frame);
    }
    this.#early.push(frame);
    if (this.#early.length > EARLY_FRAMES) this.#early.shift();
  }
}
