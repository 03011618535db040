// The map of a conversation: who spoke when, on one axis. Everything in it also stands in the list beneath.

import { h, s } from '../../src/ui/dom.js';
import { ticks, type Row } from './timeline.js';
import { clock } from './words.js';

const [WIDTH, LANE, GAP] = [1000, 26, 6];
const HEIGHT = 2 * LANE + GAP;

export interface Lanes {
  element: HTMLElement;
  /** Moves the line. */
  move(at_ms: number): void;
}

export function lanes(all: readonly Row[], length_ms: number, pick: (at_ms: number) => void): Lanes {
  const x = (ms: number): number => (WIDTH * ms) / Math.max(1, length_ms);
  const marks = ticks(length_ms);
  const blocks = all.flatMap(({ item, lane, unheard }) => {
    if (item.start_ms === null || lane === 'system' || lane === 'tool') return [];
    const y = lane === 'user' ? 0 : LANE + GAP;
    const from = x(item.start_ms);
    const wide = Math.max(3, x(item.end_ms ?? item.start_ms) - from);
    const block = s('rect', { class: lane, x: from.toFixed(1), y: String(y), width: wide.toFixed(1), height: String(LANE), rx: '3' });
    const cut = s('rect', { class: 'cut', x: (from + wide - 1).toFixed(1), y: String(y - 3), width: '4', height: String(LANE + 6) });
    return item.interrupted || unheard ? [block, cut] : [block];
  });
  const line = s('line', { class: 'now', y1: '-4', y2: String(HEIGHT + 4), x1: '0', x2: '0' });
  const drawing = s('svg', { viewBox: `0 -5 ${WIDTH} ${HEIGHT + 10}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...marks.map((at) => s('line', { class: 'grid', x1: x(at).toFixed(1), x2: x(at).toFixed(1), y1: '-5', y2: String(HEIGHT + 5) })), ...blocks, line);
  const plot = h('div', { class: 'plot', onclick: (event: MouseEvent) => {
    const { left, width } = drawing.getBoundingClientRect();
    pick(Math.max(0, Math.min(1, (event.clientX - left) / width)) * length_ms);
  } });
  plot.append(drawing);
  // Names of times at places that only the drawing knows: a drawing too, but one that does not stretch its letters.
  const axis = s('svg', { class: 'axis', 'aria-hidden': 'true' }, ...marks.map((at) => {
    const name = s('text', { x: `${((100 * at) / Math.max(1, length_ms)).toFixed(2)}%`, y: '12', 'text-anchor': at === 0 ? 'start' : at > length_ms * 0.96 ? 'end' : 'middle' });
    name.textContent = clock(at, 0);
    return name;
  }));
  const element = h('div', { class: 'lanes', 'aria-hidden': 'true' },
    h('span', { class: 'names' }, h('span', {}, 'User'), h('span', {}, 'Floe')), plot);
  element.append(axis);
  return {
    element,
    move: (at_ms) => {
      line.setAttribute('x1', x(at_ms).toFixed(1));
      line.setAttribute('x2', x(at_ms).toFixed(1));
    },
  };
}
