import { expect, test } from 'vitest';
import { JitterBuffer, type JitterOptions, type Over } from '../src/audio/jitter';

// 1 kHz makes a sample a millisecond.
const jitter = (options: JitterOptions = {}): JitterBuffer =>
  new JitterBuffer(1000, { capacityMs: 1000, reserveMs: 100, reserveMinMs: 60, reserveMaxMs: 400, ...options });
const ones = (count: number): Float32Array => new Float32Array(count).fill(1);

function play(one: JitterBuffer, count: number, block = 16): { out: number[]; over: Over[] } {
  const out: number[] = [];
  const over: Over[] = [];
  while (out.length < count) {
    const piece = new Float32Array(Math.min(block, count - out.length));
    over.push(...one.read(piece));
    out.push(...piece);
  }
  return { out, over };
}

test('playing waits for a reserve, then goes on to the end', () => {
  const one = jitter();
  one.push(7, ones(99));
  expect(play(one, 50).out.every((sample) => sample === 0)).toBe(true);
  one.push(7, ones(101));
  one.end(7);
  const { out, over } = play(one, 300);
  expect(over).toEqual([{ type: 'drained', reply: 7, played: 200 }]);
  expect(out.filter((sample) => sample === 1)).toHaveLength(196);
  expect(out.slice(200).every((sample) => sample === 0)).toBe(true);
  expect(one.progress()).toBeNull();
});

test('a reply shorter than the reserve is played once it is complete', () => {
  const one = jitter();
  one.push(1, ones(30));
  expect(play(one, 20).out.every((sample) => sample === 0)).toBe(true);
  one.end(1);
  expect(play(one, 50).over).toEqual([{ type: 'drained', reply: 1, played: 30 }]);
});

test('running dry fades out and in without a click, and is counted', () => {
  const one = jitter();
  one.push(1, ones(100));
  const first = play(one, 150);
  expect(first.over).toEqual([]);
  const jumps = first.out.slice(1).map((sample, at) => Math.abs(sample - (first.out[at] as number)));
  expect(Math.max(...jumps)).toBeLessThanOrEqual(0.21);
  one.push(1, ones(50));
  expect([one.underruns, one.late]).toEqual([1, 1]);
  expect(play(one, 30).out.every((sample) => sample === 0)).toBe(true);
  one.push(1, ones(50));
  one.end(1);
  expect(play(one, 120).over).toEqual([{ type: 'drained', reply: 1, played: 200 }]);
});

test('the reserve grows by what was missing, within bounds, and shrinks when all goes well', () => {
  const one = jitter();
  one.push(1, ones(100));
  play(one, 170);
  one.push(1, ones(200));
  play(one, 16);
  expect(one.reserveMs).toBeGreaterThanOrEqual(160);
  expect(one.reserveMs).toBeLessThanOrEqual(190);
  play(one, 1000);
  one.push(1, ones(500));
  play(one, 16);
  expect(one.reserveMs).toBe(400);
  one.end(1);
  play(one, 600);
  expect(one.reserveMs).toBe(400);
  for (let reply = 2; reply < 40; reply += 1) {
    one.push(reply, ones(50));
    one.end(reply);
    play(one, 80);
  }
  expect(one.reserveMs).toBe(60);
});

test('the end of a reply is no underrun', () => {
  const one = jitter();
  one.push(1, ones(150));
  one.end(1);
  play(one, 300);
  expect([one.underruns, one.late]).toEqual([0, 0]);
});

test('a flush fades within five milliseconds and says what was heard', () => {
  const one = jitter();
  one.push(3, ones(500));
  play(one, 200);
  expect(one.progress()).toEqual({ reply: 3, played: 200, buffered: 300 });
  expect(one.flush()).toBe(true);
  const { out, over } = play(one, 32);
  expect(over).toEqual([{ type: 'flushed', reply: 3, played: 205 }]);
  expect(out[0]).toBeLessThan(1);
  expect(out[3]).toBeGreaterThan(0);
  expect(out.slice(5).every((sample) => sample === 0)).toBe(true);
  expect(one.flush()).toBe(false);
});

test('what comes after a flush is played as if nothing had been', () => {
  const one = jitter();
  one.push(1, ones(300));
  play(one, 64);
  one.flush();
  one.push(2, ones(150));
  one.end(2);
  expect(play(one, 300).over).toEqual([
    { type: 'flushed', reply: 1, played: 69 },
    { type: 'drained', reply: 2, played: 150 },
  ]);
});

test('a flush tells of every reply that waited', () => {
  const one = jitter();
  one.push(1, ones(200));
  one.end(1);
  one.push(2, ones(80));
  play(one, 96);
  one.flush();
  expect(play(one, 16).over).toEqual([
    { type: 'flushed', reply: 1, played: 101 },
    { type: 'flushed', reply: 2, played: 0 },
  ]);
});

test('replies follow one another without a gap and keep their own counts', () => {
  const one = jitter();
  one.push(1, ones(120));
  one.end(1);
  one.push(2, ones(80));
  one.end(2);
  const { out, over } = play(one, 250);
  expect(over).toEqual([
    { type: 'drained', reply: 1, played: 120 },
    { type: 'drained', reply: 2, played: 80 },
  ]);
  expect(out.slice(10, 200).every((sample) => sample === 1)).toBe(true);
});

test('an end after the last sample was played still drains', () => {
  const one = jitter();
  one.push(1, ones(100));
  expect(play(one, 200).over).toEqual([]);
  one.end(1);
  expect(play(one, 16).over).toEqual([{ type: 'drained', reply: 1, played: 100 }]);
});

test('a full ring drops the newest and counts it', () => {
  const one = jitter();
  one.push(1, ones(1500));
  expect(one.dropped).toBe(500);
  one.end(1);
  expect(play(one, 1100).over).toEqual([{ type: 'drained', reply: 1, played: 1000 }]);
});

test('it goes round for as long as one likes', () => {
  const one = jitter();
  let next = 0;
  const heard: number[] = [];
  for (let round = 0; round < 400; round += 1) {
    one.push(1, Float32Array.from({ length: 20 }, () => (next += 1)));
    heard.push(...play(one, 20).out.filter((sample) => sample !== 0));
  }
  for (let at = 10; at < heard.length; at += 1) expect(heard[at]).toBe((heard[at - 1] as number) + 1);
});
