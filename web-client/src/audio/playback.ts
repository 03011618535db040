// The loudspeaker: the page's side of the playback worklet.

import { FLAG_LAST, type Frame, type PlaybackState } from '../session/protocol.js';
import { fromPcm16 } from './pcm.js';

/** To the worklet. */
export type PlaybackRequest =
  | { type: 'samples'; reply: number; samples: Float32Array; rateHz: number }
  | { type: 'end'; reply: number }
  | { type: 'flush' };

/** From the worklet, and to whoever plays. */
export interface PlaybackReport {
  state: PlaybackState;
  reply: number;
  playedMs: number;
  bufferedMs: number;
  /** How often sound ran out in the middle of a reply. */
  underruns: number;
  /** Pieces that came too late. */
  late: number;
  /** What is held back at the beginning, as the network demands by now. */
  reserveMs: number;
}

/** Speech that comes before sound is allowed waits; the server does not send more than this ahead. */
const WAITING_MAX = 256;

export class Playback {
  #node: AudioWorkletNode | null = null;
  #context: AudioContext | null = null;
  #waiting: PlaybackRequest[] = [];
  /** The reply whose speech comes, and the number of its next frame. */
  #reply: number | null = null;
  #sequence = 0;
  /** Cut off: what is still on its way is thrown away. */
  #silenced = new Set<number>();
  /** Where a reply began, after coming back in the middle of it. */
  #offsets = new Map<number, number>();
  #last: PlaybackReport | null = null;

  constructor(private readonly report: (report: PlaybackReport) => void) {}

  /** Connects the worklet, whose module has been loaded. */
  open(context: AudioContext): void {
    this.#context = context;
    this.#node = new AudioWorkletNode(context, 'floe-playback', { numberOfInputs: 0, numberOfOutputs: 1, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }: MessageEvent<PlaybackReport>) => this.#played(data);
    this.#node.connect(context.destination);
    for (const request of this.#waiting.splice(0)) this.#post(request);
  }

  /** One frame of speech. `current` is the number of the newest reply: a frame names only its last 16 bits. */
  play(frame: Frame, current: number, rateHz: number, clock: number): void {
    const reply = nearest(frame.stream, current);
    if (this.#silenced.has(reply)) return;
    if (reply !== this.#reply) {
      this.#reply = reply;
      this.#sequence = frame.sequence;
      // Only a page that was loaded anew gets a reply from its middle on.
      if (frame.timestamp > 0) this.#offsets.set(reply, Math.round((1000 * frame.timestamp) / clock));
    }
    // Sent again after a lost connection: already here.
    if (((frame.sequence - this.#sequence) | 0) < 0) return;
    this.#sequence = (frame.sequence + 1) >>> 0;
    if (frame.payload.byteLength > 1) this.#post({ type: 'samples', reply, samples: fromPcm16(frame.payload), rateHz });
    if (frame.flags & FLAG_LAST) this.#post({ type: 'end', reply });
  }

  /** No more speech of this reply will come, whether its last frame did or not. */
  end(reply: number): void {
    this.#post({ type: 'end', reply });
  }

  /** Silence, now, and nothing more of this reply. */
  flush(reply: number): void {
    if (this.#silenced.has(reply)) return;
    this.#silenced.add(reply);
    this.#waiting = [];
    this.#post({ type: 'flush' });
    // Nothing of it was played, so the worklet knows nothing to report.
    if (this.#last?.reply !== reply) this.report({ ...NOTHING, reply, state: 'flushed' });
  }

  /** Another session counts its replies anew. */
  restart(): void {
    this.#post({ type: 'flush' });
    this.#reply = this.#last = null;
    this.#silenced.clear();
    this.#offsets.clear();
  }

  /** Where the loudspeaker is, in the reply that it plays. */
  position(): { reply: number; played_ms: number } | null {
    const last = this.#last;
    if (!last || last.state === 'drained' || last.state === 'flushed') return null;
    return { reply: last.reply, played_ms: last.playedMs };
  }

  /** The sound was stopped from outside, such as by a phone call. */
  pause(): void {
    if (this.position() && this.#last) this.report({ ...this.#last, state: 'paused' });
  }

  close(): void {
    this.#node?.disconnect();
    this.#node = this.#context = null;
  }

  #post(request: PlaybackRequest): void {
    if (!this.#node) {
      if (request.type !== 'flush' && this.#waiting.length < WAITING_MAX) this.#waiting.push(request);
      return;
    }
    this.#node.port.postMessage(request, request.type === 'samples' ? [request.samples.buffer] : []);
  }

  /** What was played has been heard only after the device's own delay. */
  #played(report: PlaybackReport): void {
    const delayMs = report.state === 'drained' ? 0 : Math.round((this.#context?.outputLatency ?? 0) * 1000);
    const playedMs = Math.max(0, report.playedMs - delayMs) + (this.#offsets.get(report.reply) ?? 0);
    this.#last = { ...report, playedMs };
    this.report(this.#last);
  }
}

const NOTHING = { playedMs: 0, bufferedMs: 0, underruns: 0, late: 0, reserveMs: 0 };

/** The number with these last 16 bits that is nearest to `current`. */
export function nearest(stream: number, current: number): number {
  return current + (((stream - current) << 16) >> 16);
}
