// The fixtures are those of the Rust tests (tests/suite/protocol): both sides read and write the same bytes.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Captions } from '../src/session/captions';
import {
  AUDIO_DOWN, FLAG_LAST, HEADER_BYTES, readFrame, readMessage, writeFrame, type ClientMessage, type Hello, type ServerMessage,
} from '../src/session/protocol';
import { initial, reduce } from '../src/session/state';

const FOLDER = fileURLToPath(new URL('../../tests/fixtures/protocol', import.meta.url));
const files = readdirSync(FOLDER);
const read = (file: string): string => readFileSync(`${FOLDER}/${file}`, 'utf8');

/** What this client writes, one of each; a `Record` so that a type without an example does not compile. */
const WRITTEN: { [Type in Exclude<ClientMessage['type'], 'hello'>]: Extract<ClientMessage, { type: Type }> } = {
  update: {
    type: 'update',
    turn: { mode: 'manual', silence_ms: 400, preroll_ms: 250, min_speech_ms: 80, min_interruption_ms: 160, threshold: 0.5, reply: true, barge_in: false },
    instructions: 'Speak slowly.', voice: 'en-us', language: 'en', speak: false, tools: [],
  },
  'input.commit': { type: 'input.commit' },
  'input.clear': { type: 'input.clear' },
  'input.mute': { type: 'input.mute', muted: true },
  text: { type: 'text', text: 'What time is it?', reply: true },
  'reply.create': { type: 'reply.create', instructions: 'In one word.' },
  'reply.cancel': { type: 'reply.cancel', reply: 7 },
  playback: { type: 'playback', reply: 7, played_ms: 1840, buffered_ms: 620, state: 'playing' },
  'tool.result': { type: 'tool.result', call: 'call_3', output: { on: true } },
  ping: { type: 'ping', id: 4, t: 1722.5 },
  bye: { type: 'bye', flush: true },
};

describe('messages', () => {
  test.each(files.filter((file) => file.startsWith('server.')))('%s is read, and does no harm', (file) => {
    const message = readMessage(read(file)) as ServerMessage;
    expect(file).toBe(`server.${message.type}.json`);
    const [state] = reduce({ ...initial, link: 'open' }, { type: 'message', message });
    expect(state.link).toBe('open');
    expect(() => new Captions().take(message)).not.toThrow();
  });

  test.each(Object.entries(WRITTEN))('client.%s.json is what we write', (type, message) => {
    expect(JSON.parse(JSON.stringify(message))).toEqual(JSON.parse(read(`client.${type}.json`)));
  });

  test('our hello has the fields of the fixture, and no others', () => {
    const fixture = JSON.parse(read('client.hello.json')) as Hello;
    const ours: Hello = {
      type: 'hello', client: { name: 'floe-voice', version: '1', platform: 'web' }, agent: 'default', conversation: null,
      input: { formats: [] }, output: { formats: [] }, framing: 'v1', features: ['playback', 'partials', 'resume'], turn: { mode: 'auto' }, resume: null,
    };
    expect(Object.keys(fixture)).toEqual(expect.arrayContaining(Object.keys(ours)));
  });

  test('every client message of the protocol is one of ours', () => {
    const known = new Set([...Object.keys(WRITTEN), 'hello']);
    for (const file of files.filter((name) => name.startsWith('client.'))) expect(known).toContain(file.slice(7, -5));
  });

  test.each(['', '[]', 'null', '7', '{', '{"type":7}', '"text"'])('%j is no message', (text) => {
    expect(readMessage(text)).toBeNull();
  });
});

describe('frames', () => {
  test('the example of the documentation', () => {
    const bytes = Uint8Array.from([0x02, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0x03, 0xc0, 1, 2]);
    const frame = readFrame(bytes.buffer);
    expect({ ...frame, payload: frame?.payload.byteLength }).toEqual({ flags: 0, stream: 7, sequence: 2, timestamp: 960, payload: 2 });
  });

  test('a header is twelve big-endian bytes, and numbers wrap', () => {
    const frame = writeFrame({ flags: 9, stream: 0x0102, sequence: 0x01020304, timestamp: -2 }, Uint8Array.of(5));
    expect([...new Uint8Array(frame)]).toEqual([1, 9, 1, 2, 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xfe, 5]);
    const down = readFrame(writeFrame({ flags: FLAG_LAST, stream: 3, sequence: 2 ** 32 + 5, timestamp: 0 }, new Uint8Array(0), AUDIO_DOWN));
    expect([down?.sequence, down?.flags, down?.payload.byteLength]).toEqual([5, FLAG_LAST, 0]);
  });

  test('short ones and unknown kinds are ignored', () => {
    expect(readFrame(new ArrayBuffer(HEADER_BYTES - 1))).toBeNull();
    expect(readFrame(Uint8Array.from([9, ...new Array<number>(20).fill(0)]).buffer)).toBeNull();
  });
});
