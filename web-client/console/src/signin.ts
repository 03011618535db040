// Whoever the server does not know: by the operator's identity provider, or by a key.

import { h } from '../../src/ui/dom.js';
import { Problem, type Api } from './api.js';
import { format, parse } from './route.js';
import { tell, trouble } from './view.js';

/** Whether this server sends browsers to an identity provider. */
async function hasProvider(): Promise<boolean> {
  const answer = await fetch('/login?return=/console', { redirect: 'manual', signal: AbortSignal.timeout(10_000) }).catch(() => null);
  return answer?.type === 'opaqueredirect';
}

/** Has the key exchanged for a cookie that no script reads, where the server keeps logins and the browser takes it. */
async function exchange(api: Api, key: string): Promise<boolean> {
  const form = new URLSearchParams({ key, return: '/console' });
  const answer = await fetch('/login', { method: 'POST', body: form, redirect: 'manual', signal: AbortSignal.timeout(10_000) }).catch(() => null);
  if (answer?.type !== 'opaqueredirect') return false;
  api.key = null;
  return works(api);
}

/** Where somebody wanted to go, without what they searched for: this is sent to the server. */
function place(): string {
  const { section, subject } = parse(location.hash);
  return `/console${format({ section, subject })}`;
}

async function works(api: Api): Promise<boolean> {
  try {
    await api.get('/conversations', { limit: 1 });
    return true;
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return false;
    // It knows us; there is other trouble, which the views tell.
    if (error instanceof Problem && error.status !== 0) return true;
    throw error;
  }
}

export function signIn(main: HTMLElement, api: Api, done: () => void): void {
  const key = h('input', { type: 'password', name: 'key', required: true, autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'kept' });
  const submit = h('button', { class: 'button primary', type: 'submit' }, 'Sign in with the key');
  const form = h('form', { class: 'fields' }, h('label', { class: 'field' }, h('span', {}, 'API key'), key), submit);
  const box = h('section', { class: 'sign-in' },
    h('h1', {}, 'Sign in'),
    h('p', { class: 'note' }, 'This server wants to know who looks at what was said.'),
    form,
    h('p', { class: 'sub', id: 'kept' }, 'The key never stands in an address. If this server keeps logins, it becomes a cookie that no script can read; ',
      'otherwise it stays in this tab’s session storage and goes with the tab.'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      const text = key.value.trim();
      if (!(await exchange(api, text))) {
        api.key = text;
        if (!(await works(api))) {
          api.key = null;
          throw new Problem(401, 'unauthorized', 'The server does not accept this key: it may have expired, or been revoked.');
        }
      }
      key.value = '';
      done();
    } catch (error) {
      tell(form, error);
      key.select();
    }
    submit.disabled = false;
  });
  main.replaceChildren(box);
  void hasProvider().then((is) => {
    if (!is || !box.isConnected) return;
    form.before(h('p', {}, h('a', { class: 'button primary wide', href: `/login?return=${encodeURIComponent(place())}` }, 'Sign in with your account')), h('p', { class: 'or' }, 'or with an API key'));
    submit.classList.remove('primary');
  });
  key.focus();
}

/** Ends the login, and forgets the key. */
export async function signOut(api: Api): Promise<HTMLElement | null> {
  api.key = null;
  const answer = await fetch('/logout', { method: 'POST', redirect: 'manual', signal: AbortSignal.timeout(10_000) }).catch(() => null);
  // A server without logins answers 404 or 405: there was only the key.
  const isDone = answer !== null && (answer.type === 'opaqueredirect' || [404, 405].includes(answer.status));
  return isDone ? null : trouble(new Problem(0, 'unreachable', 'The login could not be ended. Try again.'));
}
