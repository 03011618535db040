// A microphone that is on and gives nothing: switched off at the device, muted by the system, or the wrong one. Pure.

import { FRAME_MS } from './protocol.js';

/** The quietest real microphone in the quietest room is above that. */
const PEAK_MIN = 2 / 32768;
const PATIENCE_FRAMES = 4_000 / FRAME_MS;

export class Quiet {
  #frames = 0;
  isQuiet = false;

  restart(): void {
    this.#frames = 0;
    this.isQuiet = false;
  }

  /** Takes a frame's highest sample. Whether `isQuiet` changed by it. */
  changed(peak: number): boolean {
    this.#frames = peak > PEAK_MIN ? 0 : this.#frames + 1;
    const isQuiet = this.#frames >= PATIENCE_FRAMES;
    const hasChanged = isQuiet !== this.isQuiet;
    this.isQuiet = isQuiet;
    return hasChanged;
  }
}
