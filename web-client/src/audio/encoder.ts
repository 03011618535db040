// What is sent for a frame of the microphone: Opus where the browser can make it, else PCM.

import { FRAME_MS, FRAME_SAMPLES, INPUT_RATE_HZ, type Format } from '../session/protocol.js';
import { toPcm16 } from './pcm.js';

/** Frames in, packets out, in order and as many. */
export interface FrameEncoder {
  encode(frame: Float32Array): void;
  /** Once everything that went in has come out. */
  flush(): Promise<void>;
  close(): void;
}

const OPUS = {
  codec: 'opus',
  sampleRate: INPUT_RATE_HZ,
  numberOfChannels: 1,
  bitrate: 24_000,
  opus: { frameDuration: FRAME_MS * 1000, application: 'voip' },
} as const;

/** Its timestamps count at 48 kHz whatever the rate. */
export const OPUS_UP: Format = { codec: 'opus', rate: INPUT_RATE_HZ, frame_ms: FRAME_MS };

let isSupported: Promise<boolean> | undefined;

/** Whether this browser makes Opus. */
export function canOpus(): Promise<boolean> {
  isSupported ??= (async () => {
    if (typeof AudioEncoder === 'undefined' || typeof AudioData === 'undefined') return false;
    const { supported } = await AudioEncoder.isConfigSupported(OPUS).catch(() => ({ supported: false }));
    return supported === true;
  })();
  return isSupported;
}

/** An encoder for what the server chose. `failed` is called if it breaks; nothing comes out of it any more then. */
export function encoderFor(format: Format, out: (packet: Uint8Array) => void, failed: (error: Error) => void): FrameEncoder {
  return format.codec === 'opus' ? new OpusEncoder(out, failed) : new PcmEncoder(out);
}

class PcmEncoder implements FrameEncoder {
  constructor(private readonly out: (packet: Uint8Array) => void) {}

  encode(frame: Float32Array): void {
    this.out(toPcm16(frame));
  }

  async flush(): Promise<void> {}

  close(): void {}
}

class OpusEncoder implements FrameEncoder {
  readonly #encoder: AudioEncoder;
  #frames = 0;

  constructor(out: (packet: Uint8Array) => void, failed: (error: Error) => void) {
    this.#encoder = new AudioEncoder({
      output: (chunk) => {
        const packet = new Uint8Array(chunk.byteLength);
        chunk.copyTo(packet);
        out(packet);
      },
      error: failed,
    });
    this.#encoder.configure(OPUS);
  }

  encode(frame: Float32Array): void {
    if (this.#encoder.state !== 'configured') return;
    const timestamp = this.#frames * FRAME_MS * 1000;
    this.#frames += 1;
    const data = new AudioData({
      format: 'f32', sampleRate: INPUT_RATE_HZ, numberOfChannels: 1, numberOfFrames: FRAME_SAMPLES, timestamp,
      data: frame as Float32Array<ArrayBuffer>,
    });
    this.#encoder.encode(data);
    data.close();
  }

  async flush(): Promise<void> {
    if (this.#encoder.state === 'configured') await this.#encoder.flush();
  }

  close(): void {
    if (this.#encoder.state !== 'closed') this.#encoder.close();
  }
}
