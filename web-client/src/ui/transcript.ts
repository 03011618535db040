// Captions: what was said, word by word. Provisional words look so, and so do words that were cut off.

import type { Entry } from '../session/captions.js';
import { h } from './dom.js';
import { icon } from './icons.js';
import type { Words } from './words.js';

/** How near to its end a list must be to follow what is added. */
const NEAR_PX = 48;

export class Transcript {
  readonly element: HTMLElement;
  /** For screen readers: what stands, once. */
  readonly announcer: HTMLElement;
  readonly #list = h('ol', { part: 'captions' });
  readonly #empty = h('p', { class: 'empty' });
  #items = new Map<number, HTMLLIElement>();
  #announced = new Set<number>();

  constructor(private words: Words) {
    this.element = h('div', { class: 'transcript', part: 'transcript', role: 'region', tabindex: '0' }, this.#empty, this.#list);
    this.announcer = h('div', { class: 'unseen', role: 'log', 'aria-live': 'polite' });
    this.rename(words);
  }

  rename(words: Words): void {
    this.words = words;
    this.#empty.textContent = words.empty;
    this.element.setAttribute('aria-label', words.conversation);
    this.announcer.setAttribute('aria-label', words.conversation);
  }

  /** All of it anew; what a reload brings back is not announced again. */
  fill(entries: readonly Readonly<Entry>[]): void {
    this.#list.replaceChildren();
    this.#items.clear();
    this.#announced = new Set(entries.map(({ id }) => id));
    for (const entry of entries) this.show(entry);
    this.#empty.hidden = entries.length > 0;
  }

  /** Draws an entry, and announces it once it stands. */
  show(entry: Readonly<Entry>): void {
    const list = this.element;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_PX;
    if (entry.state === 'gone') {
      this.#items.get(entry.id)?.remove();
      this.#items.delete(entry.id);
    } else this.#item(entry).replaceChildren(...this.#parts(entry));
    this.#empty.hidden = this.#items.size > 0;
    if (isAtEnd) list.scrollTop = list.scrollHeight;
    if (entry.state !== 'open' && entry.state !== 'gone') this.#announce(entry);
  }

  #item(entry: Readonly<Entry>): HTMLLIElement {
    const known = this.#items.get(entry.id);
    if (known) {
      known.dataset['state'] = entry.state;
      return known;
    }
    const item = h('li', { class: entry.who, part: `caption ${entry.who}`, 'data-state': entry.state });
    this.#items.set(entry.id, item);
    return this.#list.appendChild(item);
  }

  #parts({ who, settled, provisional, unheard, state }: Readonly<Entry>): Node[] {
    const said = h('p', { dir: 'auto' }, settled);
    const isWaiting = state === 'open' && settled + provisional === '';
    if (provisional || isWaiting) said.append(h('span', { class: 'provisional' }, isWaiting ? '…' : joined(settled, provisional)));
    if (state === 'interrupted') said.append(h('span', { class: 'mark', part: 'cut' }, icon('cut'), this.words.cut));
    if (unheard) said.append(h('s', { class: 'unheard' }, unheard));
    if (state === 'failed') said.append(h('span', { class: 'mark' }, this.words.failed));
    return [h('span', { class: 'who' }, this.#name(who)), said];
  }

  #name(who: Entry['who']): string {
    return who === 'you' ? this.words.you : this.words.assistant;
  }

  #announce({ id, who, settled, state }: Readonly<Entry>): void {
    if (this.#announced.has(id)) return;
    this.#announced.add(id);
    const words = `${this.#name(who)}: ${settled}${state === 'interrupted' ? ` (${this.words.cut})` : ''}`;
    this.announcer.append(h('p', {}, words));
    while (this.announcer.childElementCount > 4) this.announcer.firstElementChild?.remove();
  }
}

function joined(settled: string, provisional: string): string {
  return settled !== '' && !/\s$/.test(settled) && !/^\s/.test(provisional) ? ` ${provisional}` : provisional;
}
