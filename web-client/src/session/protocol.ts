// The messages of `floe.v1` (docs/protocol.md) and its 12-byte frame header. Pure.

export const SUBPROTOCOL = 'floe.v1';
export const HEADER_BYTES = 12;
export const AUDIO_UP = 1;
export const AUDIO_DOWN = 2;
export const FLAG_START = 0x01;
export const FLAG_LAST = 0x02;
export const FLAG_DROPPED = 0x08;

/** Microphone audio: what both encoders take, and what plain PCM is sent as. */
export const INPUT_RATE_HZ = 16_000;
export const FRAME_MS = 20;
export const FRAME_SAMPLES = (INPUT_RATE_HZ * FRAME_MS) / 1000;
export const OUTPUT_RATE_HZ = 24_000;

export interface Format {
  codec: string;
  rate?: number;
  frame_ms?: number;
  clock?: number;
}

export type TurnMode = 'auto' | 'manual';

/** What a client may set, in `hello` and `update`. */
export interface Settings {
  turn?: {
    mode?: TurnMode;
    silence_ms?: number;
    preroll_ms?: number;
    min_speech_ms?: number;
    min_interruption_ms?: number;
    threshold?: number;
    reply?: boolean;
    barge_in?: boolean;
  };
  instructions?: string;
  voice?: string;
  language?: string;
  speak?: boolean;
  tools?: unknown[];
}

export interface Resume {
  token: string;
  last_n: number;
  reply?: number;
  played_ms?: number;
}

export interface Hello extends Settings {
  type: 'hello';
  client: { name: string; version: string; platform: string };
  agent: string;
  conversation: string | null;
  input: { formats: Format[] };
  output: { formats: Format[] };
  framing: 'v1';
  features: string[];
  resume: Resume | null;
}

export type PlaybackState = 'playing' | 'paused' | 'drained' | 'flushed';

export type ClientMessage =
  | Hello
  | ({ type: 'update' } & Settings)
  | { type: 'input.commit' }
  | { type: 'input.clear' }
  | { type: 'input.mute'; muted: boolean }
  | { type: 'text'; text: string; reply?: boolean; system?: boolean }
  | { type: 'reply.create'; instructions?: string; text?: string }
  | { type: 'reply.cancel'; reply?: number }
  | { type: 'playback'; reply: number; played_ms: number; buffered_ms: number; state: PlaybackState }
  | { type: 'tool.result'; call: string; output?: unknown; error?: string }
  | { type: 'ping'; id: number; t: number }
  | { type: 'bye'; flush?: boolean };

/** Something said earlier, as `ready` tells it to a client that does not know. */
export interface Said {
  id: number;
  role: string;
  text: string;
  interrupted: boolean;
}

export interface Ready {
  type: 'ready';
  n: number;
  session: string;
  conversation: string | null;
  agent: string;
  input: Format;
  output: Format;
  features: string[];
  settings: Settings;
  limits: Record<string, number>;
  resumed?: boolean;
  reason?: string;
  input_next_seq?: number;
  items?: Said[];
  resume: { token: string; window_s: number } | null;
  heartbeat_s: number;
  server: { name: string; version: string };
}

/** Milliseconds from the end of the user's speech; stages that were not reached are absent. */
export interface Latency {
  eot?: number;
  asr?: number;
  llm_first?: number;
  tts_first?: number;
  first_audio?: number;
}

export type ServerMessage =
  | Ready
  | ({ type: 'updated'; n: number } & Settings)
  | { type: 'speech.started'; n: number; turn: number; t: number }
  | { type: 'speech.stopped'; n: number; turn: number; t: number; reason: string }
  | { type: 'turn.committed'; n: number; turn: number; durable: boolean }
  | { type: 'transcript.partial'; n: number; turn: number; rev: number; stable: string; unstable: string }
  | { type: 'transcript.final'; n: number; turn: number; text: string; language?: string; confidence?: number }
  | { type: 'reply.started'; n: number; reply: number; turn: number | null }
  | { type: 'reply.text'; n: number; reply: number; delta: string }
  | { type: 'reply.interrupted'; n: number; reply: number; at_ms: number; heard_text: string }
  | { type: 'reply.done'; n: number; reply: number; status: string; reason?: string; text: string; latency_ms?: Latency }
  | { type: 'tool.call'; n: number; call: string; name: string; arguments: string; reply: number }
  | { type: 'warning'; n: number; code: string; message: string; turn?: number }
  | { type: 'error'; n: number; code: string; message: string; fatal: boolean; ref?: string; retry_after_s?: number }
  | { type: 'pong'; id?: number; t?: number; server_t?: number }
  | { type: 'going_away'; n: number; in_s: number; reason: string }
  | { type: 'ended'; n: number; reason: string }
  | { type: 'metrics'; n: number; values: Record<string, number> };

/** Reads a text message; null if it is none. Of a type that this version does not know nobody takes notice. */
export function readMessage(text: string): ServerMessage | null {
  try {
    const value = JSON.parse(text) as { type?: unknown } | null;
    return typeof value?.type === 'string' ? (value as ServerMessage) : null;
  } catch {
    return null;
  }
}

export interface FrameHeader {
  flags: number;
  /** Up 0, down the reply's number modulo 65536. */
  stream: number;
  sequence: number;
  /** Of the first sample, in `clock` units. */
  timestamp: number;
}

export interface Frame extends FrameHeader {
  payload: DataView<ArrayBuffer>;
}

/** A microphone frame: the big-endian header, then the audio. */
export function writeFrame(header: FrameHeader, payload: Uint8Array, kind = AUDIO_UP): ArrayBuffer {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, kind);
  view.setUint8(1, header.flags);
  view.setUint16(2, header.stream);
  view.setUint32(4, header.sequence >>> 0);
  view.setUint32(8, header.timestamp >>> 0);
  bytes.set(payload, HEADER_BYTES);
  return bytes.buffer;
}

/** Reads a frame of speech; null if it is too short or of a kind that is not known, which is to be ignored. */
export function readFrame(buffer: ArrayBuffer): Frame | null {
  if (buffer.byteLength < HEADER_BYTES) return null;
  const view = new DataView(buffer);
  if (view.getUint8(0) !== AUDIO_DOWN) return null;
  return {
    flags: view.getUint8(1),
    stream: view.getUint16(2),
    sequence: view.getUint32(4),
    timestamp: view.getUint32(8),
    payload: new DataView(buffer, HEADER_BYTES),
  };
}
