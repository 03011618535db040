// What a person waits for, on the page's own clock. Pure: times come from outside.

import { FRAME_MS } from './protocol.js';

/** In milliseconds. */
export interface Timing {
  /** From the beginning, a click or key press, to the first word of the user's on the screen. */
  startToWord?: number;
  /** From the end of the user's speech, as the server heard it, to the first sound of the reply. */
  speechToSound?: number;
  /** From the moment when the page learns of an interruption until its loudspeaker is silent. */
  interruptionToSilence?: number;
}

/** A minute of frames: longer than any utterance. */
const FRAMES_MAX = 60_000 / FRAME_MS;

export class Stopwatch {
  #captured: number[] = [];
  #forgotten = 0;
  #startedAt: number | null = null;
  #spokeUntil: number | null = null;
  #interruptedAt: number | null = null;

  start(now: number): void {
    this.#startedAt = now;
  }

  /** A frame that is for the server ends now. */
  captured(now: number): void {
    this.#captured.push(now);
    if (this.#captured.length <= FRAMES_MAX) return;
    this.#captured.shift();
    this.#forgotten += 1;
  }

  /** The server counts the microphone's audio anew. */
  restart(): void {
    this.#captured = [];
    this.#forgotten = 0;
    this.#spokeUntil = null;
  }

  word(now: number): Timing | null {
    if (this.#startedAt === null) return null;
    const startToWord = now - this.#startedAt;
    this.#startedAt = null;
    return { startToWord };
  }

  /** The user's speech ended at `positionMs` of the microphone's audio. */
  stopped(positionMs: number): void {
    const frame = Math.max(0, Math.ceil(positionMs / FRAME_MS) - 1) - this.#forgotten;
    this.#spokeUntil = this.#captured[frame] ?? null;
  }

  sounded(now: number): Timing | null {
    if (this.#spokeUntil === null) return null;
    const speechToSound = now - this.#spokeUntil;
    this.#spokeUntil = null;
    return { speechToSound };
  }

  interrupted(now: number): void {
    this.#interruptedAt = now;
  }

  silent(now: number): Timing | null {
    if (this.#interruptedAt === null) return null;
    const interruptionToSilence = now - this.#interruptedAt;
    this.#interruptedAt = null;
    return { interruptionToSilence };
  }
}
