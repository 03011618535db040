// The rows of a timeline as elements.

import { h, s } from '../../src/ui/dom.js';
import { icon } from '../../src/ui/icons.js';
import type { Receipt } from './shapes.js';
import { bars, type Row } from './timeline.js';
import { clock, number, pretty, whole } from './words.js';

const WHO: Record<Row['lane'], string> = { user: 'User', assistant: 'Floe', tool: 'Tool', system: 'Note' };

export function draw(row: Row, scale_ms: number, pick: (row: Row) => void): HTMLElement {
  const { item, lane, receipt } = row;
  const { start_ms: from, end_ms: to } = item;
  const title = `Written down ${whole(item.recorded_at)}`;
  const at = from === null ? h('span', { class: 'at', title })
    : h('button', { type: 'button', class: 'at', 'data-row': true, title, onclick: () => pick(row) }, clock(from));
  const length = from !== null && to !== null && to > from ? `${((to - from) / 1000).toFixed(1)} s` : '';
  return h('li', { class: `row ${lane}`, 'data-item': String(item.id) },
    h('span', { class: 'time' }, at, h('span', { class: 'sub' }, length)),
    h('span', { class: 'who' }, WHO[lane]),
    h('div', { class: 'said' }, ...words(row), ...(receipt ? [latency(receipt, scale_ms)] : [])));
}

function words({ item, lane, text, unheard, output }: Row): Node[] {
  if (lane === 'tool') return call(item.tool ?? 'tool', item.arguments ?? '', output?.text ?? (item.kind === 'tool_output' ? item.text : null), output?.failed ?? item.failed);
  const tags = [
    item.kind === 'text' && 'typed', item.kind === 'note' && 'note', item.kind === 'deleted' && 'taken out', item.failed && 'recognition failed',
    lane === 'user' && item.kind === 'speech' && (item.language ?? ''),
  ].filter((tag): tag is string => typeof tag === 'string' && tag !== '');
  const line = h('p', {}, text || (item.failed ? '' : '…'));
  if (item.interrupted || unheard) {
    line.append(' ', h('span', { class: 'mark' }, icon('cut'), h('span', {}, 'cut here')));
    if (unheard) line.append(' ', h('del', { class: 'unheard', 'aria-label': 'never heard' }, unheard));
  }
  if (tags.length > 0) line.append(' ', ...tags.map((tag) => h('span', { class: 'tag' }, tag)));
  return [line];
}

function call(tool: string, given: string, output: string | null, failed: boolean): Node[] {
  const answer = output === null ? [h('span', { class: 'sub' }, 'no answer')] : [h('span', { class: 'arrow', 'aria-hidden': 'true' }, '→'), h('code', { class: failed ? 'failed' : '' }, pretty(output))];
  return [h('div', { class: 'call' }, h('strong', {}, tool), h('code', {}, pretty(given)), ...answer, ...(failed ? [h('span', { class: 'tag alarm' }, 'failed')] : []))];
}

/** The stages of one reply, drawn to the scale of all. */
function latency(receipt: Receipt, scale_ms: number): HTMLElement {
  const { status, reason, usage } = receipt;
  const stages = bars(receipt);
  const total = stages.at(-1)?.to_ms;
  const drawing = s('svg', { viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...stages.map(({ stage, from_ms, to_ms }) => s('rect', {
      class: stage, x: ((100 * from_ms) / scale_ms).toFixed(2), width: Math.max(0.3, (100 * (to_ms - from_ms)) / scale_ms).toFixed(2), height: '8',
    })));
  const tokens = usage.input_tokens + usage.output_tokens > 0 ? `${number(usage.input_tokens)} + ${number(usage.output_tokens)} tokens` : '';
  const facts = [status === 'completed' || status === 'interrupted' ? '' : `${status}${reason ? `: ${reason}` : ''}`, tokens].filter(Boolean).join(' · ');
  return h('div', { class: 'latency' },
    ...(stages.length > 0 ? [h('div', { class: 'bar' }, drawing, h('strong', {}, `${number(Math.round(total ?? 0))} ms`))] : []),
    h('p', { class: 'sub' }, ...stages.map(({ stage, name, to_ms }) => h('span', { class: `stage ${stage}` }, `${name} ${number(to_ms)} ms`)),
      ...(facts ? [h('span', { class: 'stage' }, facts)] : [])));
}
