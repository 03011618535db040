// Background work: what waits, what runs, what was given up.

import { h } from '../../../src/ui/dom.js';
import { format } from '../route.js';
import type { Job } from '../shapes.js';
import { action, badge, choice, field, head, pages, table, type View } from '../view.js';
import { ago, whole } from '../words.js';

const STATES = [['', 'Any state'], ['queued', 'Queued'], ['running', 'Running'], ['done', 'Done'], ['dead', 'Given up']] as const;
const KINDS = ['', 'summarise', 'summarise_document', 'webhook', 'retention', 'erase', 'clean'].map((kind) => [kind, kind || 'Any kind'] as const);

export const jobs: View = async (main, { query }, at) => {
  const form = h('form', { class: 'filters' },
    field('State', choice('state', STATES, query['state'] ?? '')), field('Kind', choice('kind', KINDS, query['kind'] ?? '')));
  form.addEventListener('change', () => {
    const next = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
    at.go({ section: 'jobs', query: next }, 'replace');
  });
  const { element, body, row } = table('Jobs, newest first', ['Job', 'About', 'State', 'Tries', 'When', 'Do']);
  const draw = (job: Job): HTMLElement => {
    const { id, kind, subject, state, attempts, due_at, finished_at, error, created_at, node } = job;
    const at_ = finished_at ?? (state === 'queued' ? due_at : created_at);
    const when = h('time', { datetime: at_, title: whole(at_) }, finished_at ? ago(finished_at) : state === 'queued' ? `due ${ago(due_at)}` : `since ${ago(created_at)}`);
    const retry = action('Try again', async () => {
      const fresh = draw(await at.api.post<Job>(`/jobs/${id}/retry`));
      line.replaceWith(fresh);
      fresh.querySelector<HTMLElement>('[data-row]')?.focus();
      at.say('It is due now.');
    }, () => main, 'button small');
    retry.setAttribute('data-row', '');
    retry.setAttribute('aria-label', `Try again: ${kind} ${id}`);
    const about = /^cnv_[0-9a-f]+$/.test(subject)
      ? h('a', { href: format({ section: 'conversations', subject }) }, short(subject)) : h('span', { title: subject }, short(subject));
    const line = row(h('span', { class: 'stack' }, h('strong', {}, kind), h('code', { class: 'sub', title: id }, short(id))), about,
      h('span', { class: 'stack' }, badge(state), ...(error ? [h('span', { class: 'sub why' }, error)] : node && state === 'running' ? [h('span', { class: 'sub' }, `by ${node}`)] : [])),
      String(attempts), when, state === 'running' ? '' : retry);
    return line;
  };
  main.append(head('Jobs'), form, element);
  await pages<Job>({
    into: body, at, name: 'jobs', none: 'There are no such jobs.', draw,
    ask: (after) => at.api.list<Job>('/jobs', { limit: 50, state: query['state'], kind: query['kind'], after }, at.left),
  });
};

/** The end of an id, which tells it from its neighbours. */
function short(id: string): string {
  const [kind = '', rest = ''] = id.split('_', 2);
  return rest.length > 12 ? `${kind}_…${rest.slice(-8)}` : id;
}
