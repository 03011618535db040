// The microphone: asking for it, choosing one, noticing that it is gone.

import type { Trouble } from '../session/state.js';

export interface MicrophoneEvents {
  /** 20 ms at 16 kHz. */
  frame(samples: Float32Array): void;
  /** It was unplugged, or taken away. */
  lost(): void;
  /** Which ones there are has changed. */
  changed(): void;
}

/** A microphone to choose. */
export interface Device {
  id: string;
  name: string;
}

export class Microphone {
  #stream: MediaStream | null = null;
  #source: MediaStreamAudioSourceNode | null = null;
  #capture: AudioWorkletNode | null = null;
  #wanted = '';
  #opening = 0;

  constructor(private readonly on: MicrophoneEvents) {
    navigator.mediaDevices?.addEventListener('devicechange', () => this.on.changed());
  }

  /** Which one to use, by its id; empty for the browser's choice. Counts from the next `open`. */
  set wanted(id: string) {
    this.#wanted = id;
  }

  /** The one in use; null if none is. */
  get current(): string | null {
    return this.#stream?.getAudioTracks()[0]?.getSettings().deviceId ?? null;
  }

  get isOpen(): boolean {
    return this.#stream !== null;
  }

  /** Opens it, in the place of one that is open. Gives what is wrong, or null. */
  async open(context: AudioContext): Promise<Trouble | null> {
    if (!globalThis.isSecureContext) return 'insecure';
    if (!navigator.mediaDevices?.getUserMedia) return 'unsupported';
    this.#opening += 1;
    const mine = this.#opening;
    let stream: MediaStream;
    try {
      stream = await this.#ask();
    } catch (error) {
      return trouble((error as DOMException).name);
    }
    if (mine !== this.#opening) {
      for (const track of stream.getTracks()) track.stop();
      return null;
    }
    this.#release();
    this.#use(context, stream);
    return null;
  }

  close(): void {
    this.#opening += 1;
    this.#release();
  }

  /** While muted the track gives silence, and the browser's own sign may say so. */
  mute(muted: boolean): void {
    for (const track of this.#stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** Those that there are. Names are empty until the microphone was allowed once. */
  async devices(): Promise<Device[]> {
    const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    return all.filter(({ kind, deviceId }) => kind === 'audioinput' && deviceId !== '').map(({ deviceId, label }) => ({ id: deviceId, name: label }));
  }

  /** The one that was chosen; if it is gone, the browser's choice. */
  async #ask(): Promise<MediaStream> {
    // Wishes, not conditions: some browsers lack some of them.
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
    const { mediaDevices } = navigator;
    if (!this.#wanted) return mediaDevices.getUserMedia({ audio });
    return mediaDevices.getUserMedia({ audio: { ...audio, deviceId: { exact: this.#wanted } } }).catch((error: DOMException) => {
      if (error.name === 'NotAllowedError') throw error;
      this.#wanted = '';
      return mediaDevices.getUserMedia({ audio });
    });
  }

  #use(context: AudioContext, stream: MediaStream): void {
    this.#stream = stream;
    for (const track of stream.getAudioTracks()) {
      track.onended = () => {
        this.#release();
        this.on.lost();
      };
    }
    this.#source = context.createMediaStreamSource(stream);
    this.#capture = new AudioWorkletNode(context, 'floe-capture', { numberOfInputs: 1, numberOfOutputs: 0 });
    this.#capture.port.onmessage = ({ data }: MessageEvent<Float32Array>) => this.on.frame(data);
    this.#source.connect(this.#capture);
  }

  #release(): void {
    if (this.#capture) this.#capture.port.onmessage = null;
    this.#source?.disconnect();
    for (const track of this.#stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.#stream = this.#source = this.#capture = null;
  }
}

function trouble(name: string): Trouble {
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'missing';
    default:
      return 'busy';
  }
}
