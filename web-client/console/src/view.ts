// What every view is given, and what it is made of.

import { h } from '../../src/ui/dom.js';
import { Problem, type Api } from './api.js';
import type { Route } from './route.js';
import type { List } from './shapes.js';

export interface Console {
  readonly api: Api;
  /** Which sections this server has for this visitor. */
  has(section: string): boolean;
  go(route: Partial<Route> & { section: string }, how?: 'push' | 'replace'): void;
  /** Told to screen readers. */
  say(text: string): void;
  /** Aborts when the view is left. */
  readonly left: AbortSignal;
}

/** Draws a section into an empty element. */
export type View = (main: HTMLElement, route: Route, at: Console) => void | Promise<void>;

export function head(title: string, ...aside: (Node | string)[]): HTMLElement {
  return h('div', { class: 'head' }, h('h1', {}, title), ...aside);
}

/** A state, by a word and not by colour alone. */
export function badge(state: string): HTMLElement {
  return h('span', { class: `badge ${state}` }, state);
}

export function empty(text: string): HTMLElement {
  return h('p', { class: 'empty' }, text);
}

/** Why it did not work. Whoever left or has to sign in is not told twice. */
export function trouble(error: unknown): HTMLElement {
  const text = error instanceof Problem ? error.message : 'Something went wrong in this page. Reload it.';
  if (!(error instanceof Problem)) console.error(error);
  return h('p', { class: 'trouble', role: 'alert' }, text);
}

export function isOver(error: unknown): boolean {
  return (error instanceof Problem && error.status === 401) || (error as Error)?.name === 'AbortError';
}

/** A button that does one thing at a time, and tells in `place` what went wrong. */
export function action(name: string, act: () => Promise<unknown>, place: () => HTMLElement, look = 'button'): HTMLButtonElement {
  const button = h('button', { type: 'button', class: look, onclick: async () => {
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      if (!isOver(error)) tell(place(), error);
    } finally {
      button.disabled = false;
    }
  } }, name);
  return button;
}

/** Puts a trouble on top of an element, in the place of the last. */
export function tell(place: HTMLElement, error: unknown): void {
  place.querySelector(':scope > .trouble')?.remove();
  place.prepend(trouble(error));
}

export interface Wanted<T> {
  into: HTMLElement;
  ask: (after: string | undefined) => Promise<List<T>>;
  draw: (entry: T) => Node;
  none: string;
  at: Console;
  /** How to call them when counted aloud. */
  name: string;
}

/** Fills a list part by part: the next one is asked for by a button. */
export async function pages<T>({ into, ask, draw, none, at, name }: Wanted<T>): Promise<void> {
  const more = h('button', { type: 'button', class: 'button more' }, 'Show more');
  const box = into.closest('.table') ?? into;
  let after: string | undefined;
  let shown = 0;
  const next = async (): Promise<void> => {
    more.disabled = true;
    into.setAttribute('aria-busy', 'true');
    try {
      const part = await ask(after);
      if (at.left.aborted) return;
      const drawn = part.data.map(draw);
      shown += drawn.length;
      into.append(...drawn);
      after = part.next;
      more.remove();
      if (part.has_more && after !== undefined) box.after(more);
      if (shown === 0) box.replaceWith(empty(none));
      else at.say(`${shown} ${name}${part.has_more ? ', and there are more' : ''}`);
      const first = drawn[0];
      if (shown > drawn.length && first instanceof Element) first.querySelector<HTMLElement>('[data-row]')?.focus();
    } catch (error) {
      if (!isOver(error) && !at.left.aborted) box.after(trouble(error));
    } finally {
      more.disabled = false;
      into.removeAttribute('aria-busy');
    }
  };
  more.addEventListener('click', () => void next());
  await next();
}

/** The column of buttons: named for those who do not see that it is one. */
const DO = 'Do';

export type Cell = Node | string;

/** A table that becomes a list of cards where there is no room. */
export function table(caption: string, heads: readonly string[]): { element: HTMLElement; body: HTMLElement; row: (...cells: Cell[]) => HTMLElement } {
  const body = h('tbody');
  const element = h('div', { class: 'table' }, h('table', {},
    h('caption', { class: 'unseen' }, caption),
    h('thead', {}, h('tr', {}, ...heads.map((name) => h('th', { scope: 'col' }, name === DO ? h('span', { class: 'unseen' }, name) : name)))),
    body));
  const row = (...cells: Cell[]): HTMLElement => h('tr', {}, ...cells.map((cell, at) => h('td', { 'data-name': heads[at] === DO ? '' : heads[at] ?? '' }, cell)));
  return { element, body, row };
}

/** Asks before something that cannot be taken back. */
export function confirm(question: string, detail: string, yes: string): Promise<boolean> {
  return new Promise((resolve) => {
    const box = h('dialog', { class: 'box', 'aria-labelledby': 'question' },
      h('h2', { id: 'question' }, question), h('p', {}, detail),
      h('div', { class: 'actions' },
        h('button', { type: 'button', class: 'button', onclick: () => box.close('') }, 'Cancel'),
        h('button', { type: 'button', class: 'button alarm', onclick: () => box.close('yes') }, yes)));
    box.addEventListener('close', () => {
      box.remove();
      resolve(box.returnValue === 'yes');
    });
    document.body.append(box);
    box.showModal();
  });
}

/** A secret that is shown this once. */
export function once(what: string, secret: string): HTMLElement {
  const copy = h('button', { type: 'button', class: 'button', onclick: async () => {
    await navigator.clipboard?.writeText(secret);
    copy.textContent = 'Copied';
  } }, 'Copy');
  return h('div', { class: 'once', role: 'status' },
    h('p', {}, `${what} It is shown this once: copy it now.`),
    h('div', { class: 'line' }, h('code', {}, secret), copy));
}

/** Does something every so often while the page is seen and the view not left. */
export function every(ms: number, left: AbortSignal, act: () => Promise<unknown>): void {
  let isBusy = false;
  const timer = setInterval(async () => {
    if (document.hidden || isBusy) return;
    isBusy = true;
    await act().catch(() => {});
    isBusy = false;
  }, ms);
  left.addEventListener('abort', () => clearInterval(timer));
}

/** A labelled field. */
export function field(label: string, input: HTMLElement, hint = ''): HTMLElement {
  return h('label', { class: 'field' }, h('span', {}, label), input, ...(hint ? [h('small', {}, hint)] : []));
}

export function choice(name: string, options: readonly (readonly [string, string])[], value: string): HTMLSelectElement {
  return h('select', { name }, ...options.map(([key, text]) => h('option', { value: key, selected: key === value }, text)));
}
