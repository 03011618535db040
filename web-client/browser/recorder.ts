// Runs in the page, before its scripts: records what goes to the loudspeaker, and notes when things happened.

/** What a test reads. Times of the audio clock, in seconds. */
export interface Heard {
  rate: number;
  blocks: { at: number; samples: number[] }[];
  /** When messages of the server arrived. */
  messages: { type: string; at: number; message: Record<string, unknown> }[];
  phases: string[];
  timings: Record<string, number>[];
  locks: string[];
}

/** Served under `/recorder.js` by the test: the page's own policy allows no other way. */
export const RECORDER = `
registerProcessor('recorder', class extends AudioWorkletProcessor {
  process([[heard]]) {
    if (heard) this.port.postMessage({ at: currentTime, samples: heard.slice() });
    return true;
  }
});`;

export function install(): void {
  const heard: Heard = { rate: 0, blocks: [], messages: [], phases: [], timings: [], locks: [] };
  const page = globalThis as unknown as { heard: Heard; tracks: MediaStreamTrack[]; output: AudioContext | null };
  Object.assign(page, { heard, tracks: [], output: null });

  const connect = AudioNode.prototype.connect as (this: AudioNode, to: AudioNode) => AudioNode;
  AudioNode.prototype.connect = function (this: AudioNode, to: AudioNode) {
    // On another origin's page, whose policy forbids it, nothing is recorded.
    if (to === this.context.destination) record(this).catch(() => {});
    return connect.call(this, to);
  } as never;
  async function record(node: AudioNode): Promise<void> {
    const context = node.context as AudioContext;
    page.output = context;
    heard.rate = context.sampleRate;
    await context.audioWorklet.addModule('/recorder.js');
    const recorder = new AudioWorkletNode(context, 'recorder', { numberOfOutputs: 0 });
    recorder.port.onmessage = ({ data }: MessageEvent<{ at: number; samples: Float32Array }>) => {
      heard.blocks.push({ at: data.at, samples: Array.from(data.samples) });
    };
    connect.call(node, recorder);
  }

  const devices = navigator.mediaDevices;
  const getUserMedia = devices?.getUserMedia.bind(devices);
  if (getUserMedia) {
    devices.getUserMedia = async (constraints) => {
      const stream = await getUserMedia(constraints);
      page.tracks.push(...stream.getTracks());
      return stream;
    };
  }

  const request = navigator.wakeLock?.request.bind(navigator.wakeLock);
  if (request) {
    navigator.wakeLock.request = async (type) => {
      heard.locks.push('locked');
      const lock = await request(type);
      lock.addEventListener('release', () => heard.locks.push('released'));
      return lock;
    };
  }

  addEventListener('DOMContentLoaded', () => {
    const element = document.querySelector('floe-voice') as (HTMLElement & { session: { on(name: string, listener: (value: never) => void): void } }) | null;
    if (!element) return;
    void customElements.whenDefined('floe-voice').then(() => {
      const note = (message: Record<string, unknown>): number =>
        heard.messages.push({ type: String(message['type']), at: page.output?.currentTime ?? 0, message });
      element.session.on('message', note as never);
      element.session.on('timing', ((timing: Record<string, number>) => heard.timings.push(timing)) as never);
    });
    document.addEventListener('voice-state', (event) => {
      if (event.target === element) heard.phases.push((event as CustomEvent<{ phase: string }>).detail.phase);
    });
  });
}
