// The wire of floe.v1: the header of audio frames, the hello, and what a closed socket means. Pure.

export const SUBPROTOCOL = "floe.v1";
export const HEADER_BYTES = 12;
export const INPUT_RATE_HZ = 16000;
export const OUTPUT_RATE_HZ = 24000;
export const FRAME_SAMPLES = 320; // 20 ms of microphone

export const AUDIO_UP = 1;
export const AUDIO_DOWN = 2;

export const FLAG_START = 0x01;
export const FLAG_LAST = 0x02;
export const FLAG_DROPPED = 0x08;

/** Writes the 12-byte header, big-endian, into the room kept for it at the start of `buffer`. */
export function writeHeader(buffer, { kind, flags = 0, stream = 0, sequence, timestamp }) {
  const view = new DataView(buffer);
  view.setUint8(0, kind);
  view.setUint8(1, flags);
  view.setUint16(2, stream);
  view.setUint32(4, sequence >>> 0);
  view.setUint32(8, timestamp >>> 0);
}

/** Reads a frame; null if it is too short or of a kind we do not know (both are to be ignored). */
export function readFrame(buffer) {
  if (buffer.byteLength < HEADER_BYTES) return null;
  const view = new DataView(buffer);
  const kind = view.getUint8(0);
  if (kind !== AUDIO_DOWN) return null;
  return {
    kind,
    flags: view.getUint8(1),
    stream: view.getUint16(2),
    sequence: view.getUint32(4),
    timestamp: view.getUint32(8),
    payload: new DataView(buffer, HEADER_BYTES),
  };
}

/** Writes samples in -1…1 as 16-bit little-endian from byte `at` on. */
export function writePcm16(samples, buffer, at = 0) {
  const view = new DataView(buffer, at);
  for (let i = 0; i < samples.length; i += 1) {
    const clipped = Math.max(-1, Math.min(1, samples[i]));
    view.setInt16(2 * i, Math.round(clipped < 0 ? clipped * 32768 : clipped * 32767), true);
  }
}

/** Reads 16-bit little-endian samples; half a sample at the end is ignored. */
export function readPcm16(view) {
  const samples = new Float32Array(view.byteLength >> 1);
  for (let i = 0; i < samples.length; i += 1) samples[i] = view.getInt16(2 * i, true) / 32768;
  return samples;
}

/** The first message. */
export function hello() {
  return {
    type: "hello",
    client: { name: "floe-page", version: "1", platform: "web" },
    input: { formats: [{ codec: "pcm_s16le", rate: INPUT_RATE_HZ, frame_ms: 20 }] },
    output: { formats: [{ codec: "pcm_s16le", rate: OUTPUT_RATE_HZ, frame_ms: 20 }] },
    framing: "v1",
    turn: { mode: "auto" },
    features: ["playback", "partials"],
    resume: null,
  };
}

/** Where the server of this page listens. */
export function streamUrl(location) {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/v1/stream`;
}

const CLOSE_WORDS = {
  1000: "The conversation has ended.",
  1001: "The server is going away. Try again in a moment.",
  1011: "Something broke on the server. Try again.",
  1012: "The server is restarting. Try again in a moment.",
  1013: "The server is busy. Try again in a moment.",
  4401: "The server asks for a key that this page does not have.",
  4403: "The server does not accept conversations from this page.",
  4408: "The conversation ended because nothing happened for a while.",
  4409: "The conversation went on in another window.",
  4410: "The conversation reached its longest time.",
  4429: "The server is busy. Try again in a moment.",
};

/** Why the socket closed, in plain words. `fatal` is the last error message of the server, if it sent one. */
export function closeWords(code, fatal) {
  if (fatal && !(code in CLOSE_WORDS)) return `The server ended the conversation: ${fatal}`;
  return CLOSE_WORDS[code] ?? "The connection was lost.";
}

/** What went wrong with the microphone, in plain words, by the name of the error. */
export function microphoneWords(name) {
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The microphone is blocked. Allow it in the browser's address bar; typing works without it.";
    case "NotFoundError":
      return "There is no microphone. Typing works without it.";
    case "NotReadableError":
      return "Another program is using the microphone. Typing works without it.";
    case "Insecure":
      return "The browser allows the microphone only over https or on localhost. Typing works without it.";
    default:
      return "The microphone does not work. Typing works without it.";
  }
}
