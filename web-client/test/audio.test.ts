import { expect, test } from 'vitest';
import { nearest } from '../src/audio/playback';
import { fromPcm16, measure, toPcm16 } from '../src/audio/pcm';
import { Resampler } from '../src/audio/resample';

function tone(hz: number, rate: number, samples: number): Float32Array {
  return Float32Array.from({ length: samples }, (_, at) => Math.sin((2 * Math.PI * hz * at) / rate));
}

function through(resampler: Resampler, input: Float32Array, piece: number): Float32Array {
  const output: number[] = [];
  for (let at = 0; at < input.length; at += piece) output.push(...resampler.process(input.subarray(at, at + piece)));
  output.push(...resampler.finish());
  return Float32Array.from(output);
}

test.each([[48_000, 16_000], [44_100, 16_000], [24_000, 48_000], [24_000, 44_100], [16_000, 16_000]])('a tone survives from %i to %i Hz', (from, to) => {
  const output = through(new Resampler(from, to), tone(1000, from, from / 4), 128);
  expect(Math.abs(output.length - to / 4)).toBeLessThanOrEqual(2);
  const wanted = tone(1000, to, output.length);
  for (let at = 100; at < output.length - 100; at += 1) expect(Math.abs((output[at] as number) - (wanted[at] as number))).toBeLessThan(0.002);
});

test('what the lower rate cannot hold does not fold back', () => {
  const output = through(new Resampler(48_000, 16_000), tone(11_000, 48_000, 12_000), 128);
  expect(measure(output.subarray(100, -100)).rms).toBeLessThan(0.001);
});

test('pieces of any size give the same', () => {
  const input = tone(700, 44_100, 4410);
  const whole = through(new Resampler(44_100, 16_000), input, 4410);
  const pieces = through(new Resampler(44_100, 16_000), input, 37);
  expect(pieces).toHaveLength(whole.length);
  pieces.forEach((sample, at) => expect(sample).toBeCloseTo(whole[at] as number, 5));
});

test('samples survive the way to bytes and back', () => {
  const bytes = toPcm16(Float32Array.of(0, 0.5, -0.5, 1, -1, 7));
  expect([...bytes.slice(6, 12)]).toEqual([0xff, 0x7f, 0x00, 0x80, 0xff, 0x7f]);
  const back = fromPcm16(new DataView(bytes.buffer));
  [0, 0.5, -0.5, 1, -1, 1].forEach((wanted, at) => expect(back[at]).toBeCloseTo(wanted, 3));
  expect(fromPcm16(new DataView(new ArrayBuffer(3)))).toHaveLength(1);
});

test('a frame names its reply by the last 16 bits', () => {
  expect(nearest(7, 7)).toBe(7);
  expect(nearest(7, 0)).toBe(7);
  expect(nearest(0, 65_536)).toBe(65_536);
  expect(nearest(65_535, 65_536)).toBe(65_535);
  expect(nearest(1, 65_535)).toBe(65_537);
});
