// A stored conversation as rows on the axis of its media time. Pure: what is drawn is decided here.

import type { Conversation, Item, Receipt, Stage, Track } from './shapes.js';

/** Stages of a reply in the order in which they are reached, counted from the end of the user's speech. */
export const STAGES: readonly [Stage, string][] = [
  ['eot', 'Turn over'], ['asr', 'Words known'], ['llm_first', 'Agent’s first word'], ['tts_first', 'Voice’s first sound'], ['first_audio', 'Sent'],
];

export interface Row {
  item: Item;
  lane: 'user' | 'assistant' | 'tool' | 'system';
  /** Heard, or said. */
  text: string;
  /** Written, and never heard. */
  unheard: string;
  /** A call's answer. */
  output: Item | null;
  /** A reply's receipt, at the first of its rows. */
  receipt: Receipt | null;
}

export interface Bar {
  stage: Stage;
  name: string;
  from_ms: number;
  to_ms: number;
}

/** Rows in order: a call with its answer, and every receipt once. */
export function rows({ items = [], replies = [] }: Pick<Conversation, 'items' | 'replies'>): Row[] {
  const outputs = new Map(items.filter(({ kind }) => kind === 'tool_output').map((item) => [item.call, item]));
  const calls = new Set(items.filter(({ kind }) => kind === 'tool_call').map(({ call }) => call));
  const receipts = new Map(replies.map((receipt) => [receipt.reply, receipt]));
  return items.filter((item) => item.kind !== 'tool_output' || !calls.has(item.call)).map((item) => {
    const isReply = item.kind === 'reply' && item.reply !== undefined;
    const receipt = isReply ? receipts.get(item.reply as number) ?? null : null;
    if (receipt) receipts.delete(receipt.reply);
    return {
      item, lane: lane(item), ...cut(item), output: item.kind === 'tool_call' ? outputs.get(item.call) ?? null : null, receipt,
    };
  });
}

function lane({ role, kind }: Item): Row['lane'] {
  if (kind.startsWith('tool_')) return 'tool';
  return role === 'user' || role === 'assistant' || role === 'tool' ? role : 'system';
}

/** What was heard of a reply, and what was not. */
export function cut({ text, full_text: full }: Pick<Item, 'text' | 'full_text'>): { text: string; unheard: string } {
  if (full === undefined) return { text, unheard: '' };
  // Spaces may differ where a voice joined segments.
  const words = text.split(/\s+/).filter(Boolean);
  let at = 0;
  for (const word of words) {
    const found = full.indexOf(word, at);
    if (found < 0 || full.slice(at, found).trim() !== '') return { text, unheard: full };
    at = found + word.length;
  }
  return { text, unheard: full.slice(at).trim() };
}

/** The stages that were reached, each from the one before. */
export function bars({ latency_ms: latency }: Pick<Receipt, 'latency_ms'>): Bar[] {
  let before = 0;
  return STAGES.flatMap(([stage, name]) => {
    const at = latency[stage];
    if (typeof at !== 'number') return [];
    const from = Math.min(before, at);
    before = Math.max(before, at);
    return [{ stage, name, from_ms: from, to_ms: at }];
  });
}

/** The end of the longest bar: all are drawn to one scale. */
export function slowest(replies: readonly Receipt[]): number {
  return Math.max(1, ...replies.flatMap((receipt) => bars(receipt).map(({ to_ms }) => to_ms)));
}

/** How long the axis is. */
export function length({ items = [] }: Pick<Conversation, 'items'>, tracks: readonly Track[] = []): number {
  const ends = items.map(({ start_ms, end_ms }) => end_ms ?? start_ms ?? 0);
  return Math.max(0, ...ends, ...tracks.map(({ start_ms, duration_ms }) => start_ms + (duration_ms ?? 0)));
}

const STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600].map((seconds) => seconds * 1_000);

/** Round times, at most so many. */
export function ticks(length_ms: number, most = 8): number[] {
  const step = STEPS_MS.find((candidate) => length_ms / candidate <= most) ?? Math.ceil(length_ms / most / 3_600_000) * 3_600_000;
  return Array.from({ length: Math.floor(length_ms / step) + 1 }, (_, index) => index * step);
}

/** The part that a time belongs to: the last that begins at or before it. */
export function part(tracks: readonly Track[], at_ms: number): number {
  const begun = tracks.filter(({ start_ms }) => start_ms <= at_ms);
  return begun.reduce((last, track) => Math.max(last, track.part), tracks[0]?.part ?? 1);
}

/** The row that is heard at that time, or was heard last. */
export function current(all: readonly Row[], at_ms: number): Row | null {
  let last: Row | null = null;
  for (const row of all) {
    if (row.item.start_ms !== null && row.item.start_ms <= at_ms && row.lane !== 'tool') last = row;
  }
  return last;
}
