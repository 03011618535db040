// Where events are sent.

import { h } from '../../../src/ui/dom.js';
import type { Webhook } from '../shapes.js';
import { action, badge, confirm, field, head, isOver, once, pages, table, tell, type View } from '../view.js';
import { day, whole } from '../words.js';

const EVENTS = ['conversation.ended', 'conversation.summarised', 'conversation.deleted'];

export const webhooks: View = async (main, _, at) => {
  const shown = h('div');
  const { element, body, row } = table('Webhooks, oldest first', ['Address', 'Events', 'Since', 'Do']);
  const draw = ({ id, url, events, created_at, gone_at }: Webhook): HTMLElement => {
    const test = action('Test', async () => {
      await at.api.post(`/webhooks/${id}/test`);
      at.go({ section: 'jobs', query: { kind: 'webhook' } });
    }, () => main, 'button small');
    test.setAttribute('aria-label', `Test: ${url}`);
    test.setAttribute('data-row', '');
    const remove = action('Delete', async () => {
      if (!(await confirm('Delete this webhook?', `Nothing is sent to ${url} any more.`, 'Delete'))) return;
      await at.api.delete(`/webhooks/${id}`);
      line.remove();
      at.say('It is gone.');
    }, () => main, 'button small alarm');
    remove.setAttribute('aria-label', `Delete: ${url}`);
    const line = row(
      h('span', { class: 'stack' }, h('code', { class: 'url' }, url), ...(gone_at ? [h('span', {}, badge('gone'), ` it answered 410 on ${day(gone_at)}`)] : [])),
      events.join(', '), h('time', { datetime: created_at, title: whole(created_at) }, day(created_at)), h('span', { class: 'actions' }, test, remove));
    return line;
  };
  const checks = EVENTS.map((event) => h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'events', value: event, checked: true }), event));
  const form = h('form', { class: 'fields' },
    field('Address', h('input', { name: 'url', type: 'url', required: true, maxlength: '2048', placeholder: 'https://example.org/floe', autocomplete: 'off' }), 'In a public network'),
    h('fieldset', {}, h('legend', {}, 'Events'), ...checks), h('button', { class: 'button primary', type: 'submit' }, 'Make the webhook'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const data = new FormData(form);
    try {
      const hook = await at.api.post<Webhook>('/webhooks', { url: String(data.get('url')), events: data.getAll('events').map(String) });
      shown.replaceChildren(once('What its messages are signed with.', hook.secret ?? ''));
      if (!element.isConnected) main.querySelector(':scope > .empty')?.replaceWith(element);
      body.append(draw(hook));
      form.reset();
    } catch (error) {
      if (!isOver(error)) tell(shown, error);
    }
  });
  main.append(head('Webhooks'), h('details', { class: 'make' }, h('summary', {}, 'New webhook'), form), shown, element);
  await pages<Webhook>({ into: body, at, name: 'webhooks', none: 'Events are sent nowhere.', draw, ask: () => at.api.list<Webhook>('/webhooks', {}, at.left) });
};
