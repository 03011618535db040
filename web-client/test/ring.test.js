import assert from "node:assert/strict";
import { test } from "node:test";
import { Ring } from "../ring.js";

// 1 kHz makes a sample a millisecond.
const ring = (options) => new Ring(1000, { capacityMs: 1000, startMs: 100, fadeMs: 5, ...options });
const ones = (count) => new Float32Array(count).fill(1);

function play(ring, count, block = 16) {
  const out = [];
  const events = [];
  while (out.length < count) {
    const piece = new Float32Array(Math.min(block, count - out.length));
    events.push(...ring.read(piece));
    out.push(...piece);
  }
  return { out, events };
}

test("playing waits for a reserve, then goes on to the end", () => {
  const one = ring();
  one.push(7, ones(99));
  assert.ok(play(one, 50).out.every((s) => s === 0), "too little to begin");
  one.push(7, ones(101));
  one.end(7);
  const { out, events } = play(one, 300);
  assert.deepEqual(events, [{ type: "drained", reply: 7, played: 200 }]);
  assert.equal(out.filter((s) => s === 1).length, 196, "faded in, then whole");
  assert.ok(out.slice(200).every((s) => s === 0));
  assert.equal(one.progress(), null);
});

test("a reply shorter than the reserve is played once it is complete", () => {
  const one = ring();
  one.push(1, ones(30));
  assert.ok(play(one, 20).out.every((s) => s === 0));
  one.end(1);
  assert.deepEqual(play(one, 50).events, [{ type: "drained", reply: 1, played: 30 }]);
});

test("running dry fades out, waits for a reserve and fades in again", () => {
  const one = ring();
  one.push(1, ones(100));
  const first = play(one, 150);
  assert.deepEqual(first.events, [], "not over, only late");
  assert.ok(first.out[99] < 0.3 && first.out[100] === 0);
  const jumps = first.out.slice(1).map((s, i) => Math.abs(s - first.out[i]));
  assert.ok(Math.max(...jumps) <= 0.21, "no click");
  one.push(1, ones(50));
  assert.ok(play(one, 30).out.every((s) => s === 0));
  one.push(1, ones(50));
  one.end(1);
  assert.deepEqual(play(one, 120).events, [{ type: "drained", reply: 1, played: 200 }]);
});

test("a flush fades within five milliseconds and says what was heard", () => {
  const one = ring();
  one.push(3, ones(500));
  play(one, 200);
  assert.deepEqual(one.progress(), { reply: 3, played: 200, buffered: 300 });
  assert.ok(one.flush());
  const { out, events } = play(one, 32);
  assert.deepEqual(events, [{ type: "flushed", reply: 3, played: 205 }]);
  assert.ok(out[0] < 1 && out[0] > out[1] && out[3] > 0);
  assert.ok(out.slice(5).every((s) => s === 0));
  assert.equal(one.flush(), false, "nothing left to flush");
});

test("what comes after a flush is played as if nothing had been", () => {
  const one = ring();
  one.push(1, ones(300));
  play(one, 64);
  one.flush();
  one.push(2, ones(150));
  one.end(2);
  const { events } = play(one, 300);
  assert.deepEqual(events, [
    { type: "flushed", reply: 1, played: 69 },
    { type: "drained", reply: 2, played: 150 },
  ]);
});

test("a flush before the first sound is reported as nothing heard", () => {
  const one = ring();
  one.push(1, ones(50));
  one.flush();
  assert.deepEqual(play(one, 16).events, [{ type: "flushed", reply: 1, played: 0 }]);
});

test("a flush tells of every reply that waited", () => {
  const one = ring();
  one.push(1, ones(200));
  one.end(1);
  one.push(2, ones(80));
  play(one, 96);
  one.flush();
  assert.deepEqual(play(one, 16).events, [
    { type: "flushed", reply: 1, played: 101 },
    { type: "flushed", reply: 2, played: 0 },
  ]);
});

test("replies follow one another and keep their own counts", () => {
  const one = ring();
  one.push(1, ones(120));
  one.end(1);
  one.push(2, ones(80));
  one.end(2);
  const { out, events } = play(one, 250);
  assert.deepEqual(events, [
    { type: "drained", reply: 1, played: 120 },
    { type: "drained", reply: 2, played: 80 },
  ]);
  assert.ok(out.slice(10, 200).every((s) => s === 1), "without a gap");
});

test("an end after the last sample was played still drains", () => {
  const one = ring();
  one.push(1, ones(100));
  assert.deepEqual(play(one, 200).events, []);
  one.end(1);
  assert.deepEqual(play(one, 16).events, [{ type: "drained", reply: 1, played: 100 }]);
});

test("a full ring drops the newest and counts it", () => {
  const one = ring();
  one.push(1, ones(1500));
  assert.equal(one.dropped, 500);
  one.end(1);
  assert.deepEqual(play(one, 1100).events, [{ type: "drained", reply: 1, played: 1000 }]);
});

test("it goes round for as long as one likes", () => {
  const one = ring();
  let next = 0;
  const heard = [];
  for (let i = 0; i < 400; i += 1) {
    one.push(1, Float32Array.from({ length: 20 }, () => (next += 1)));
    heard.push(...play(one, 20).out.filter((s) => s !== 0));
  }
  for (let i = 10; i < heard.length; i += 1) assert.equal(heard[i], heard[i - 1] + 1);
});
