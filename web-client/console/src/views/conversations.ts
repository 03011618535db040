// Conversations by time, agent and state; or where words were said.

import { h } from '../../../src/ui/dom.js';
import { format, type Route } from '../route.js';
import type { Conversation, Hit } from '../shapes.js';
import { badge, choice, field, head, pages, type Console, type View } from '../view.js';
import { clock, day, span, whole } from '../words.js';

const STATES = [['', 'Any state'], ['live', 'Live'], ['ended', 'Ended'], ['lost', 'Lost']] as const;

export const conversations: View = async (main, route, at) => {
  const { query } = route;
  const search = h('input', { type: 'search', name: 'q', value: query['q'] ?? '', placeholder: 'Search what was said', autocomplete: 'off', 'aria-label': 'Search what was said', 'aria-keyshortcuts': '/' });
  const agents = h('datalist', { id: 'agents' });
  const filters = h('div', { class: 'filters', hidden: !!query['q'] },
    field('From', h('input', { type: 'date', name: 'since', value: query['since'] ?? '' })),
    field('To', h('input', { type: 'date', name: 'until', value: query['until'] ?? '' })),
    field('Agent', h('input', { name: 'agent', value: query['agent'] ?? '', list: 'agents', placeholder: 'Any agent', autocomplete: 'off' })),
    field('State', choice('state', STATES, query['state'] ?? '')), agents);
  const form = h('form', { class: 'find', role: 'search' },
    h('div', { class: 'line' }, search, h('button', { class: 'button primary', type: 'submit' }, 'Search')), filters);
  const apply = (): void => {
    const given = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()]));
    // A search is about all conversations.
    const next = given['q'] ? { q: given['q'] } : given;
    const wanted = format({ section: 'conversations', query: next });
    if (wanted !== location.hash) at.go({ section: 'conversations', query: next }, 'replace');
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    apply();
  });
  filters.addEventListener('change', apply);
  // The cross in the field.
  search.addEventListener('input', () => {
    if (search.value === '' && query['q']) apply();
  });
  main.append(head('Conversations'), form);
  await (query['q'] ? found(main, query['q'], at) : listed(main, route, at, agents));
};

async function listed(main: HTMLElement, { query }: Route, at: Console, agents: HTMLElement): Promise<void> {
  const into = h('ol', { class: 'rows', 'aria-label': 'Conversations, newest first' });
  main.append(into);
  const known = new Set<string>();
  const wanted = {
    limit: 50, agent: query['agent'], state: query['state'], since: midnight(query['since'], 0), until: midnight(query['until'], 1),
  };
  const filtered = Object.values(query).some(Boolean);
  await pages<Conversation>({
    into, at, name: 'conversations', draw: entry,
    none: filtered ? 'No conversation fits these filters.' : 'Nobody has talked yet. What is said will be listed here.',
    ask: async (after) => {
      const part = await at.api.list<Conversation>('/conversations', { ...wanted, after }, at.left);
      for (const { agent } of part.data) known.add(agent);
      agents.replaceChildren(...[...known].map((agent) => h('option', { value: agent })));
      return part;
    },
  });
}

/** One conversation as a line of a list. */
export function entry(conversation: Conversation): HTMLElement {
  const { id, title, summary, state, agent, language, started_at, ended_at, audio_in_ms, audio_out_ms, user } = conversation;
  const long = Date.parse(ended_at ?? new Date().toISOString()) - Date.parse(started_at);
  const about = [agent, language, user ?? ''].filter(Boolean).join(' · ');
  return h('li', {}, h('a', { href: format({ section: 'conversations', subject: id }), 'data-row': true },
    h('span', { class: 'what' }, h('strong', title ? {} : { class: 'untitled' }, title ?? (state === 'live' ? 'Going on' : 'Untitled')), h('span', { class: 'sub' }, summary ?? (state === 'live' ? id : 'No summary'))),
    h('span', { class: 'about' }, badge(state), h('span', { class: 'sub' }, about)),
    h('span', { class: 'when' }, h('time', { datetime: started_at, title: whole(started_at) }, day(started_at)), h('span', { class: 'sub' }, span(long))),
    // Added up at its end.
    ...(state === 'live' ? [] : [h('span', { class: 'talk' }, h('span', {}, `${span(audio_in_ms)} in`), h('span', { class: 'sub' }, `${span(audio_out_ms)} out`))])));
}

async function found(main: HTMLElement, q: string, at: Console): Promise<void> {
  const into = h('ol', { class: 'rows hits', 'aria-label': 'Where it was said, newest first' });
  main.append(into);
  await pages<Hit>({
    into, at, name: 'places', none: 'Nobody said that. All words must be in one turn; the last may be a beginning.',
    ask: (after) => at.api.list<Hit>('/search', { q, limit: 30, after }, at.left),
    draw: ({ conversation, item, role, start_ms, started_at, snippet }) => h('li', {},
      h('a', { href: format({ section: 'conversations', subject: conversation, query: { item: String(item) } }), 'data-row': true },
        h('span', { class: `who ${role}` }, role === 'user' ? 'User' : role),
        h('span', { class: 'snippet' }, ...snippet.map(({ text, hit }) => (hit ? h('mark', {}, text) : text))),
        h('span', { class: 'when' }, h('time', { datetime: started_at, title: whole(started_at) }, day(started_at)),
          h('span', { class: 'sub' }, start_ms === null ? 'typed' : `at ${clock(start_ms, 0)}`)))),
  });
}

/** A day of the reader's as a time of the API; `days` later. */
function midnight(date: string | undefined, days: number): string | undefined {
  if (!date) return undefined;
  const at = new Date(`${date}T00:00:00`);
  at.setDate(at.getDate() + days);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}
