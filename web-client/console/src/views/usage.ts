// What it cost, per day.

import { h } from '../../../src/ui/dom.js';
import { chart, days } from '../chart.js';
import type { Usage } from '../shapes.js';
import { choice, field, head, table, type View } from '../view.js';
import { count, number, span } from '../words.js';

const RANGES = [['7', 'Last 7 days'], ['30', 'Last 30 days'], ['90', 'Last 90 days'], ['365', 'Last 365 days']] as const;

export const usage: View = async (main, { query }, at) => {
  const wanted = RANGES.some(([key]) => key === query['days']) ? (query['days'] as string) : '30';
  const range = choice('days', RANGES, wanted);
  range.addEventListener('change', () => at.go({ section: 'usage', query: { days: range.value } }, 'replace'));
  main.append(head('Usage', field('Days', range)));
  const until = new Date();
  const since = new Date(until.getTime() - Number(wanted) * 86_400_000);
  const told = await at.api.get<Usage>('/usage', { since: since.toISOString(), until: until.toISOString() }, at.left);
  const dates = days(told.from, told.to);
  const by = new Map(told.days.map((one) => [one.date, one]));
  const of = (read: (day: Usage['days'][number]) => number): number[] => dates.map((date) => {
    const one = by.get(date);
    return one ? read(one) : 0;
  });
  const seconds = (value: number): string => span(value * 1_000);
  main.append(h('div', { class: 'charts' },
    chart('Conversations', dates, [{ name: 'Conversations', kind: 'first', of: of((day) => day.conversations) }], number),
    chart('Replies', dates, [{ name: 'Replies', kind: 'first', of: of((day) => day.replies) }], number),
    chart('Audio', dates, [
      { name: 'Heard', kind: 'first', of: of((day) => day.audio_in_s) }, { name: 'Spoken', kind: 'second', of: of((day) => day.audio_out_s) },
    ], seconds),
    chart('Tokens', dates, [
      { name: 'In', kind: 'first', of: of((day) => day.input_tokens) }, { name: 'Out', kind: 'second', of: of((day) => day.output_tokens) },
    ], number)));
  const { element, body, row } = table('Usage per day, newest first', ['Day (UTC)', 'Conversations', 'Replies', 'Heard', 'Spoken', 'Tokens in', 'Tokens out']);
  element.classList.add('figures');
  const line = (name: string, used: Usage['total']): HTMLElement => row(name, number(used.conversations), number(used.replies),
    seconds(used.audio_in_s), seconds(used.audio_out_s), number(used.input_tokens), number(used.output_tokens));
  body.append(...[...told.days].reverse().map((day) => line(day.date, day)));
  const all = line('All', told.total);
  all.classList.add('sum');
  body.append(all);
  main.append(element);
  at.say(`${count(told.total.conversations, 'conversation')} in all`);
};
