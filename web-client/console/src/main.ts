// The console: sections, where one is in them, and who looks.

import { h } from '../../src/ui/dom.js';
import { Api } from './api.js';
import { help, listen } from './keyboard.js';
import { format, HOME, parse, type Route } from './route.js';
import { signIn, signOut } from './signin.js';
import { empty, head, isOver, trouble, type Console, type View } from './view.js';
import { conversation } from './views/conversation.js';
import { conversations } from './views/conversations.js';
import { documents } from './views/documents.js';
import { jobs } from './views/jobs.js';
import { keys } from './views/keys.js';
import { live } from './views/live.js';
import { usage } from './views/usage.js';
import { webhooks } from './views/webhooks.js';

interface Section {
  id: string;
  name: string;
  view: View;
  /** Asked once: where this is not there or not allowed, the section is not shown. */
  needs?: string;
}

const SECTIONS: readonly Section[] = [
  { id: 'conversations', name: 'Conversations', view: (main, route, at) => (route.subject === null ? conversations : conversation)(main, route, at) },
  { id: 'live', name: 'Live', view: live },
  { id: 'documents', name: 'Documents', view: documents, needs: '/documents?limit=1' },
  { id: 'usage', name: 'Usage', view: usage },
  { id: 'jobs', name: 'Jobs', view: jobs, needs: '/jobs?limit=1' },
  { id: 'keys', name: 'Keys', view: keys, needs: '/keys?limit=1' },
  { id: 'webhooks', name: 'Webhooks', view: webhooks, needs: '/webhooks' },
];

class App {
  readonly #api = new Api();
  readonly #main = find('main');
  readonly #nav = find('sections');
  readonly #account = find('account');
  readonly #status = find('status');
  #sections: Section[] = [];
  #leave = new AbortController();
  /** Where the list was left. */
  #list = '#/conversations';
  #isAsking = false;

  async start(): Promise<void> {
    this.#api.onUnknown = () => this.#ask();
    addEventListener('hashchange', () => void this.#show());
    listen(this.#main, { search: () => this.#search(), back: () => this.#back() });
    await this.#enter();
  }

  /** Finds out what there is for this visitor. */
  async #enter(): Promise<void> {
    this.#isAsking = false;
    const [isOpen, ...has] = await Promise.all([
      this.#api.isOpen().catch(() => true),
      ...SECTIONS.map(({ needs }) => (needs === undefined ? true : this.#api.has(needs))),
    ]);
    if (this.#isAsking) return;
    this.#sections = SECTIONS.filter((_, at) => has[at]);
    this.#nav.replaceChildren(h('ul', {}, ...this.#sections.map(({ id, name }) => h('li', {}, h('a', { href: format({ section: id }), 'data-section': id }, name)))));
    this.#account.replaceChildren(h('button', { type: 'button', class: 'quiet', onclick: help }, 'Keyboard'), h('a', { class: 'quiet', href: '/docs/' }, 'API'));
    if (!isOpen) this.#account.append(h('button', { type: 'button', class: 'quiet', onclick: () => void this.#out() }, 'Sign out'));
    await this.#show();
  }

  async #show(): Promise<void> {
    if (this.#isAsking) return;
    this.#leave.abort();
    this.#leave = new AbortController();
    const { signal: left } = this.#leave;
    const route = parse(location.hash);
    const section = this.#sections.find(({ id }) => id === route.section);
    for (const link of this.#nav.querySelectorAll('a')) {
      if (link.getAttribute('data-section') === section?.id) {
        link.setAttribute('aria-current', 'page');
        // On a phone the sections are a line that scrolls.
        link.scrollIntoView({ block: 'nearest', inline: 'nearest' });
      } else link.removeAttribute('aria-current');
    }
    if (route.section === HOME && route.subject === null) this.#list = location.hash || '#/conversations';
    // Only the newest of several is in the page: one that comes late draws into nothing.
    const page = h('div', { class: `page at-${route.section}`, 'aria-busy': 'true' });
    const hadFocus = document.activeElement?.closest('form')?.className;
    this.#main.replaceChildren(page);
    document.title = `${section?.name ?? 'Nothing here'} · Floe console`;
    const at: Console = {
      api: this.#api, left, has: (id) => this.#sections.some((one) => one.id === id),
      go: (to, how) => this.#go(to, how), say: (text) => this.#say(text),
    };
    try {
      if (section) await section.view(page, route, at);
      else page.append(head('Nothing here'), empty('This server has no such section, or it is not for you.'));
    } catch (error) {
      if (isOver(error) || left.aborted) return;
      if (!page.querySelector('h1')) page.append(head(section?.name ?? 'Nothing here'));
      page.append(trouble(error));
    }
    if (left.aborted || this.#isAsking) return;
    page.removeAttribute('aria-busy');
    for (const back of page.querySelectorAll<HTMLAnchorElement>('a.back')) back.href = this.#list;
    if (route.subject !== null) document.title = `${page.querySelector('h1')?.textContent ?? 'Nothing here'} · Floe console`;
    this.#focus(page, hadFocus);
  }

  /** Leaves the focus in a form that asked anew; anywhere else it goes to the new content. */
  #focus(page: HTMLElement, form: string | undefined): void {
    if (page.contains(document.activeElement)) return;
    const again = form ? page.querySelector<HTMLElement>(`form.${form.split(' ')[0]} input[type=search], form.${form.split(' ')[0]} select`) : null;
    if (again) again.focus({ preventScroll: true });
    else if (document.activeElement === document.body || document.activeElement === null) this.#main.focus({ preventScroll: true });
  }

  #go(to: Partial<Route> & { section: string }, how: 'push' | 'replace' = 'push'): void {
    const hash = format(to);
    if (how === 'push') location.hash = hash;
    else location.replace(hash);
  }

  #search(): void {
    const field = (): HTMLInputElement | null => this.#main.querySelector('input[type=search]');
    if (field()) return field()?.select();
    addEventListener('hashchange', () => requestAnimationFrame(() => field()?.focus()), { once: true });
    location.hash = this.#list;
  }

  #back(): void {
    const route = parse(location.hash);
    if (route.subject !== null) location.hash = this.#list;
    else if (Object.keys(route.query).length > 0) this.#go({ section: route.section });
  }

  #say(text: string): void {
    this.#status.textContent = text;
  }

  #ask(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#leave.abort();
    this.#api.key = null;
    this.#nav.replaceChildren();
    this.#account.replaceChildren();
    document.title = 'Sign in · Floe console';
    signIn(this.#main, this.#api, () => void this.#enter());
  }

  async #out(): Promise<void> {
    const failed = await signOut(this.#api);
    if (failed) this.#main.prepend(failed);
    else this.#ask();
  }
}

function find(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

await new App().start();
