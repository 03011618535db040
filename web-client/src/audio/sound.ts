// The browser's sound: one context for microphone and loudspeaker, so that the echo canceller knows what is played.

/** Where the worklets lie: in a file beside this script. (CSP forbids most pages to run one out of memory.) */
export function workletUrl(): URL {
  return new URL(/* @vite-ignore */ './worklet.js', import.meta.url);
}

export class Sound {
  context: AudioContext | null = null;
  #opened: Promise<AudioContext> | null = null;

  constructor(private readonly url: string | URL, private readonly on: { interrupted(): void }) {}

  /** Prepares it. Must be called inside a click or key press: browsers allow sound only then. */
  open(): Promise<AudioContext> {
    this.#opened ??= this.#open();
    // Not awaited: a phone call can keep the context interrupted for as long as it likes.
    this.context?.resume().catch(() => {});
    return this.#opened;
  }

  /** After a phone call, or when the page is looked at again. */
  wake(): void {
    if (this.context && this.context.state !== 'running') this.context.resume().catch(() => {});
  }

  close(): void {
    this.context?.close().catch(() => {});
    this.context = this.#opened = null;
  }

  async #open(): Promise<AudioContext> {
    // iOS plays through the earpiece, or not at all beside a microphone, if it is not told.
    const session = (navigator as { audioSession?: { type: string } }).audioSession;
    if (session) session.type = 'play-and-record';
    const context = new AudioContext({ latencyHint: 'interactive' });
    this.context = context;
    context.addEventListener('statechange', () => {
      if (context.state === 'running' || context.state === 'closed') return;
      this.on.interrupted();
      // A phone call may have taken it; the next touch brings it back.
      addEventListener('pointerdown', () => this.wake(), { once: true });
    });
    try {
      await context.audioWorklet.addModule(this.url);
    } catch (error) {
      this.close();
      throw error;
    }
    return context;
  }
}
