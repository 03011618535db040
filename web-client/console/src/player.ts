// The sound of a conversation: both sides play in step, on the axis of its media time.

import { part } from './timeline.js';
import type { Track } from './shapes.js';

/** Apart by more than this they are put in step again: less is not heard. */
const APART_S = 0.06;

export class Player {
  #elements = new Map<string, HTMLAudioElement>();
  #part: number;
  #at_ms = 0;
  #frame = 0;
  #muted = new Set<string>();
  isPlaying = false;

  constructor(
    private readonly tracks: readonly Track[],
    /** Where a track is got from. */
    private readonly source: (track: Track) => Promise<string>,
    private readonly changed: () => void,
    private readonly failed: (error: unknown) => void,
  ) {
    this.#part = tracks[0]?.part ?? 1;
  }

  get at_ms(): number {
    return this.#at_ms;
  }

  async seek(at_ms: number): Promise<void> {
    const wanted = part(this.tracks, at_ms);
    if (wanted !== this.#part) for (const element of this.#elements.values()) element.pause();
    [this.#part, this.#at_ms] = [wanted, at_ms];
    this.changed();
    if (this.isPlaying) await this.play();
    else this.#place();
  }

  async play(): Promise<void> {
    this.isPlaying = true;
    this.changed();
    try {
      const all = await Promise.all(this.#current().map((track) => this.#element(track)));
      this.#place();
      // One that is over already would begin anew.
      await Promise.all(all.filter((element) => !(element.currentTime >= element.duration)).map((element) => element.play()));
      cancelAnimationFrame(this.#frame);
      this.#frame = requestAnimationFrame(() => this.#step());
    } catch (error) {
      this.pause();
      // Somebody paused before it had begun.
      if ((error as Error).name !== 'AbortError') this.failed(error);
    }
  }

  pause(): void {
    this.isPlaying = false;
    cancelAnimationFrame(this.#frame);
    for (const element of this.#elements.values()) element.pause();
    this.changed();
  }

  mute(side: string, isMuted: boolean): void {
    if (isMuted) this.#muted.add(side);
    else this.#muted.delete(side);
    for (const track of this.tracks) {
      const element = this.#elements.get(track.id);
      if (element && track.track === side) element.muted = isMuted;
    }
  }

  end(): void {
    this.pause();
    for (const element of this.#elements.values()) {
      if (element.src.startsWith('blob:')) URL.revokeObjectURL(element.src);
      element.removeAttribute('src');
      element.load();
    }
    this.#elements.clear();
  }

  #current(): Track[] {
    return this.tracks.filter((track) => track.part === this.#part && track.here);
  }

  async #element(track: Track): Promise<HTMLAudioElement> {
    const known = this.#elements.get(track.id);
    if (known) return known;
    const element = new Audio();
    this.#elements.set(track.id, element);
    element.preload = 'auto';
    element.muted = this.#muted.has(track.track);
    element.src = await this.source(track);
    await new Promise<void>((resolve, reject) => {
      element.addEventListener('loadedmetadata', () => resolve(), { once: true });
      element.addEventListener('error', () => reject(new Error('This browser cannot play it.')), { once: true });
    });
    return element;
  }

  /** Puts every element where it belongs. */
  #place(): void {
    for (const track of this.#current()) {
      const element = this.#elements.get(track.id);
      if (element && element.readyState > 0) element.currentTime = Math.max(0, Math.min((this.#at_ms - track.start_ms) / 1000, element.duration));
    }
  }

  #step(): void {
    const all = this.#current().flatMap((track) => {
      const element = this.#elements.get(track.id);
      return element ? [{ track, element }] : [];
    });
    const going = all.filter(({ element }) => !element.ended && !element.paused);
    const [leader] = going;
    if (leader) {
      this.#at_ms = leader.track.start_ms + leader.element.currentTime * 1000;
      for (const { element } of going.slice(1)) {
        if (Math.abs(element.currentTime - leader.element.currentTime) > APART_S) element.currentTime = leader.element.currentTime;
      }
    } else {
      const next = this.tracks.find((track) => track.part > this.#part && track.here);
      if (!next) return this.pause();
      void this.seek(next.start_ms);
      return;
    }
    this.changed();
    this.#frame = requestAnimationFrame(() => this.#step());
  }
}
