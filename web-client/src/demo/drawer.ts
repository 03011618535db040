// The developer drawer: latency by stage, loudness with what the server takes for speech, figures, events.

import type { Latency, ServerMessage, Statistics, Timing, VoiceSession } from '../index.js';
import { h, s } from '../ui/dom.js';
import { Scope } from './scope.js';

const STAGES: readonly [keyof Latency, string][] = [
  ['eot', 'Turn over'], ['asr', 'Words known'], ['llm_first', 'Agent’s first word'], ['tts_first', 'Voice’s first sound'],
  ['first_audio', 'Sent'],
];
const LOG_MAX = 200;

function ms(value: number | null | undefined): string {
  return typeof value === 'number' ? `${Math.round(value)} ms` : '–';
}

export class Drawer {
  readonly #waterfall: Element;
  readonly #figures: Element;
  readonly #log: Element;
  readonly #scope: Scope;
  readonly #began = performance.now();
  #timing: Timing = {};
  #statistics: Statistics;
  #latency: Latency = {};
  #drawnAt = 0;

  constructor(session: VoiceSession, page: ParentNode) {
    const find = (id: string): Element => {
      const found = page.querySelector(`#${id}`);
      if (!found) throw new Error(`the page has no #${id}`);
      return found;
    };
    [this.#waterfall, this.#figures, this.#log] = [find('waterfall'), find('figures'), find('log')];
    this.#scope = new Scope(find('scope') as HTMLCanvasElement, () => find('drawer').hasAttribute('open'));
    this.#statistics = session.statistics;
    session.on('message', (message) => this.#take(message));
    session.on('level', (level) => this.#scope.level(level));
    session.on('statistics', (statistics) => {
      this.#statistics = statistics;
      if (performance.now() - this.#drawnAt > 500) this.#drawFigures();
    });
    session.on('timing', (timing) => {
      this.#timing = { ...this.#timing, ...timing };
      this.#drawFigures();
      this.#drawWaterfall();
    });
    this.#drawFigures();
  }

  #take(message: ServerMessage): void {
    this.#write(message);
    if (message.type === 'speech.started') this.#scope.speech(true);
    if (message.type === 'speech.stopped') this.#scope.speech(false);
    if (message.type !== 'reply.done' || !message.latency_ms) return;
    this.#latency = message.latency_ms;
    this.#drawWaterfall();
  }

  #drawWaterfall(): void {
    const heard = this.#timing.speechToSound;
    const reached = STAGES.map(([stage, name]) => [name, this.#latency[stage]] as const).filter(([, at]) => at !== undefined);
    if (heard !== undefined) reached.push(['Heard by you', heard]);
    const end = Math.max(1, ...reached.map(([, at]) => at ?? 0));
    let before = 0;
    const rows = reached.map(([name, at = 0]) => {
      const from = Math.min(before, at);
      before = at;
      const bar = s('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
        s('rect', { x: String((100 * from) / end), width: String(Math.max(0.6, (100 * (at - from)) / end)), height: '10' }));
      return h('li', { class: name === 'Heard by you' ? 'heard' : '' }, h('span', {}, name), bar, h('span', { class: 'ms' }, ms(at)));
    });
    if (rows.length > 0) this.#waterfall.replaceChildren(...rows);
  }

  #drawFigures(): void {
    this.#drawnAt = performance.now();
    const { roundTripMs, codec, underruns, late, reserveMs, bufferedMs, framesWaiting, framesDropped } = this.#statistics;
    const figures: [string, string][] = [
      ['Click to first word', ms(this.#timing.startToWord)],
      ['Words to first sound', ms(this.#timing.speechToSound)],
      ['Interruption to silence', ms(this.#timing.interruptionToSilence)],
      ['Round trip', ms(roundTripMs)],
      ['Sent as', codec ?? '–'],
      ['Jitter reserve', ms(reserveMs)],
      ['Buffered', ms(bufferedMs)],
      ['Ran dry, late', `${underruns}, ${late}`],
      ['Frames waiting, lost', `${framesWaiting}, ${framesDropped}`],
    ];
    this.#figures.replaceChildren(...figures.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
  }

  #write(message: ServerMessage): void {
    const { type, ...rest } = message;
    const at = `${((performance.now() - this.#began) / 1000).toFixed(2)} s`;
    // What lets somebody into the conversation is nobody's business, not even on a screen that is shared.
    const text = JSON.stringify(rest, (key, value: unknown) => (key === 'token' ? '…' : value));
    this.#log.prepend(h('li', {}, h('span', { class: 'at' }, at), h('span', { class: 'type' }, type), h('span', { class: 'rest' }, text)));
    while (this.#log.childElementCount > LOG_MAX) this.#log.lastElementChild?.remove();
  }
}
