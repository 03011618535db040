// The circle: a piece of ice on water. Starts, holds, mutes, interrupts; its look is the state.

import type { Phase, State } from '../session/state.js';
import { h, s } from './dom.js';
import { icon, type Icon } from './icons.js';
import type { Words } from './words.js';

export type Action = 'start' | 'hold' | 'interrupt' | 'mute' | 'unmute';

const ICONS: Record<Phase, Icon> = {
  idle: 'microphone', connecting: 'microphone', listening: 'microphone', hearing: 'wave', thinking: 'dots', speaking: 'wave',
  reconnecting: 'link', blocked: 'off', silent: 'unheard', muted: 'off', offline: 'cloud',
};

const CORNERS = [[84, 27], [117, 38], [134, 70], [127, 107], [97, 131], [58, 129], [30, 104], [27, 64], [50, 35]] as const;
const TOP = [76, 72] as const;

/** A floe: facets from its top to every edge. */
function floe(): SVGElement {
  const facets = CORNERS.map((corner, at) => {
    const along = CORNERS[(at + 1) % CORNERS.length] as readonly [number, number];
    return s('polygon', { points: [corner, along, TOP].map((point) => point.join()).join(' '), class: `facet f${at % 5}` });
  });
  const outline = s('polygon', { points: CORNERS.map((point) => point.join()).join(' '), class: 'body' });
  const rings = [1, 2, 3].map((ring) => s('circle', { cx: '80', cy: '80', r: '58', class: `ring r${ring}` }));
  const orbit = s('circle', { cx: '80', cy: '80', r: '70', class: 'orbit' });
  const ice = s('g', { class: 'ice' }, outline, ...facets);
  return s('svg', { viewBox: '0 0 160 160', class: 'floe', 'aria-hidden': 'true', focusable: 'false' }, ...rings, orbit, ice);
}

/** What pressing it does. */
export function action(phase: Phase, state: State): Action {
  if (state.link === 'off' || state.microphone === 'off') return phase === 'speaking' || (phase === 'thinking' && state.reply !== null) ? 'interrupt' : 'start';
  if (state.muted) return 'unmute';
  if (state.mode === 'manual') return 'hold';
  return phase === 'speaking' ? 'interrupt' : 'mute';
}

export class Orb {
  readonly element: HTMLButtonElement;
  readonly #glyph: HTMLElement;
  #action: Action = 'start';

  constructor(on: { press(action: Action): void; hold(held: boolean): void }) {
    this.#glyph = h('span', { class: 'glyph' });
    this.element = h('button', { type: 'button', class: 'orb', part: 'orb' }, floe(), this.#glyph);
    const isHold = (): boolean => this.#action === 'hold';
    this.element.addEventListener('click', () => {
      if (!isHold()) on.press(this.#action);
    });
    // A button that is held, by finger, mouse or key; letting go anywhere counts.
    this.element.addEventListener('pointerdown', (event) => {
      if (!isHold() || event.button !== 0) return;
      this.element.setPointerCapture(event.pointerId);
      on.hold(true);
    });
    for (const name of ['pointerup', 'pointercancel', 'blur'] as const) this.element.addEventListener(name, () => isHold() && on.hold(false));
    const isKey = (event: KeyboardEvent): boolean => isHold() && (event.key === ' ' || event.key === 'Enter');
    this.element.addEventListener('keydown', (event) => {
      if (!isKey(event)) return;
      event.preventDefault();
      if (!event.repeat) on.hold(true);
    });
    this.element.addEventListener('keyup', (event) => isKey(event) && on.hold(false));
    // A long press is no wish for a menu.
    this.element.addEventListener('contextmenu', (event) => isHold() && event.preventDefault());
  }

  show(phase: Phase, state: State, words: Words): void {
    this.#action = action(phase, state);
    const name = { start: words.start, hold: words.hold, interrupt: words.interrupt, mute: words.mute, unmute: words.unmute }[this.#action];
    if (this.element.getAttribute('aria-label') !== name) this.element.setAttribute('aria-label', name);
    if (this.#glyph.dataset['icon'] === ICONS[phase]) return;
    this.#glyph.dataset['icon'] = ICONS[phase];
    this.#glyph.replaceChildren(icon(ICONS[phase]));
  }
}
