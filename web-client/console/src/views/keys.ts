// API keys: who has which, new ones, and revoking them.

import { h } from '../../../src/ui/dom.js';
import type { Key } from '../shapes.js';
import { action, badge, choice, confirm, field, head, isOver, once, pages, table, tell, type Console, type View } from '../view.js';
import { ago, day, whole } from '../words.js';

const SCOPES = ['talk', 'read', 'write', 'tickets', 'keys'];
const DAY_MS = 86_400_000;

export const keys: View = async (main, _, at) => {
  const shown = h('div');
  const { element, body, row } = table('API keys, newest first', ['Name', 'Begins with', 'May', 'State', 'Used', 'Do']);
  const draw = (key: Key): HTMLElement => {
    const { id, name, role, user, scopes, prefix, state, created_at, expires_at, used_at } = key;
    const revoke = action('Revoke', async () => {
      const detail = 'Whatever shows it is refused from now on, and conversations that go on with it end within 5 seconds.';
      if (!(await confirm(`Revoke “${name}”?`, detail, 'Revoke'))) return;
      await at.api.delete(`/keys/${id}`);
      line.replaceWith(draw({ ...key, state: 'revoked' }));
      at.say(`${name} is revoked.`);
    }, () => main, 'button small alarm');
    revoke.setAttribute('data-row', '');
    revoke.setAttribute('aria-label', `Revoke: ${name}`);
    const until = expires_at ? `until ${day(expires_at)}` : 'does not end';
    const line = row(
      h('span', { class: 'stack' }, h('strong', {}, name), h('span', { class: 'sub' }, `${role}${user ? ` · ${user}` : ''}`)), h('code', {}, `${prefix}…`), scopes.join(', '),
      h('span', { class: 'stack' }, badge(state), h('span', { class: 'sub', title: `made ${whole(created_at)}` }, until)),
      used_at ? h('time', { datetime: used_at, title: whole(used_at) }, ago(used_at)) : 'never', state === 'active' ? revoke : '');
    return line;
  };
  main.append(head('Keys'), form(at, shown, (key) => {
    if (!element.isConnected) main.querySelector(':scope > .empty')?.replaceWith(element);
    body.prepend(draw(key));
  }), shown, element);
  await pages<Key>({
    into: body, at, name: 'keys', none: 'No key was made yet. Keys of the configuration (server.keys) are not listed.', draw,
    ask: (after) => at.api.list<Key>('/keys', { limit: 50, after }, at.left),
  });
};

function form(at: Console, shown: HTMLElement, made: (key: Key) => void): HTMLElement {
  const scopes = SCOPES.map((scope) => h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'scopes', value: scope, checked: true }), scope));
  const fields = h('form', { class: 'fields' },
    field('Name', h('input', { name: 'name', required: true, maxlength: '255', autocomplete: 'off' }), 'What it is for'),
    field('Role', choice('role', [['member', 'Member: its user’s things'], ['admin', 'Admin: everything']], 'member')),
    field('User', h('input', { name: 'user', maxlength: '255', autocomplete: 'off' }), 'A member’s key needs one'),
    field('Ends', choice('ends', [['', 'Never'], ['30', 'In 30 days'], ['90', 'In 90 days'], ['365', 'In a year']], '90')),
    h('fieldset', {}, h('legend', {}, 'May'), ...scopes),
    h('button', { class: 'button primary', type: 'submit' }, 'Make the key'));
  fields.addEventListener('submit', async (event) => {
    event.preventDefault();
    const data = new FormData(fields);
    const text = (name: string): string => String(data.get(name) ?? '').trim();
    const role = text('role');
    const picked = data.getAll('scopes').map(String).filter((scope) => role === 'admin' || scope !== 'keys');
    try {
      const key = await at.api.post<Key>('/keys', {
        name: text('name'), role, scopes: picked, ...(text('user') && { user: text('user') }),
        ...(text('ends') && { expires_at: new Date(Date.now() + Number(text('ends')) * DAY_MS).toISOString() }),
      });
      shown.replaceChildren(once(`The key “${key.name}”.`, key.key ?? ''));
      made(key);
      fields.reset();
    } catch (error) {
      if (!isOver(error)) tell(shown, error);
    }
  });
  return h('details', { class: 'make' }, h('summary', {}, 'New key'), fields);
}
