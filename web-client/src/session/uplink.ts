// The microphone's frames on their way to the server: numbered, sent as the socket takes them, kept in case it breaks. Pure.

import { FLAG_DROPPED, FLAG_START, FRAME_MS, writeFrame } from './protocol.js';

/** Ten seconds. What is older is let go of, sent or not, and the server is told. */
export const KEPT_FRAMES = 10_000 / FRAME_MS;
/** About a second of PCM, several of Opus: what is not in the socket yet can still be sent elsewhere. */
export const BUFFERED_BYTES_MAX = 32_000;

interface Kept {
  sequence: number;
  timestamp: number;
  flags: number;
  payload: Uint8Array;
}

/** Where frames go. */
export interface Outlet {
  readonly bufferedAmount: number;
  send(data: ArrayBuffer): void;
}

export class Uplink {
  #kept: Kept[] = [];
  /** How many of these have been sent. */
  #sent = 0;
  #sequence = 0;
  #timestamp = 0;
  #flags = FLAG_START;
  /** Frames that nobody will ever hear. */
  dropped = 0;

  /** `clock` is `ready.input.clock`: units of a timestamp per second. */
  constructor(public clock: number) {}

  /** Takes an encoded frame. */
  push(payload: Uint8Array): void {
    this.#kept.push({ sequence: this.#sequence, timestamp: this.#timestamp, flags: this.#flags, payload });
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.#flags = 0;
    this.#tick();
    if (this.#kept.length <= KEPT_FRAMES) return;
    this.#kept.shift();
    if (this.#sent > 0) this.#sent -= 1;
    else this.#drop(1);
  }

  /** A frame's time passes, and it is not for the server: muted, or push-to-talk is not held. */
  skip(): void {
    this.#tick();
    this.#flags |= FLAG_START;
  }

  /** Sends what has not been sent, as far as the socket takes it. */
  pump(outlet: Outlet): void {
    while (this.#sent < this.#kept.length && outlet.bufferedAmount < BUFFERED_BYTES_MAX) {
      const frame = this.#kept[this.#sent] as Kept;
      outlet.send(writeFrame({ flags: frame.flags, stream: 0, sequence: frame.sequence, timestamp: frame.timestamp }, frame.payload));
      this.#sent += 1;
    }
  }

  /** The session goes on, and its server has heard everything before frame `sequence`. */
  resume(sequence: number): void {
    this.#sent = 0;
    // Signed distance: numbers wrap.
    const missing = this.#kept.findIndex((frame) => ((frame.sequence - sequence) | 0) >= 0);
    const heard = missing === -1 ? this.#kept.length : missing;
    this.#kept.splice(0, heard);
    const [first] = this.#kept;
    if (first && first.sequence !== sequence >>> 0) first.flags |= FLAG_DROPPED;
  }

  /** Another session, or one that this page does not know yet: what no server has heard follows from `sequence` on. */
  restart(clock: number, sequence = 0): void {
    const unheard = this.#kept.slice(this.#sent);
    this.clock = clock;
    this.#kept = [];
    this.#sent = this.#timestamp = 0;
    this.#sequence = sequence >>> 0;
    this.#flags = FLAG_START;
    for (const { payload } of unheard) this.push(payload);
  }

  /** Frames that wait for the socket. */
  get waiting(): number {
    return this.#kept.length - this.#sent;
  }

  #tick(): void {
    this.#timestamp = (this.#timestamp + (this.clock * FRAME_MS) / 1000) >>> 0;
  }

  #drop(frames: number): void {
    this.dropped += frames;
    const [first] = this.#kept;
    if (first) first.flags |= FLAG_DROPPED;
  }
}
