import { expect, test } from 'vitest';
import { address } from '../src/api';
import { ceiling, days } from '../src/chart';
import { format, parse } from '../src/route';
import type { Item, Receipt, Track } from '../src/shapes';
import { bars, current, cut, length, part, rows, slowest, ticks } from '../src/timeline';
import { ago, bytes, clock, count, pretty, span } from '../src/words';

const item = (id: number, kind: string, more: Partial<Item> = {}): Item => ({
  id, role: kind === 'speech' || kind === 'text' ? 'user' : 'assistant', kind, text: '', start_ms: null, end_ms: null, interrupted: false,
  failed: false, recorded_at: '2026-11-24T03:00:00.000Z', ...more,
});
const receipt = (reply: number, latency: Partial<Receipt['latency_ms']> = {}): Receipt => ({
  reply, turn: null, status: 'completed', latency_ms: { eot: null, asr: null, llm_first: null, tts_first: null, first_audio: null, ...latency },
  usage: { input_tokens: 0, output_tokens: 0 },
});
const track = (id: number, start_ms: number, duration_ms: number | null = 1_000): Track => ({
  id: `${id}-user`, part: id, track: 'user', start_ms, duration_ms, bytes: 1, complete: true, here: true, url: '',
});

test('a place in the console survives its address, and an empty one is the list', () => {
  for (const route of [
    { section: 'conversations', subject: null, query: {} }, { section: 'conversations', subject: 'cnv_1/2?#', query: { item: '3' } },
    { section: 'conversations', subject: null, query: { q: 'grüß & gott = 100 %' } },
  ]) expect(parse(format(route))).toEqual(route);
  expect(parse('')).toEqual({ section: 'conversations', subject: null, query: {} });
  expect(parse('#/jobs/%E0%A4%A')).toMatchObject({ section: 'jobs', subject: '%E0%A4%A' });
  expect(format({ section: 'jobs', query: { state: '', kind: 'webhook' } })).toBe('#/jobs?kind=webhook');
});

test('what is not asked is not in an address', () => {
  expect(address('/search', { q: 'a b&c', after: undefined, limit: 0, agent: '' })).toBe('/api/v1/search?q=a+b%26c&limit=0');
  expect(address('/usage')).toBe('/api/v1/usage');
});

test('times and amounts', () => {
  expect([0, 999.6, 62_440, 3_600_000, -5].map((ms) => clock(ms))).toEqual(['0:00.0', '0:01.0', '1:02.4', '1:00:00.0', '0:00.0']);
  expect([59_960, 61_000].map((ms) => clock(ms, 0))).toEqual(['1:00', '1:01']);
  expect([400, 59_400, 60_000, 125_000, 3_600_000, 7_800_000].map(span)).toEqual(['0 s', '59 s', '1 min', '2 min 5 s', '1 h', '2 h 10 min']);
  const now = Date.parse('2026-11-24T12:00:00Z');
  expect(['2026-11-24T11:59:57Z', '2026-11-24T11:59:20Z', '2026-11-24T11:54:31Z', '2026-11-24T12:03:00Z', 'x'].map((at) => ago(at, now)))
    .toEqual(['just now', '40 s ago', '5 min ago', 'in 3 min', '–']);
  expect([count(1, 'reply', 'replies'), count(2_000, 'reply', 'replies'), bytes(999), bytes(12_345), bytes(2_000_000)])
    .toEqual(['1 reply', '2,000 replies', '999 B', '12.3 kB', '2 MB']);
  expect([pretty('{"a":1,"b":"x"}'), pretty('"text"'), pretty('no json')]).toEqual(['{"a": 1, "b": "x"}', '"text"', 'no json']);
});

test('a cut reply is split where hearing ended', () => {
  expect(cut({ text: 'My family has', full_text: 'My family  has many members.' })).toEqual({ text: 'My family has', unheard: 'many members.' });
  expect(cut({ text: '', full_text: 'Nothing of it.' })).toEqual({ text: '', unheard: 'Nothing of it.' });
  expect(cut({ text: 'All.' })).toEqual({ text: 'All.', unheard: '' });
  // What was heard is not how the other begins: both are shown whole.
  expect(cut({ text: 'Four', full_text: '4 apples' })).toEqual({ text: 'Four', unheard: '4 apples' });
});

test('calls have their answers, replies their receipts once, and nothing is lost', () => {
  const items = [
    item(1, 'speech', { text: 'how much', start_ms: 0, end_ms: 900 }), item(2, 'tool_call', { call: 1, tool: 'calculator', reply: 1 }),
    item(3, 'tool_output', { role: 'tool', call: 1, text: '1.25' }), item(4, 'reply', { reply: 1, text: 'It is', start_ms: 1_500, end_ms: 2_000 }),
    item(5, 'reply', { reply: 1, text: '1.25.', start_ms: 2_000, end_ms: 3_000 }), item(6, 'tool_output', { role: 'tool', call: 9, text: 'late' }),
    item(7, 'note', { role: 'system', text: 'be kind' }),
  ];
  const all = rows({ items, replies: [receipt(1)] });
  expect(all.map(({ item: { id }, lane }) => [id, lane])).toEqual([[1, 'user'], [2, 'tool'], [4, 'assistant'], [5, 'assistant'], [6, 'tool'], [7, 'system']]);
  expect(all[1]?.output?.text).toBe('1.25');
  expect(all.map(({ receipt: found }) => found?.reply ?? null)).toEqual([null, null, 1, null, null, null]);
  expect([current(all, 1_400), current(all, 2_500), current(all, -1)].map((row) => row?.item.id ?? null)).toEqual([1, 5, null]);
  expect(length({ items })).toBe(3_000);
  expect(length({ items }, [track(1, 0), track(2, 5_000, 250)])).toBe(5_250);
});

test('stages begin where the one before ended, and one that was not reached leaves no hole', () => {
  const reply = receipt(1, { eot: 400, asr: 620, tts_first: 600, first_audio: 700 });
  expect(bars(reply).map(({ stage, from_ms, to_ms }) => [stage, from_ms, to_ms]))
    .toEqual([['eot', 0, 400], ['asr', 400, 620], ['tts_first', 600, 600], ['first_audio', 620, 700]]);
  expect([slowest([reply, receipt(2, { first_audio: 950 })]), slowest([])]).toEqual([950, 1]);
});

test('the axis has round times, and never too many', () => {
  expect(ticks(7_400)).toEqual([0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000]);
  expect(ticks(0)).toEqual([0]);
  for (const ms of [1, 59_000, 600_001, 7_200_000, 90_000_000]) expect(ticks(ms).length).toBeLessThanOrEqual(9);
});

test('a time belongs to the last part that begins at or before it', () => {
  const tracks = [track(1, 0), track(2, 4_000)];
  expect([-1, 0, 3_999, 4_000].map((ms) => part(tracks, ms))).toEqual([1, 1, 1, 2]);
});

test('charts end at round numbers, and days without anything are days', () => {
  expect([0, 1, 3, 11, 24, 26, 0.3, 100].map(ceiling)).toEqual([1, 1, 5, 20, 25, 50, 0.5, 100].map((n) => expect.closeTo(n)));
  expect(days('2026-02-27T10:00:00Z', '2026-03-01T09:00:00Z')).toEqual(['2026-02-27', '2026-02-28', '2026-03-01']);
});
