// What one sees: heading, circle, state, captions, text. Draws what it is told, and tells what was pressed.

import type { Entry } from '../session/captions.js';
import type { Phase, State } from '../session/state.js';
import { h } from './dom.js';
import { icon, type Icon } from './icons.js';
import { Orb, type Action } from './orb.js';
import { Preferences, type PreferenceEvents } from './preferences.js';
import { Transcript } from './transcript.js';
import { line, type Words } from './words.js';

export interface PanelEvents extends PreferenceEvents {
  press(action: Action): void;
  hold(held: boolean): void;
  end(): void;
  write(text: string): void;
  escape(): void;
}

/** States that a screen reader tells at once; the others come and go with every sentence, and are heard anyway. */
const TELLING: ReadonlySet<Phase> = new Set(['connecting', 'listening', 'reconnecting', 'blocked', 'silent', 'muted', 'offline']);

function button(drawing: Icon, attributes: Record<string, string | (() => void)>): HTMLButtonElement {
  return h('button', { type: 'button', ...attributes }, icon(drawing), h('span', { class: 'label' }));
}

export class Panel {
  readonly element: HTMLElement;
  readonly transcript: Transcript;
  readonly preferences: Preferences;
  readonly orb: Orb;
  readonly #title = h('p', { class: 'title', part: 'status' });
  readonly #hint = h('p', { class: 'hint', part: 'hint' });
  readonly #notice = h('p', { class: 'notice', part: 'notice', role: 'alert' });
  readonly #told = h('p', { class: 'unseen', role: 'status' });
  readonly #meter = h('div', { class: 'meter', part: 'meter', role: 'meter', 'aria-valuemin': '0', 'aria-valuemax': '100', 'aria-valuenow': '0' });
  readonly #bar = h('span', { class: 'bar' });
  readonly #settings: HTMLButtonElement;
  readonly #end: HTMLButtonElement;
  readonly #heading = h('h2', { part: 'heading' });
  readonly #input: HTMLInputElement;
  readonly #send: HTMLButtonElement;
  #last: { phase: Phase; state: State } | null = null;
  #toldLevel = 0;

  constructor(private words: Words, on: PanelEvents) {
    this.orb = new Orb(on);
    this.transcript = new Transcript(words);
    this.preferences = new Preferences(words, on);
    this.#settings = button('settings', {
      class: 'quiet', part: 'settings-button', 'aria-expanded': 'false', 'aria-controls': 'preferences', onclick: () => this.#toggle(),
    });
    this.#end = button('end', { class: 'quiet end', part: 'end-button', onclick: () => on.end() });
    this.#input = h('input', { type: 'text', part: 'input', autocomplete: 'off', maxlength: '4000', enterkeyhint: 'send', dir: 'auto' });
    this.#send = h('button', { type: 'submit', part: 'send-button' }, icon('send'));
    const form = h('form', { class: 'composer', part: 'composer' }, this.#input, this.#send);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const text = this.#input.value;
      this.#input.value = '';
      on.write(text);
    });
    this.#meter.append(this.#bar);
    this.element = h('section', { class: 'panel', part: 'panel' },
      h('header', {}, h('slot', { name: 'heading' }, this.#heading), this.#end, this.#settings),
      this.preferences.element,
      h('div', { class: 'stage', part: 'stage' }, this.orb.element, this.#meter, h('div', { class: 'state' }, this.#title, this.#hint), this.#notice),
      this.transcript.element, form, this.#told, this.transcript.announcer);
    this.element.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      if (!this.preferences.element.hidden) {
        this.#toggle();
        this.#settings.focus();
      } else on.escape();
    });
    this.rename(words, words.heading);
  }

  /** Another language, or another heading. */
  rename(words: Words, heading: string): void {
    this.words = words;
    this.transcript.rename(words);
    this.preferences.rename(words);
    this.#heading.textContent = heading;
    this.element.setAttribute('aria-label', heading);
    this.#meter.setAttribute('aria-label', words.level);
    this.#input.setAttribute('aria-label', words.message);
    this.#input.placeholder = words.message;
    this.#send.setAttribute('aria-label', words.send);
    name(this.#settings, words.settings);
    name(this.#end, words.end);
    if (this.#last) this.show(this.#last.phase, this.#last.state);
  }

  show(phase: Phase, state: State): void {
    const isNew = this.#last?.phase !== phase;
    this.#last = { phase, state };
    const [title, hint] = line(this.words, phase, state);
    this.element.dataset['phase'] = phase;
    this.orb.show(phase, state, this.words);
    write(this.#title, title);
    write(this.#hint, hint);
    write(this.#notice, state.notice?.message ?? '');
    this.#notice.hidden = state.notice === null;
    this.#end.hidden = state.link === 'off';
    this.#meter.toggleAttribute('data-on', state.microphone === 'on' && !state.muted);
    if (isNew && TELLING.has(phase)) write(this.#told, `${title}. ${hint}`);
  }

  caption(entry: Readonly<Entry>): void {
    this.transcript.show(entry);
  }

  level(level: number): void {
    this.element.style.setProperty('--level', level.toFixed(3));
    // Of fifty a second a screen reader needs none, and the display three.
    const now = performance.now();
    if (now - this.#toldLevel < 330) return;
    this.#toldLevel = now;
    this.#meter.setAttribute('aria-valuenow', String(Math.round(level * 100)));
  }

  captions(shown: boolean): void {
    this.transcript.element.hidden = !shown;
  }

  focus(): void {
    this.orb.element.focus();
  }

  #toggle(): void {
    const { element } = this.preferences;
    element.hidden = !element.hidden;
    this.#settings.setAttribute('aria-expanded', String(!element.hidden));
  }
}

/** Unchanged words are not told again. */
function write(element: HTMLElement, words: string): void {
  if (element.textContent !== words) element.textContent = words;
}

function name(element: HTMLElement, words: string): void {
  const label = element.querySelector('.label');
  if (label) label.textContent = words;
}
