import assert from "node:assert/strict";
import { test } from "node:test";
import { Resampler } from "../resample.js";

const tone = (hz, rate, count) => Float32Array.from({ length: count }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rate));

function converted(from, to, input, size) {
  const resampler = new Resampler(from, to);
  const out = [];
  for (let at = 0; at < input.length; at += size) out.push(...resampler.process(input.subarray(at, at + size)));
  out.push(...resampler.finish());
  return Float32Array.from(out);
}

const level = (samples) => Math.sqrt(samples.reduce((sum, s) => sum + s * s, 0) / samples.length);

for (const [from, to] of [[48000, 16000], [44100, 16000], [24000, 48000], [24000, 44100], [22050, 48000], [16000, 16000]]) {
  test(`${from} Hz to ${to} Hz keeps length, time and level`, () => {
    const out = converted(from, to, tone(440, from, from), 128);
    assert.ok(Math.abs(out.length - to) <= 2, `${out.length} samples`);
    const wanted = tone(440, to, to);
    let worst = 0;
    for (let i = 200; i < to - 200; i += 1) worst = Math.max(worst, Math.abs(out[i] - wanted[i]));
    assert.ok(worst < 0.01, `off by ${worst}`);
  });
}

test("what the lower rate cannot hold is gone, not folded back", () => {
  const out = converted(48000, 16000, tone(11000, 48000, 48000), 128);
  assert.ok(level(out.subarray(200, 15800)) < 0.002);
});

test("the size of the pieces does not matter", () => {
  const input = tone(1234, 44100, 20000);
  const whole = converted(44100, 16000, input, 20000);
  for (const size of [1, 7, 128, 441]) {
    const pieces = converted(44100, 16000, input, size);
    assert.equal(pieces.length, whole.length);
    pieces.forEach((sample, i) => assert.ok(Math.abs(sample - whole[i]) < 1e-5));
  }
});

test("a long stream keeps no more than the filter needs", () => {
  const resampler = new Resampler(44100, 16000);
  let count = 0;
  for (let i = 0; i < 5000; i += 1) count += resampler.process(new Float32Array(128)).length;
  assert.ok(resampler.held.length < 300, `${resampler.held.length} held`);
  assert.ok(Math.abs(count - (5000 * 128 * 16000) / 44100) < 30);
});
