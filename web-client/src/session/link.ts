// The line to the server over as many sockets as it takes: tickets, reconnecting with backoff, resume, speech that waits.

import { next, pauseMs } from './closing.js';
import { Connection, type OpenSocket } from './connection.js';
import { memory, type Remembered } from './memory.js';
import {
  FRAME_MS, INPUT_RATE_HZ, OUTPUT_RATE_HZ, type ClientMessage, type Format, type Frame, type Hello, type Ready,
  type ServerMessage, type Settings,
} from './protocol.js';
import type { TicketSource } from './ticket.js';
import { Uplink } from './uplink.js';

export interface LinkEvents {
  ready(message: Ready): void;
  message(message: ServerMessage): void;
  audio(frame: Frame): void;
  /** A socket is gone; whether another is tried is said by `closing.next`. */
  closed(code: number, told: string | null): void;
  /** No ticket. */
  refused(code: string, message: string): void;
  roundTrip(ms: number): void;
}

export interface LinkOptions {
  url: string;
  agent: string;
  /** Name and version of who calls, for the server's logs. */
  client: Hello['client'];
  settings: () => Settings;
  ticket: TicketSource | null;
  formats: () => Promise<Format[]>;
  /** Where the loudspeaker is. */
  position: () => { reply: number; played_ms: number } | null;
  openSocket?: OpenSocket;
}

/** Plain PCM: everybody can send and play it. */
export const PCM_UP: Format = { codec: 'pcm_s16le', rate: INPUT_RATE_HZ, frame_ms: FRAME_MS };
const PCM_DOWN: Format = { codec: 'pcm_s16le', rate: OUTPUT_RATE_HZ, frame_ms: FRAME_MS };
/** More typed messages than that wait for no server. */
const UNSENT_MAX = 32;

export class Link {
  readonly uplink = new Uplink(INPUT_RATE_HZ);
  #connection: Connection | null = null;
  #isWanted = false;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #lastN = 0;
  #remembered: Remembered | null;
  /** Whether this page itself has followed the session since its beginning. */
  #knows = false;
  #unsent: ClientMessage[] = [];

  constructor(private readonly options: LinkOptions, private readonly on: LinkEvents) {
    this.#remembered = memory.read(options.url, options.agent);
  }

  /** Whether a conversation of this tab can be gone on with. */
  get canRejoin(): boolean {
    return this.#remembered !== null;
  }

  open(): void {
    this.#isWanted = true;
    this.#attempt = 0;
    void this.#connect();
  }

  /** Ends the conversation. */
  leave(): void {
    this.#isWanted = false;
    clearTimeout(this.#retry);
    this.#forget();
    this.#unsent = [];
    const connection = this.#connection;
    this.#connection = null;
    connection?.leave();
  }

  /** Sends a control message, or keeps it for the moment when the server is ready. */
  send(message: ClientMessage): void {
    if (this.#connection?.isReady) return this.#connection.send(message);
    // Where the loudspeaker is goes with the next hello.
    if (message.type === 'playback' || message.type === 'ping') return;
    if (this.#unsent.length < UNSENT_MAX) this.#unsent.push(message);
  }

  /** Sends what the microphone gave, as far as it goes. */
  pump(): void {
    if (!this.#connection?.isReady) return;
    this.#connection.beat();
    if (this.#connection?.isReady) this.uplink.pump(this.#connection.socket);
  }

  /** The network is back, or the page is looked at again: does not wait for the next try. */
  hurry(): void {
    if (!this.#isWanted) return;
    if (this.#connection) return this.#connection.probe();
    clearTimeout(this.#retry);
    void this.#connect();
  }

  async #connect(): Promise<void> {
    this.#retry = undefined;
    let ticket: string | null = null;
    try {
      ticket = (await this.options.ticket?.()) ?? null;
    } catch (error) {
      if (!this.#isWanted) return;
      const { code, message } = error as Error & { code?: unknown };
      if (code !== 'unauthorized' && code !== 'forbidden') return this.#closed(1006, null, null);
      this.#isWanted = false;
      return this.on.refused(code, message);
    }
    const formats = await this.options.formats();
    if (!this.#isWanted || this.#connection) return;
    const { url, openSocket } = this.options;
    this.#connection = new Connection(url, ticket, this.#hello(formats), {
      ready: (message) => this.#ready(message),
      message: (message) => this.#take(message),
      audio: (frame) => this.on.audio(frame),
      closed: (code, told, retryAfterMs) => this.#closed(code, told, retryAfterMs),
      roundTrip: (ms) => this.on.roundTrip(ms),
    }, openSocket);
  }

  #hello(formats: Format[]): Hello {
    const { agent, client, settings, position } = this.options;
    const token = this.#remembered?.token;
    return {
      type: 'hello',
      client,
      agent,
      conversation: this.#remembered?.conversation ?? null,
      input: { formats },
      output: { formats: [PCM_DOWN] },
      framing: 'v1',
      features: ['playback', 'partials', 'resume'],
      ...settings(),
      // A page that was loaded anew has none of the session's messages. With a number that no server has reached it is told
      // how things stand (`items`), typed words included, instead of every message again.
      resume: token ? { token, last_n: this.#knows ? this.#lastN : Number.MAX_SAFE_INTEGER, ...position() } : null,
    };
  }

  #ready(message: Ready): void {
    this.#attempt = 0;
    this.#lastN = message.n;
    const clock = message.input.clock ?? INPUT_RATE_HZ;
    const isSame = message.resumed === true || message.reason === 'missed';
    if (isSame && this.#knows) this.uplink.resume(message.input_next_seq ?? 0);
    else this.uplink.restart(clock, isSame ? (message.input_next_seq ?? 0) : 0);
    this.#knows = true;
    this.#remember(message.resume?.token ?? null, message.conversation);
    this.on.ready(message);
    for (const unsent of this.#unsent.splice(0)) this.#connection?.send(unsent);
    this.pump();
  }

  #take(message: ServerMessage): void {
    if ('n' in message) this.#lastN = message.n;
    this.on.message(message);
  }

  #closed(code: number, told: string | null, retryAfterMs: number | null): void {
    this.#connection = null;
    if (!this.#isWanted) return;
    const what = next(code);
    if (code === 4404 && this.#remembered) {
      // What this tab remembers is no more: a new conversation, then.
      this.#forget();
      return this.#again(1006, null, 0);
    }
    if (what === 'ticket' && this.options.ticket && this.#attempt < 2) return this.#again(code, told, 0);
    if (what === 'now' || what === 'later') {
      const pause = retryAfterMs ?? (what === 'now' && this.#attempt === 0 ? 0 : pauseMs(this.#attempt, Math.random()));
      return this.#again(code, told, pause);
    }
    this.#isWanted = false;
    // Another tab has it now, or there is none: the next conversation is a new one. One that only was idle can be gone on with.
    if (code !== 4408) this.#forget();
    this.on.closed(code === 4401 ? 4401 : code, told);
  }

  #again(code: number, told: string | null, pause: number): void {
    this.#attempt += 1;
    this.#retry = setTimeout(() => void this.#connect(), pause);
    this.on.closed(code === 4401 ? 1006 : code, told);
  }

  #remember(token: string | null, conversation: string | null): void {
    this.#remembered = token || conversation ? { token, conversation } : null;
    memory.write(this.options.url, this.options.agent, this.#remembered);
  }

  #forget(): void {
    this.#knows = false;
    this.#remember(null, null);
  }
}
