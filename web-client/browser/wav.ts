// What the fake microphone hears: recorded sentences with a quiet room between them, as 48 kHz WAV.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Resampler } from '../src/audio/resample';
import { fromPcm16, toPcm16 } from '../src/audio/pcm';
import { ROOT } from './floe';

const AUDIO = `${ROOT}/tests/fixtures/audio`;
const RATE = 48_000;

/** Sentences of the suite's fixtures, by what they say. */
export const SENTENCES = {
  'what time is it': '17-slt.wav',
  'tell me about family': '00-en-us.wav',
  'thank you very much': '14-en-us-m3.wav',
  'what is twenty divided by sixteen': '31-awb.wav',
  'yes please': '10-en-gb.wav',
} as const;

export type Sentence = keyof typeof SENTENCES;

export interface Sound {
  rate: number;
  samples: Float32Array;
}

export function readWav(bytes: Uint8Array): Sound {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12, rate = 0; at + 8 <= view.byteLength; ) {
    const [name, size] = [view.getUint32(at), view.getUint32(at + 4, true)];
    if (name === 0x666d7420) rate = view.getUint32(at + 12, true);
    if (name === 0x64617461) return { rate, samples: fromPcm16(new DataView(view.buffer, view.byteOffset + at + 8, Math.min(size, view.byteLength - at - 8))) };
    at += 8 + size + (size % 2);
  }
  throw new Error('no WAV file');
}

export function writeWav({ rate, samples }: Sound): Uint8Array<ArrayBuffer> {
  const sound = toPcm16(samples);
  const bytes = new Uint8Array(44 + sound.length);
  const view = new DataView(bytes.buffer);
  const word = (at: number, text: string): void => [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  word(0, 'RIFF');
  view.setUint32(4, 36 + sound.length, true);
  word(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, 'data');
  view.setUint32(40, sound.length, true);
  bytes.set(sound, 44);
  return bytes;
}

/** A room is never quite silent; a microphone that is, is broken. */
function quiet(seconds: number): Float32Array {
  let seed = 7;
  return Float32Array.from({ length: Math.round(seconds * RATE) }, () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return (seed / 2 ** 31 - 0.5) * 0.004;
  });
}

function spoken(sentence: Sentence): Float32Array {
  const { rate, samples } = readWav(readFileSync(`${AUDIO}/${SENTENCES[sentence]}`));
  const resampler = new Resampler(rate, RATE);
  const [body, end] = [resampler.process(samples), resampler.finish()];
  const all = new Float32Array(body.length + end.length);
  all.set(body);
  all.set(end, body.length);
  return all;
}

/** Writes what is said, with seconds of quiet between; negative ones are a microphone that gives nothing. Gives the file. */
export function microphone(name: string, parts: (Sentence | number)[]): string {
  const pieces = parts.map((part) => {
    if (typeof part === 'string') return spoken(part);
    return part < 0 ? new Float32Array(RATE * -part) : quiet(part);
  });
  const samples = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    samples.set(piece, at);
    at += piece.length;
  }
  const folder = `${ROOT}/target/web-test`;
  mkdirSync(folder, { recursive: true });
  const file = `${folder}/${name}.wav`;
  writeFileSync(file, writeWav({ rate: RATE, samples }));
  return file;
}
