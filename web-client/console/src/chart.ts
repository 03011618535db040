// Bars, one a day, and the same as a table beneath.

import { h, s } from '../../src/ui/dom.js';

const [WIDTH, HEIGHT] = [700, 130];

export interface Series {
  name: string;
  kind: 'first' | 'second';
  of: number[];
}

/** A round number that is not below this one. */
export function ceiling(value: number): number {
  if (value <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 2.5, 5, 10].find((candidate) => candidate * unit >= value - 1e-9) ?? 10;
  return step * unit;
}

/** Every day from the first to the last, also those of which nothing is told. */
export function days(from: string, to: string): string[] {
  const [first, last] = [Date.parse(from.slice(0, 10)), Date.parse(to.slice(0, 10))];
  const many = Math.min(400, Math.max(0, Math.round((last - first) / 86_400_000)));
  return Array.from({ length: many + 1 }, (_, index) => new Date(first + index * 86_400_000).toISOString().slice(0, 10));
}

/** Series stand on top of each other. */
export function chart(title: string, dates: readonly string[], series: readonly Series[], words: (value: number) => string): HTMLElement {
  const sums = dates.map((_, at) => series.reduce((sum, { of }) => sum + (of[at] ?? 0), 0));
  const top = ceiling(Math.max(...sums, 0));
  const step = WIDTH / Math.max(1, dates.length);
  const bars = dates.flatMap((date, at) => {
    let below = 0;
    return series.flatMap(({ kind, of, name }) => {
      const value = of[at] ?? 0;
      const tall = (value / top) * HEIGHT;
      const y = HEIGHT - below - tall;
      below += tall;
      if (value <= 0) return [];
      const bar = s('rect', {
        class: kind, x: (at * step + step * 0.14).toFixed(2), y: y.toFixed(2), width: (step * 0.72).toFixed(2), height: Math.max(1.5, tall).toFixed(2),
      });
      const told = s('title');
      told.textContent = `${date} · ${name}: ${words(value)}`;
      bar.append(told);
      return [bar];
    });
  });
  const lines = [0, 0.5, 1].map((share) => s('line', { class: 'grid', x1: '0', x2: String(WIDTH), y1: String(HEIGHT * share), y2: String(HEIGHT * share) }));
  const total = sums.reduce((sum, value) => sum + value, 0);
  const drawing = s('svg', {
    viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, preserveAspectRatio: 'none', role: 'img',
    'aria-label': `${title} per day, ${words(total)} in all, at most ${words(Math.max(...sums, 0))} a day; the table below has every day`,
  }, ...lines, ...bars);
  const legend = series.length > 1 ? [h('p', { class: 'legend' }, ...series.map(({ kind, name }) => h('span', { class: kind }, name)))] : [];
  return h('figure', { class: 'chart' },
    h('figcaption', {}, h('span', {}, title), h('strong', {}, words(total))),
    ...legend,
    h('div', { class: 'plot' },
      h('span', { class: 'top', 'aria-hidden': 'true' }, words(top)), drawing,
      h('span', { class: 'dates', 'aria-hidden': 'true' }, h('span', {}, dates[0] ?? ''), h('span', {}, dates.at(-1) ?? ''))));
}
