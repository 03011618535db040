// Settings of the person in front: which microphone, how to talk, captions.

import type { Device } from '../audio/microphone.js';
import { h } from './dom.js';
import type { Words } from './words.js';

export interface PreferenceEvents {
  device(id: string): void;
  pushToTalk(on: boolean): void;
  captions(on: boolean): void;
}

export class Preferences {
  readonly element: HTMLElement;
  readonly #select: HTMLSelectElement;
  readonly #pushToTalk: HTMLInputElement;
  readonly #captions: HTMLInputElement;
  readonly #labels: [Text, keyof Words][] = [];
  #devices: readonly Device[] = [];
  #current: string | null = null;

  constructor(private words: Words, on: PreferenceEvents) {
    this.#select = h('select', { id: 'device', part: 'select', onchange: () => on.device(this.#select.value) });
    this.#pushToTalk = h('input', { id: 'hold', type: 'checkbox', onchange: () => on.pushToTalk(this.#pushToTalk.checked) });
    this.#captions = h('input', { id: 'captions', type: 'checkbox', onchange: () => on.captions(this.#captions.checked) });
    this.element = h('div', { class: 'preferences', part: 'settings', id: 'preferences', role: 'group' },
      h('div', { class: 'field' }, h('label', { for: 'device' }, this.#label('device')), this.#select),
      h('label', { class: 'switch' }, this.#pushToTalk, this.#label('pushToTalk')),
      h('label', { class: 'switch' }, this.#captions, this.#label('captions')));
    this.element.hidden = true;
    this.rename(words);
  }

  rename(words: Words): void {
    this.words = words;
    this.element.setAttribute('aria-label', words.settings);
    for (const [text, name] of this.#labels) text.data = String(words[name]);
    this.devices(this.#devices, this.#current);
  }

  /** Which microphones there are, and which is in use. */
  devices(devices: readonly Device[], current: string | null): void {
    [this.#devices, this.#current] = [devices, current];
    const options = devices.map(({ id, name }, at) => h('option', { value: id }, name || `${this.words.device} ${at + 1}`));
    if (!devices.some(({ id }) => id === 'default')) options.unshift(h('option', { value: '' }, this.words.deviceDefault));
    this.#select.replaceChildren(...options);
    this.#select.value = current ?? '';
    if (this.#select.selectedIndex < 0) this.#select.selectedIndex = 0;
  }

  show(isManual: boolean, hasCaptions: boolean): void {
    this.#pushToTalk.checked = isManual;
    this.#captions.checked = hasCaptions;
  }

  #label(name: keyof Words): Text {
    const text = document.createTextNode('');
    this.#labels.push([text, name]);
    return text;
  }
}
