// One WebSocket: hello and ready, heartbeat, close. What happens after its end is for `link.ts`.

import {
  readFrame, readMessage, SUBPROTOCOL, type ClientMessage, type Frame, type Hello, type Ready, type ServerMessage,
} from './protocol.js';

const READY_MS = 8_000;
const BEAT_MS = 5_000;
/** A server that is asked and says nothing for so long is gone; browsers themselves notice after minutes. */
const SILENT_MS = 10_000;
/** The same, when the browser says that the network changed. */
const PROBE_MS = 2_000;

export interface ConnectionEvents {
  ready(message: Ready): void;
  message(message: ServerMessage): void;
  audio(frame: Frame): void;
  /** Exactly once, and nothing after it. `told` is the last fatal error. */
  closed(code: number, told: string | null, retryAfterMs: number | null): void;
  roundTrip(ms: number): void;
}

/** What of `WebSocket` is used; tests give another. */
export interface Socket {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send(data: string | ArrayBuffer): void;
  close(code?: number): void;
}

export type OpenSocket = (url: string, protocols: string[]) => Socket;

export const openWebSocket: OpenSocket = (url, protocols) => new WebSocket(url, protocols) as Socket;

export class Connection {
  readonly socket: Socket;
  #isReady = false;
  #isOver = false;
  #told: string | null = null;
  #retryAfterMs: number | null = null;
  #heardAt: number;
  #askedAt: number | null = null;
  #patienceMs = SILENT_MS;
  readonly #waiting: ReturnType<typeof setTimeout>;
  readonly #heartbeat: ReturnType<typeof setInterval>;

  /** Opens at once. A ticket travels as a subprotocol: what stands in an address ends up in logs. */
  constructor(url: string, ticket: string | null, hello: Hello, private readonly on: ConnectionEvents, open: OpenSocket = openWebSocket) {
    this.#heardAt = performance.now();
    this.socket = open(url, ticket ? [SUBPROTOCOL, `floe.auth.${ticket}`] : [SUBPROTOCOL]);
    this.socket.binaryType = 'arraybuffer';
    this.socket.onopen = () => this.socket.send(JSON.stringify(hello));
    this.socket.onmessage = ({ data }) => this.#take(data);
    this.socket.onclose = ({ code }) => this.#finish(code);
    this.#waiting = setTimeout(() => this.#abandon(), READY_MS);
    this.#heartbeat = setInterval(() => this.beat(), 1_000);
  }

  get isReady(): boolean {
    return this.#isReady && !this.#isOver;
  }

  send(message: ClientMessage): void {
    if (this.isReady) this.socket.send(JSON.stringify(message));
  }

  /** Asks whether the server is there. Also called from the microphone's frames: timers sleep in hidden tabs. */
  beat(): void {
    if (!this.isReady) return;
    const now = performance.now();
    if (this.#askedAt !== null && now - this.#askedAt > this.#patienceMs && this.#heardAt < this.#askedAt) return this.#abandon();
    if (this.#askedAt === null || (this.#heardAt >= this.#askedAt && now - this.#askedAt >= BEAT_MS)) this.#ask(now, SILENT_MS);
  }

  /** The network may have changed: asks at once, and waits for a shorter time. */
  probe(): void {
    if (this.isReady) this.#ask(performance.now(), PROBE_MS);
  }

  /** Says goodbye. */
  leave(): void {
    this.send({ type: 'bye', flush: false });
    this.socket.close(1000);
    this.#finish(1000);
  }

  #ask(now: number, patienceMs: number): void {
    this.#askedAt = now;
    this.#patienceMs = patienceMs;
    this.send({ type: 'ping', id: 1, t: now });
  }

  #take(data: unknown): void {
    if (this.#isOver) return;
    this.#heardAt = performance.now();
    if (data instanceof ArrayBuffer) {
      const frame = readFrame(data);
      if (frame && this.#isReady) this.on.audio(frame);
      return;
    }
    const message = typeof data === 'string' ? readMessage(data) : null;
    if (!message) return;
    if (message.type === 'pong' && typeof message.t === 'number') return this.on.roundTrip(this.#heardAt - message.t);
    if (message.type === 'error' && message.fatal) {
      this.#told = String(message.message);
      this.#retryAfterMs = message.retry_after_s === undefined ? null : message.retry_after_s * 1000;
      return;
    }
    if (message.type !== 'ready') return this.on.message(message);
    if (this.#isReady) return;
    this.#isReady = true;
    clearTimeout(this.#waiting);
    this.on.ready(message);
  }

  /** Nobody answers: does not wait for the socket to notice. */
  #abandon(): void {
    this.#finish(1006);
    this.socket.close();
  }

  #finish(code: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#waiting);
    clearInterval(this.#heartbeat);
    this.on.closed(code, this.#told, this.#retryAfterMs);
  }
}
