import { expect, test } from 'vitest';
import { FLAG_DROPPED, FLAG_START, HEADER_BYTES } from '../src/session/protocol';
import { BUFFERED_BYTES_MAX, KEPT_FRAMES, Uplink } from '../src/session/uplink';

interface Sent {
  flags: number;
  sequence: number;
  timestamp: number;
  payload: number;
}

class Outlet {
  bufferedAmount = 0;
  sent: Sent[] = [];

  send(data: ArrayBuffer): void {
    const view = new DataView(data);
    this.sent.push({ flags: view.getUint8(1), sequence: view.getUint32(4), timestamp: view.getUint32(8), payload: view.getUint8(HEADER_BYTES) });
  }

  get sequences(): number[] {
    return this.sent.map(({ sequence }) => sequence);
  }
}

function filled(frames: number): Uplink {
  const uplink = new Uplink(16_000);
  for (let at = 0; at < frames; at += 1) uplink.push(Uint8Array.of(at));
  return uplink;
}

test('speech from before the server was ready is sent then', () => {
  const [uplink, outlet] = [filled(3), new Outlet()];
  uplink.pump(outlet);
  expect(outlet.sent).toEqual([
    { flags: FLAG_START, sequence: 0, timestamp: 0, payload: 0 },
    { flags: 0, sequence: 1, timestamp: 320, payload: 1 },
    { flags: 0, sequence: 2, timestamp: 640, payload: 2 },
  ]);
});

test('a socket that is full is left alone until it is not', () => {
  const [uplink, outlet] = [filled(3), new Outlet()];
  outlet.bufferedAmount = BUFFERED_BYTES_MAX;
  uplink.pump(outlet);
  expect([outlet.sent.length, uplink.waiting]).toEqual([0, 3]);
  outlet.bufferedAmount = 0;
  uplink.pump(outlet);
  expect(outlet.sequences).toEqual([0, 1, 2]);
});

test('more than ten seconds are let go of, and the server is told', () => {
  const [uplink, outlet] = [filled(KEPT_FRAMES + 7), new Outlet()];
  uplink.pump(outlet);
  expect([outlet.sent.length, outlet.sent[0]?.sequence, uplink.dropped]).toEqual([KEPT_FRAMES, 7, 7]);
  expect((outlet.sent[0]?.flags ?? 0) & FLAG_DROPPED).toBe(FLAG_DROPPED);
});

test('coming back, everything that the server has not heard is sent again', () => {
  const [uplink, before, after] = [filled(5), new Outlet(), new Outlet()];
  uplink.pump(before);
  uplink.push(Uint8Array.of(5));
  uplink.resume(3);
  uplink.pump(after);
  expect(after.sequences).toEqual([3, 4, 5]);
  expect(after.sent.map(({ flags }) => flags)).toEqual([0, 0, 0]);
  uplink.resume(6);
  expect(uplink.waiting).toBe(0);
});

test('coming back too late, the gap is told', () => {
  const [uplink, outlet] = [filled(KEPT_FRAMES + 10), new Outlet()];
  uplink.resume(2);
  uplink.pump(outlet);
  expect(outlet.sent[0]).toMatchObject({ sequence: 10, flags: FLAG_DROPPED });
});

test('numbers wrap on the way back, too', () => {
  const uplink = new Uplink(16_000);
  uplink.restart(16_000, 0xfffffffe);
  for (let at = 0; at < 4; at += 1) uplink.push(Uint8Array.of(at));
  const outlet = new Outlet();
  uplink.resume(0xffffffff);
  uplink.pump(outlet);
  expect(outlet.sequences).toEqual([0xffffffff, 0, 1]);
});

test('another session gets what nobody heard, from its first number on', () => {
  const [uplink, before, after] = [filled(4), new Outlet(), new Outlet()];
  uplink.pump(before);
  uplink.push(Uint8Array.of(9));
  uplink.restart(48_000);
  uplink.push(Uint8Array.of(10));
  uplink.pump(after);
  expect(after.sent).toEqual([
    { flags: FLAG_START, sequence: 0, timestamp: 0, payload: 9 },
    { flags: 0, sequence: 1, timestamp: 960, payload: 10 },
  ]);
});

test('time goes on while muted, and speech begins a spurt', () => {
  const [uplink, outlet] = [filled(1), new Outlet()];
  uplink.skip();
  uplink.skip();
  uplink.push(Uint8Array.of(1));
  uplink.pump(outlet);
  expect(outlet.sent[1]).toMatchObject({ flags: FLAG_START, sequence: 1, timestamp: 960 });
});
