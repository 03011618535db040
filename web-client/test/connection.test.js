import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "../connection.js";

/** A socket without a network; a browser's does not exist here. */
class Socket {
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, sent: [], bufferedAmount: 0, closedWith: null });
    Socket.last = this;
  }

  send(data) {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : new DataView(data));
  }

  close(code) {
    this.closedWith = code ?? null;
  }

  says(message) {
    this.onmessage({ data: typeof message === "string" || message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }
}

function connect({ ready = true } = {}) {
  const log = [];
  let clock = 0;
  const on = {
    ready: (message) => log.push(["ready", message.session]),
    message: (message) => log.push(["message", message.type]),
    audio: (frame) => log.push(["audio", frame.stream]),
    closed: (end) => log.push(["closed", end]),
  };
  const connection = new Connection("ws://here/v1/stream", on, { Socket, now: () => clock });
  const socket = Socket.last;
  socket.onopen();
  if (ready) socket.says({ type: "ready", session: "ses_1" });
  return { connection, socket, log, later: (ms) => (clock += ms) };
}

test("the hello comes first, and nothing before the server is ready", () => {
  const { connection, socket, log } = connect({ ready: false });
  assert.deepEqual([socket.protocols, socket.sent[0].type], [["floe.v1"], "hello"]);
  assert.equal(connection.send({ type: "text", text: "early" }), false);
  connection.sendFrame(new ArrayBuffer(652));
  assert.equal(socket.sent.length, 1);
  socket.says({ type: "ready", session: "ses_1" });
  assert.deepEqual(log, [["ready", "ses_1"]]);
  assert.equal(connection.send({ type: "text", text: "now" }), true);
  connection.close();
});

test("frames are numbered, and what is dropped is said", () => {
  const { connection, socket } = connect();
  const frame = () => connection.sendFrame(new ArrayBuffer(652));
  frame();
  frame();
  socket.bufferedAmount = 40000;
  frame();
  frame();
  socket.bufferedAmount = 0;
  frame();
  frame();
  const read = socket.sent.slice(1).map((view) => [view.getUint8(0), view.getUint8(1), view.getUint32(4), view.getUint32(8)]);
  assert.deepEqual(read, [[1, 0x01, 0, 0], [1, 0, 1, 320], [1, 0x08, 2, 1280], [1, 0, 3, 1600]]);
  connection.close();
});

test("what we do not understand is ignored", () => {
  const { connection, socket, log } = connect();
  socket.says("not json");
  socket.says(new ArrayBuffer(3));
  socket.says({ type: "of.tomorrow" });
  assert.deepEqual(log.slice(1), [["message", "of.tomorrow"]]);
  connection.close();
});

test("the end comes once, with the server's last words", () => {
  const { connection, socket, log } = connect();
  socket.says({ type: "error", code: "x", message: "too many", fatal: true });
  socket.onclose({ code: 4429 });
  socket.onclose({ code: 1006 });
  assert.equal(connection.send({ type: "ping" }), false);
  assert.deepEqual(log.filter(([what]) => what === "closed"), [["closed", { opened: true, code: 4429, fatal: "too many" }]]);
});

test("goodbye is said and does not wait for an answer", () => {
  const { connection, socket, log } = connect();
  connection.close();
  assert.equal(socket.sent.at(-1).type, "bye");
  assert.equal(socket.closedWith, 1000);
  assert.deepEqual(log.at(-1), ["closed", { opened: true, code: 1000, fatal: null }]);
});

test("a server that falls silent is given up", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const { socket, log, later } = connect();
  later(15000);
  context.mock.timers.tick(15000);
  assert.equal(socket.sent.at(-1).type, "ping");
  later(30000);
  context.mock.timers.tick(30000);
  assert.deepEqual(log.at(-1), ["closed", { opened: true, code: 1006, fatal: null }]);
});

test("a server that never gets ready is given up", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const { log } = connect({ ready: false });
  context.mock.timers.tick(8000);
  assert.deepEqual(log, [["closed", { opened: false, code: 1006, fatal: null }]]);
});
