import assert from "node:assert/strict";
import { test } from "node:test";
import * as wire from "../wire.js";

test("a header is twelve big-endian bytes", () => {
  const buffer = new ArrayBuffer(16);
  wire.writeHeader(buffer, { kind: wire.AUDIO_UP, flags: 0x09, stream: 0x0102, sequence: 0x01020304, timestamp: 0xfffefdfc });
  assert.deepEqual([...new Uint8Array(buffer)], [1, 9, 1, 2, 1, 2, 3, 4, 0xff, 0xfe, 0xfd, 0xfc, 0, 0, 0, 0]);
});

test("numbers wrap instead of failing", () => {
  const buffer = new ArrayBuffer(12);
  wire.writeHeader(buffer, { kind: wire.AUDIO_DOWN, sequence: 2 ** 32 + 5, timestamp: -1 });
  assert.deepEqual({ ...wire.readFrame(buffer), payload: null }, {
    kind: 2, flags: 0, stream: 0, sequence: 5, timestamp: 0xffffffff, payload: null,
  });
});

test("short frames and unknown kinds are ignored", () => {
  assert.equal(wire.readFrame(new ArrayBuffer(11)), null);
  assert.equal(wire.readFrame(new ArrayBuffer(0)), null);
  assert.equal(wire.readFrame(new Uint8Array([9, ...new Array(20).fill(0)]).buffer), null);
});

test("samples survive the way to bytes and back", () => {
  const buffer = new ArrayBuffer(wire.HEADER_BYTES + 12);
  wire.writePcm16(Float32Array.of(0, 0.5, -0.5, 1, -1, 7), buffer, wire.HEADER_BYTES);
  const bytes = new Uint8Array(buffer, wire.HEADER_BYTES);
  assert.deepEqual([...bytes.slice(6, 12)], [0xff, 0x7f, 0x00, 0x80, 0xff, 0x7f], "little-endian and clipped");
  const samples = wire.readPcm16(new DataView(buffer, wire.HEADER_BYTES));
  [0, 0.5, -0.5, 1, -1, 1].forEach((wanted, i) => assert.ok(Math.abs(samples[i] - wanted) < 1e-4));
  assert.equal(wire.readPcm16(new DataView(new ArrayBuffer(3))).length, 1);
});

test("the address follows the page's own", () => {
  assert.equal(wire.streamUrl({ protocol: "http:", host: "localhost:8080" }), "ws://localhost:8080/v1/stream");
  assert.equal(wire.streamUrl({ protocol: "https:", host: "floe.example" }), "wss://floe.example/v1/stream");
});

test("the hello offers what the page can do", () => {
  const hello = JSON.parse(JSON.stringify(wire.hello()));
  assert.deepEqual(hello.input.formats, [{ codec: "pcm_s16le", rate: 16000, frame_ms: 20 }]);
  assert.deepEqual(hello.output.formats, [{ codec: "pcm_s16le", rate: 24000, frame_ms: 20 }]);
  assert.deepEqual([hello.type, hello.framing, hello.features], ["hello", "v1", ["playback", "partials"]]);
});

test("every end has plain words", () => {
  assert.match(wire.closeWords(4429), /busy/);
  assert.match(wire.closeWords(1006), /lost/);
  assert.match(wire.closeWords(4400, "no hello"), /no hello/);
  assert.match(wire.microphoneWords("NotAllowedError"), /blocked/);
  assert.match(wire.microphoneWords("Insecure"), /https/);
  assert.match(wire.microphoneWords("Whatever"), /Typing works/);
});
