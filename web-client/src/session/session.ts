// A conversation with the server: wires microphone, line and loudspeaker to the reducer, and carries out what it decides.

import { canOpus, OPUS_UP } from '../audio/encoder.js';
import { Microphone, type Device } from '../audio/microphone.js';
import { measure } from '../audio/pcm.js';
import { Playback, type PlaybackReport } from '../audio/playback.js';
import { Sound, workletUrl } from '../audio/sound.js';
import { Captions, type Entry } from './captions.js';
import type { OpenSocket } from './connection.js';
import { Emitter } from './emitter.js';
import { Link, PCM_UP } from './link.js';
import { OUTPUT_RATE_HZ, type Ready, type ServerMessage, type Settings, type TurnMode } from './protocol.js';
import { Quiet } from './quiet.js';
import { Speech } from './speech.js';
import { initial, phase, reduce, type Effect, type Happening, type Phase, type State } from './state.js';
import { Stopwatch, type Timing } from './stopwatch.js';
import { ticketFrom, type TicketSource } from './ticket.js';
import { WakeLock } from './wake.js';

export interface VoiceSessionOptions {
  /** Where Floe is, such as `https://voice.example`; the page's own origin if absent. */
  server?: string | URL;
  agent?: string;
  /** An address of the page's own server, or a function, that gives a ticket for one connection. Never part of an address. */
  ticket?: string | URL | TicketSource;
  /** What the session begins with: language, voice, instructions, turn-taking. */
  settings?: Settings;
  /** Where `worklet.js` lies, if not beside this script. */
  worklet?: string | URL;
  /** For tests. */
  openSocket?: OpenSocket;
}

export interface Statistics {
  roundTripMs: number | null;
  codec: string | null;
  underruns: number;
  late: number;
  reserveMs: number;
  bufferedMs: number;
  /** Microphone frames that wait for the socket, and that were given up. */
  framesWaiting: number;
  framesDropped: number;
}

export interface VoiceEvents {
  /** Something of the state changed; `phase` is what a person sees. */
  state: { phase: Phase; state: State };
  /** A caption is new, changed, or `gone`. */
  caption: Readonly<Entry>;
  /** The server told all captions afresh. */
  captions: readonly Readonly<Entry>[];
  /** Loudness of the microphone, 0 to 1, fifty times a second. */
  level: number;
  /** Microphones came or went. */
  devices: readonly Device[];
  timing: Timing;
  statistics: Statistics;
  /** Every message of the server, as it came. */
  message: ServerMessage;
}

/** Push-to-talk is let go of before the last syllable is out. */
const TAIL_MS = 150;

export class VoiceSession extends Emitter<VoiceEvents> {
  readonly #captions = new Captions();
  readonly #sound: Sound;
  readonly #playback = new Playback((report) => this.#played(report));
  readonly #microphone: Microphone;
  readonly #link: Link;
  readonly #speech: Speech;
  readonly #stopwatch = new Stopwatch();
  readonly #quiet = new Quiet();
  readonly #wakeLock = new WakeLock();
  #state: State = initial;
  #ready: Ready | null = null;
  #tail: ReturnType<typeof setTimeout> | undefined;
  #newest = 0;
  #sounded: number | null = null;
  /** Nobody pressed anything yet: only an old conversation is wanted, not a new one. */
  #isRejoining = false;
  #statistics: Statistics = {
    roundTripMs: null, codec: null, underruns: 0, late: 0, reserveMs: 0, bufferedMs: 0, framesWaiting: 0, framesDropped: 0,
  };

  constructor(options: VoiceSessionOptions = {}) {
    super();
    this.#state = { ...initial, mode: options.settings?.turn?.mode ?? 'auto', online: navigator.onLine };
    this.#sound = new Sound(options.worklet ?? workletUrl(), { interrupted: () => this.#playback.pause() });
    this.#microphone = new Microphone({
      frame: (samples) => this.#frame(samples),
      lost: () => void this.#reopen(),
      changed: () => void this.#tellDevices(),
    });
    const { ticket } = options;
    this.#link = new Link({
      url: streamUrl(options.server ?? location.origin),
      agent: options.agent ?? 'default',
      client: { name: 'floe-voice', version: __VERSION__, platform: 'web' },
      settings: () => ({ ...options.settings, turn: { ...options.settings?.turn, mode: this.#state.mode } }),
      ticket: typeof ticket === 'function' ? ticket : ticket === undefined ? null : ticketFrom(String(ticket)),
      formats: async () => ((await canOpus()) ? [OPUS_UP, PCM_UP] : [PCM_UP]),
      position: () => this.#playback.position(),
      ...(options.openSocket ? { openSocket: options.openSocket } : {}),
    }, {
      ready: (message) => this.#begin(message),
      message: (message) => this.#take(message),
      audio: (frame) => {
        const { rate, clock } = this.#ready?.output ?? {};
        this.#playback.play(frame, this.#newest, rate ?? OUTPUT_RATE_HZ, clock ?? OUTPUT_RATE_HZ);
      },
      closed: (code, told) => this.#happen({ type: 'closed', code, told }),
      refused: (code, message) => this.#happen({ type: 'refused', code, message }),
      roundTrip: (ms) => this.#tell({ roundTripMs: ms }),
    });
    this.#speech = new Speech(this.#link.uplink, {
      captured: () => this.#stopwatch.captured(performance.now()),
      failed: () => this.#happen({ type: 'microphone', is: 'unsupported' }),
    });
    addEventListener('online', this.#online);
    addEventListener('offline', this.#online);
    document.addEventListener('visibilitychange', this.#visible);
  }

  get state(): State {
    return this.#state;
  }

  get phase(): Phase {
    return phase(this.#state);
  }

  get captions(): readonly Readonly<Entry>[] {
    return this.#captions.entries;
  }

  get statistics(): Statistics {
    return this.#statistics;
  }

  /** Begins, or opens the microphone of a conversation that went on without. To be called in a click or key press. */
  start(options: { microphone?: boolean } = {}): void {
    this.#isRejoining = false;
    this.#openSound();
    this.#stopwatch.start(performance.now());
    this.#happen({ type: 'start', microphone: options.microphone ?? true });
  }

  /** Goes on with the conversation that this tab had before it was loaded anew, without microphone; false if there is none. */
  rejoin(): boolean {
    if (this.#state.link !== 'off' || !this.#link.canRejoin) return false;
    this.#isRejoining = true;
    this.#happen({ type: 'start', microphone: false });
    return true;
  }

  /** Ends the conversation. */
  stop(): void {
    this.#happen({ type: 'stop' });
  }

  /** Says something in writing; begins a conversation if there is none. To be called in a click or key press. */
  sendText(text: string): void {
    const words = text.trim();
    if (words === '') return;
    this.#isRejoining = false;
    this.#openSound();
    this.emit('caption', this.#captions.typed(words));
    this.#happen({ type: 'text', text: words });
  }

  mute(muted: boolean): void {
    this.#microphone.mute(muted);
    this.#happen({ type: 'mute', muted });
  }

  /** Whether silence ends a turn, or letting go of push-to-talk. */
  setMode(mode: TurnMode): void {
    this.#happen({ type: 'mode', mode });
  }

  /** Push-to-talk: pressed, or let go of. */
  hold(held: boolean): void {
    clearTimeout(this.#tail);
    if (held) {
      this.#happen({ type: 'hold', held });
      if (this.#state.held) this.#speech.recall();
    } else {
      this.#tail = setTimeout(() => this.#happen({ type: 'hold', held }), TAIL_MS);
    }
  }

  /** Stops the reply that is heard. */
  hush(): void {
    this.#happen({ type: 'hush' });
  }

  devices(): Promise<Device[]> {
    return this.#microphone.devices();
  }

  get device(): string | null {
    return this.#microphone.current;
  }

  /** Uses another microphone, at once if one is open. Empty: the browser's choice. */
  async useDevice(id: string): Promise<void> {
    this.#microphone.wanted = id;
    if (this.#microphone.isOpen) await this.#listen();
  }

  /** Forgets what was said, here. */
  clear(): void {
    this.#captions.clear();
    this.emit('captions', []);
  }

  /** Ends the conversation, and lets go of everything: sound, microphone, line. */
  close(): void {
    removeEventListener('online', this.#online);
    removeEventListener('offline', this.#online);
    document.removeEventListener('visibilitychange', this.#visible);
    this.stop();
    this.#playback.close();
    this.#sound.close();
  }

  #happen(happening: Happening): void {
    const before = this.#state;
    const [after, effects] = reduce(before, happening);
    this.#state = after;
    for (const effect of effects) this.#carryOut(effect);
    if (this.#state !== before) {
      this.#wakeLock.keep(this.#state.link !== 'off' && this.#state.microphone === 'on');
      this.emit('state', { phase: this.phase, state: this.#state });
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'connect':
        return this.#link.open();
      case 'leave':
        this.#quieten();
        return this.#link.leave();
      case 'listen':
        return void this.#listen();
      case 'deafen':
        this.#speech.forget();
        this.#microphone.close();
        return this.emit('level', 0);
      case 'send':
        return this.#link.send(effect.message);
      case 'commit':
        return void this.#commit();
      case 'flush':
        if (this.#playback.position()?.reply === effect.reply) this.#stopwatch.interrupted(performance.now());
        return this.#playback.flush(effect.reply);
    }
  }

  #openSound(): void {
    const isFirst = this.#sound.context === null;
    const opened = this.#sound.open();
    if (isFirst) opened.then((context) => this.#playback.open(context)).catch(() => this.#happen({ type: 'microphone', is: 'unsupported' }));
  }

  async #listen(): Promise<void> {
    const context = await this.#sound.open().catch(() => null);
    const trouble = context ? await this.#microphone.open(context) : 'unsupported';
    if (trouble) return this.#happen({ type: 'microphone', is: trouble });
    if (!this.#microphone.isOpen) return;
    this.#quiet.restart();
    this.#microphone.mute(this.#state.muted);
    this.#happen({ type: 'microphone', is: 'on' });
    await this.#tellDevices();
  }

  /** The one in use is gone: takes another, if there is one. */
  async #reopen(): Promise<void> {
    this.#microphone.wanted = '';
    if ((await this.#microphone.devices()).length === 0) return this.#happen({ type: 'microphone', is: 'unplugged' });
    await this.#listen();
  }

  async #tellDevices(): Promise<void> {
    this.emit('devices', await this.#microphone.devices());
  }

  #begin(message: Ready): void {
    this.#ready = message;
    const isSame = message.resumed === true;
    const isVain = this.#isRejoining && !isSame && !message.items;
    this.#isRejoining = false;
    if (isVain) return this.stop();
    if (!isSame) {
      if (message.reason !== 'missed') this.#restart();
      if (message.items) {
        this.#captions.rebuild(message.items);
        this.emit('captions', this.#captions.entries);
      } else for (const entry of this.#captions.renumber()) this.emit('caption', entry);
    }
    this.#speech.begin(message.input);
    this.#tell({ codec: message.input.codec });
    this.emit('message', message);
    this.#happen({ type: 'message', message });
    if (this.#state.muted) this.#link.send({ type: 'input.mute', muted: true });
  }

  /** Another session: its numbers mean other things. */
  #restart(): void {
    this.#stopwatch.restart();
    this.#playback.restart();
    this.#newest = 0;
    this.#sounded = null;
  }

  #take(message: ServerMessage): void {
    if (message.type === 'reply.started') this.#newest = message.reply;
    if (message.type === 'speech.stopped') this.#stopwatch.stopped(message.t);
    const entry = this.#captions.take(message);
    if (entry) this.emit('caption', entry);
    if (entry?.who === 'you' && entry.settled + entry.provisional !== '') this.#time(this.#stopwatch.word(performance.now()));
    this.emit('message', message);
    this.#happen({ type: 'message', message });
    // Whatever became of its last frame.
    if (message.type === 'reply.done') this.#playback.end(message.reply);
  }

  /** 20 ms of microphone. */
  #frame(samples: Float32Array): void {
    const { rms, peak } = measure(samples);
    this.emit('level', this.#state.muted ? 0 : Math.min(1, rms * 5));
    if (!this.#state.muted && this.#quiet.changed(peak)) this.#happen({ type: 'silence', silent: this.#quiet.isQuiet });
    const isWanted = this.#state.mode === 'auto' || this.#state.held;
    this.#speech.take(samples, this.#state.muted ? 'nobody' : isWanted ? 'server' : 'later');
    this.#link.pump();
    this.#tell({ framesWaiting: this.#link.uplink.waiting, framesDropped: this.#link.uplink.dropped });
  }

  /** The turn ends with what has been said, and not before that is on its way. */
  async #commit(): Promise<void> {
    await this.#speech.flush();
    this.#link.pump();
    this.#link.send({ type: 'input.commit' });
  }

  #played(report: PlaybackReport): void {
    const { state, reply, playedMs, bufferedMs, underruns, late, reserveMs } = report;
    this.#link.send({ type: 'playback', reply, played_ms: playedMs, buffered_ms: bufferedMs, state });
    if (state === 'playing' && this.#sounded !== reply) {
      this.#sounded = reply;
      this.#time(this.#stopwatch.sounded(performance.now()));
    }
    if (state === 'flushed') this.#time(this.#stopwatch.silent(performance.now()));
    this.#tell({ underruns, late, reserveMs, bufferedMs });
    this.#happen({ type: 'played', reply, state });
  }

  /** The conversation is over. */
  #quieten(): void {
    clearTimeout(this.#tail);
    this.#speech.end();
    this.#restart();
    for (const entry of this.#captions.renumber()) this.emit('caption', entry);
  }

  #time(timing: Timing | null): void {
    if (timing) this.emit('timing', timing);
  }

  #tell(news: Partial<Statistics>): void {
    this.#statistics = { ...this.#statistics, ...news };
    this.emit('statistics', this.#statistics);
  }

  readonly #online = (): void => {
    this.#happen({ type: 'network', online: navigator.onLine });
    if (navigator.onLine) this.#link.hurry();
  };

  /** Timers sleep in hidden tabs, locks are taken away, sound may have been stopped. */
  readonly #visible = (): void => {
    if (document.visibilityState !== 'visible') return;
    this.#sound.wake();
    this.#wakeLock.renew();
    if (this.#state.link !== 'off') this.#link.hurry();
  };
}

/** The stream of a server. */
export function streamUrl(server: string | URL): string {
  const url = new URL('/v1/stream', server);
  url.protocol = url.protocol.replace('http', 'ws');
  return url.href;
}
