// One connection to the server: hello and ready, numbering of microphone frames, heartbeat, close.

import { AUDIO_UP, FLAG_DROPPED, FLAG_START, FRAME_SAMPLES, SUBPROTOCOL, hello, readFrame, writeHeader } from "./wire.js";

const READY_MS = 8000; // longest wait for `ready`
const PING_MS = 15000;
const SILENT_MS = 40000; // a server that says nothing for so long is gone
const BACKLOG_BYTES = 32000; // one second of microphone; what comes on top is dropped and said so

export class Connection {
  /**
   * Opens at once. `on` has `ready()`, `message(object)`, `audio(frame)` and `closed({ opened, code, fatal })`, which is
   * called exactly once. `Socket` and `now` are there for tests.
   */
  constructor(url, on, { Socket = WebSocket, now = () => performance.now() } = {}) {
    this.on = on;
    this.now = now;
    this.opened = false; // the server said `ready`
    this.fatal = null;
    this.over = false;
    this.sequence = 0;
    this.timestamp = 0;
    this.flags = FLAG_START;
    this.heard = now();
    this.socket = new Socket(url, [SUBPROTOCOL]);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.socket.send(JSON.stringify(hello()));
    this.socket.onmessage = ({ data }) => this.#take(data);
    this.socket.onclose = ({ code }) => this.#finish(code);
    this.waiting = setTimeout(() => this.#abandon(), READY_MS);
    this.heartbeat = setInterval(() => this.#beat(), PING_MS);
  }

  /** Sends a control message; false if the connection is not ready for it. */
  send(message) {
    if (!this.opened || this.over) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Sends one frame of microphone, whose buffer has room for the header. */
  sendFrame(buffer) {
    const timestamp = this.timestamp;
    // Time goes on for what is dropped, or never sent.
    this.timestamp = (timestamp + FRAME_SAMPLES) >>> 0;
    if (!this.opened || this.over) return;
    if (this.socket.bufferedAmount > BACKLOG_BYTES) {
      this.flags |= FLAG_DROPPED;
      return;
    }
    writeHeader(buffer, { kind: AUDIO_UP, flags: this.flags, sequence: this.sequence, timestamp });
    this.sequence = (this.sequence + 1) >>> 0;
    this.flags = 0;
    this.socket.send(buffer);
  }

  /** The microphone is about to send after a pause. */
  spurt() {
    this.flags |= FLAG_START;
  }

  /** Says goodbye. */
  close() {
    this.send({ type: "bye", flush: false });
    this.socket.close(1000);
    this.#finish(1000);
  }

  #take(data) {
    if (this.over) return;
    this.heard = this.now();
    if (typeof data !== "string") {
      const frame = readFrame(data);
      if (frame) this.on.audio(frame);
      return;
    }
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return; // not for us: unknown things are ignored
    }
    if (message.type === "error" && message.fatal) this.fatal = String(message.message);
    if (message.type === "ready" && !this.opened) {
      this.opened = true;
      clearTimeout(this.waiting);
      this.on.ready(message);
      return;
    }
    this.on.message(message);
  }

  #beat() {
    if (this.now() - this.heard > SILENT_MS) this.#abandon();
    else this.send({ type: "ping", id: 1, t: Math.round(this.now()) });
  }

  /** Nobody answers: does not wait for the socket to notice. */
  #abandon() {
    this.socket.close();
    this.#finish(1006);
  }

  #finish(code) {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.waiting);
    clearInterval(this.heartbeat);
    this.on.closed({ opened: this.opened, code, fatal: this.fatal });
  }
}
