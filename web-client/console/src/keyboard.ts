// Keys of one letter, which can be turned off: some people's tools press them by accident.

import { h } from '../../src/ui/dom.js';

const OFF = 'floe.console.keys';
const KEYS = [
  ['j, k', 'Next and previous line; arrows too, once in a list'], ['Enter', 'Open; in a timeline: play from there'], ['Space', 'In a timeline: play, pause'],
  ['/', 'Search'], ['Escape', 'Back'], ['?', 'This list'],
] as const;

export interface Commands {
  search(): void;
  back(): void;
}

export function listen(main: HTMLElement, commands: Commands): void {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const target = event.target as HTMLElement;
    const isTyping = target.matches('input:not([type=checkbox], [type=range]), textarea, select');
    if (event.key === 'Escape') {
      const menu = document.querySelector<HTMLDetailsElement>('details.menu[open]');
      if (menu) {
        menu.open = false;
        menu.querySelector('summary')?.focus();
      } else if (isTyping) target.blur();
      else commands.back();
      return;
    }
    const isArrow = event.key === 'ArrowDown' || event.key === 'ArrowUp';
    if (isTyping || target.matches('[type=range]')) {
      // Out of the search field into what it found.
      if (event.key === 'ArrowDown' && target.matches('[type=search]') && move(main, 1)) event.preventDefault();
      return;
    }
    if (isArrow ? !target.matches('[data-row]') : !areOn()) return;
    if (event.key === 'j' || event.key === 'ArrowDown') move(main, 1);
    else if (event.key === 'k' || event.key === 'ArrowUp') move(main, -1);
    else if (event.key === '/') commands.search();
    else if (event.key === '?') help();
    else return;
    event.preventDefault();
  });
}

/** From line to line; false if there is none. */
function move(main: HTMLElement, by: 1 | -1): boolean {
  const lines = [...main.querySelectorAll<HTMLElement>('[data-row]')].filter((line) => line.offsetParent !== null);
  const here = lines.findIndex((line) => line === document.activeElement || line.closest('li, tr')?.contains(document.activeElement));
  const next = lines[here < 0 ? (by > 0 ? 0 : lines.length - 1) : here + by];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
  return next !== undefined;
}

function areOn(): boolean {
  return localStorage.getItem(OFF) !== 'off';
}

export function help(): void {
  const on = h('input', { type: 'checkbox', checked: areOn(), onchange: () => {
    if (on.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, 'off');
  } });
  const box = h('dialog', { class: 'box', 'aria-labelledby': 'keys' },
    h('h2', { id: 'keys' }, 'Keyboard'),
    h('dl', { class: 'keys' }, ...KEYS.map(([key, what]) => h('div', {}, h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)))),
    h('label', { class: 'check' }, on, 'Single letters are commands'),
    h('div', { class: 'actions' }, h('button', { type: 'button', class: 'button', onclick: () => box.close() }, 'Close')));
  box.addEventListener('close', () => box.remove());
  document.body.append(box);
  box.showModal();
}
