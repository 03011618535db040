import { expect, test } from 'vitest';
import { closeWords, next, pauseMs } from '../src/session/closing';
import { FRAME_MS } from '../src/session/protocol';
import { Quiet } from '../src/session/quiet';
import { initial, PHASES, type Trouble } from '../src/session/state';
import { Stopwatch } from '../src/session/stopwatch';
import { streamUrl } from '../src/session/session';
import { english, line } from '../src/ui/words';

test('pauses stay between their bounds', () => {
  for (const random of [0, 0.999]) {
    expect(pauseMs(0, random)).toBeGreaterThanOrEqual(250);
    expect(pauseMs(30, random)).toBeLessThanOrEqual(45_000);
  }
});

test('every end has plain words', () => {
  expect(closeWords(1000, null)).toBeNull();
  expect(closeWords(4400, 'no hello')).toMatch(/no hello/);
  expect([1006, 1013, 4003, 4401, 4409].map(next)).toEqual(['later', 'later', 'ticket', 'ticket', 'stop']);
});

test('a microphone is silent after four seconds of nothing, and no longer at the first sound', () => {
  const quiet = new Quiet();
  const changes = Array.from({ length: 4000 / FRAME_MS }, () => quiet.changed(0));
  expect([changes.indexOf(true), quiet.isQuiet]).toEqual([4000 / FRAME_MS - 1, true]);
  expect([quiet.changed(0.001), quiet.isQuiet]).toEqual([true, false]);
});

test('the stopwatch knows when a position of the microphone was captured', () => {
  const watch = new Stopwatch();
  watch.start(1000);
  for (let frame = 0; frame < 100; frame += 1) watch.captured(2000 + frame * FRAME_MS);
  expect(watch.word(2500)).toEqual({ startToWord: 1500 });
  expect(watch.word(2600)).toBeNull();
  watch.stopped(1000);
  expect(watch.sounded(4000)).toEqual({ speechToSound: 4000 - (2000 + 49 * FRAME_MS) });
  expect(watch.sounded(4100)).toBeNull();
  watch.interrupted(5000);
  expect(watch.silent(5030)).toEqual({ interruptionToSilence: 30 });
});

test('every state and trouble says what to do', () => {
  for (const phase of PHASES) expect(line(english, phase, initial).join(' ').length).toBeGreaterThan(20);
  const troubles: Trouble[] = ['denied', 'missing', 'busy', 'insecure', 'unsupported', 'unplugged'];
  for (const trouble of troubles) expect(line(english, 'blocked', { ...initial, trouble })[1]).toMatch(/type/);
  expect(line(english, 'hearing', { ...initial, mode: 'manual' })[1]).toMatch(/Let go/);
});

test('the stream is where the server is', () => {
  expect(streamUrl('https://voice.example')).toBe('wss://voice.example/v1/stream');
  expect(streamUrl('http://localhost:8080/page')).toBe('ws://localhost:8080/v1/stream');
});
