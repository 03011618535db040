// One conversation: what it was about, its sound, and everything in it on the axis of its media time.

import { h } from '../../../src/ui/dom.js';
import { Problem } from '../api.js';
import { lanes, type Lanes } from '../lanes.js';
import { Player } from '../player.js';
import { draw } from '../rows.js';
import type { Conversation, Track } from '../shapes.js';
import { current, length, rows, slowest, type Row } from '../timeline.js';
import { action, badge, confirm, empty, every, head, tell, type Console, type View } from '../view.js';
import { clock, number, span, whole } from '../words.js';

const FORMATS = [['md', 'Markdown'], ['txt', 'Text'], ['vtt', 'WebVTT'], ['srt', 'SRT'], ['json', 'JSON']] as const;
/** Every look is written into the audit trail: not too often. */
const FOLLOW_MS = 5_000;

export const conversation: View = async (main, { subject, query }, at) => {
  const path = `/conversations/${encodeURIComponent(subject ?? '')}`;
  const read = (): Promise<Conversation> => at.api.get(path, {}, at.left);
  const sound = (): Promise<Track[]> => at.api.list<Track>(`${path}/audio`, {}, at.left).then(({ data }) => data, () => []);
  let told = await read();
  const page = new Page(main, at, path);
  // Files that are still written are heard when they are whole.
  if (told.state !== 'live') page.hear(await sound());
  page.draw(told);
  page.show(query['item']);
  if (told.state !== 'live') return;
  let looks = 0;
  every(FOLLOW_MS, at.left, async () => {
    // Its title comes a moment after its end.
    if (told.state !== 'live' && (told.title !== null || (looks += 1) > 6)) return;
    const was = told.state;
    told = await read();
    if (was === 'live' && told.state !== 'live') page.hear(await sound());
    page.draw(told);
  });
};

class Page {
  #rows: Row[] = [];
  #lanes: Lanes | null = null;
  #length_ms = 0;
  #shown = '';
  #marked: number | null = null;
  #player: Player | null = null;
  #tracks: readonly Track[] = [];
  readonly #sound = h('div', { class: 'player' });
  readonly #slider = h('input', { type: 'range', min: '0', step: '100', value: '0', 'aria-label': 'Place in the conversation' });
  readonly #play = h('button', { type: 'button', class: 'button primary play', 'aria-keyshortcuts': 'p', onclick: () => this.#toggle() }, 'Play');
  readonly #clock = h('span', { class: 'clock' });
  readonly #top = h('div');
  readonly #map = h('div');
  readonly #list = h('ol', { class: 'timeline', 'aria-label': 'Timeline' });

  constructor(main: HTMLElement, private readonly at: Console, private readonly path: string) {
    at.left.addEventListener('abort', () => this.#player?.end());
    this.#slider.addEventListener('input', () => void this.#player?.seek(Number(this.#slider.value)));
    main.append(this.#top, h('section', { class: 'panel', 'aria-label': 'Map and sound' }, this.#map, this.#sound), this.#list);
    main.addEventListener('keydown', (event) => {
      if (event.key === ' ' && (event.target as Element).matches('.at') && this.#player) {
        event.preventDefault();
        this.#toggle();
      }
    });
  }

  /** Lets its sound be heard, if there is any. */
  hear(tracks: readonly Track[]): void {
    this.#tracks = tracks;
    const here = tracks.filter((track) => track.here);
    this.#player = here.length > 0 ? new Player(here, (track) => this.#source(track), () => this.#moved(), (error) => {
      tell(this.#sound, error instanceof Problem ? error : new Problem(0, 'unplayable', 'This browser cannot play it: the files are Ogg/Opus.'));
    }) : null;
    if (this.#player) {
      const side = (name: string, words: string): HTMLElement => h('label', { class: 'check' },
        h('input', { type: 'checkbox', checked: true, onchange: (event: Event) => this.#player?.mute(name, !(event.target as HTMLInputElement).checked) }), words);
      const notes = tracks.some((track) => !track.complete) ? [h('span', { class: 'sub' }, 'something is missing in it')] : [];
      this.#sound.replaceChildren(this.#play, this.#slider, this.#clock, side('user', 'User'), side('assistant', 'Floe'), ...notes);
    } else if (tracks.length > 0) {
      this.#sound.append(h('p', { class: 'note' }, 'Its sound was recorded by another server.'));
    }
  }

  /** Draws what the server told, if it is new. */
  draw(told: Conversation): void {
    const shown = JSON.stringify(told);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const focused = document.activeElement?.closest('[data-item]')?.getAttribute('data-item');
    this.#rows = rows(told);
    this.#length_ms = length(told, this.#tracks);
    this.#top.replaceChildren(...this.#about(told));
    this.#slider.max = String(this.#length_ms);
    this.#lanes = this.#length_ms > 0 ? lanes(this.#rows, this.#length_ms, (at_ms) => void this.#seek(at_ms)) : null;
    this.#map.replaceChildren(...(this.#lanes ? [this.#lanes.element] : []));
    const scale = slowest(told.replies ?? []);
    this.#list.replaceChildren(...this.#rows.map((row) => draw(row, scale, (picked) => this.#pick(picked))));
    if (this.#rows.length === 0) this.#list.replaceChildren(h('li', {}, empty('Nothing was said.')));
    (this.#map.parentElement as HTMLElement).hidden = this.#length_ms === 0;
    if (focused) this.#row(Number(focused))?.querySelector<HTMLElement>('.at')?.focus();
    this.#moved();
  }

  /** Goes to an item, as a hit of the search does. */
  show(item: string | undefined): void {
    const row = this.#rows.find(({ item: { id } }) => String(id) === item);
    if (!row) return;
    const element = this.#row(row.item.id);
    element?.classList.add('found');
    element?.scrollIntoView({ block: 'center' });
    element?.querySelector<HTMLElement>('.at')?.focus({ preventScroll: true });
    if (row.item.start_ms !== null) void this.#seek(row.item.start_ms);
  }

  #about(told: Conversation): Node[] {
    const { id, title, state, started_at, ended_at, agent, language, user, consent, replies = [], end_reason } = told;
    const tokens = replies.reduce((sum, { usage }) => sum + usage.input_tokens + usage.output_tokens, 0);
    const long = Date.parse(ended_at ?? new Date().toISOString()) - Date.parse(started_at);
    const sent = replies.map(({ latency_ms: { first_audio } }) => first_audio).filter((ms): ms is number => typeof ms === 'number').sort((a, b) => a - b);
    const facts: [string, string][] = [
      ['Began', whole(started_at)], ['Took', `${span(long)}${end_reason ? `, ${end_reason.replaceAll('_', ' ')}` : ''}`], ['Agent', agent], ['Language', language],
      ...(user ? [['User', user] as [string, string]] : []), ...(consent === null ? [] : [['Consent', consent ? 'given' : 'refused'] as [string, string]]),
      ...(state === 'live' ? [] : [['Audio', `${span(told.audio_in_ms)} in, ${span(told.audio_out_ms)} out`] as [string, string]]),
      ['Replies', `${number(replies.length)}${sent.length > 0 ? `, median ${number(sent[Math.floor((sent.length - 1) / 2)] as number)} ms` : ''}`],
      ...(tokens > 0 ? [['Tokens', number(tokens)] as [string, string]] : []),
    ];
    const summary = told.summary
      ? [h('p', { class: 'summary' }, told.summary, ...(told.summary_by ? [' ', h('span', { class: 'sub' }, `by ${told.summary_by}`)] : []))] : [];
    return [
      h('a', { class: 'back', href: '#/conversations' }, '← Conversations'),
      head(title ?? (state === 'live' ? 'Going on' : 'Untitled'), badge(state), h('span', { class: 'grow' }), this.#exports(id), this.#delete(id)),
      ...summary, h('dl', { class: 'facts' }, ...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
    ];
  }

  #exports(id: string): HTMLElement {
    const links = FORMATS.map(([format, name]) => {
      const url = `/api/v1${this.path}/transcript?format=${format}`;
      const link = h('a', { href: url, download: `${id}.${format}` }, name);
      link.addEventListener('click', async (event) => {
        // A link shows no key.
        if (this.at.api.key === null) return;
        event.preventDefault();
        try {
          const blob = URL.createObjectURL(await this.at.api.blob(url));
          h('a', { href: blob, download: `${id}.${format}` }).click();
          setTimeout(() => URL.revokeObjectURL(blob), 60_000);
        } catch (error) {
          tell(this.#top, error);
        }
      });
      return h('li', {}, link);
    });
    return h('details', { class: 'menu' }, h('summary', { class: 'button' }, 'Export'), h('ul', {}, ...links));
  }

  #delete(id: string): HTMLElement {
    return action('Delete', async () => {
      const detail = 'Its words, tool calls, figures and sound are erased, and nobody can bring them back.';
      if (!(await confirm('Delete this conversation for good?', detail, 'Delete'))) return;
      await this.at.api.delete(`/conversations/${id}`);
      this.at.go({ section: 'conversations' });
      this.at.say('The conversation is deleted.');
    }, () => this.#top, 'button alarm');
  }

  async #source(track: Track): Promise<string> {
    // An element shows no key either.
    return this.at.api.key === null ? track.url : URL.createObjectURL(await this.at.api.blob(track.url));
  }

  #pick(row: Row): void {
    if (row.item.start_ms === null) return;
    void this.#seek(row.item.start_ms).then(() => (this.#player && !this.#player.isPlaying ? this.#player.play() : undefined));
  }

  async #seek(at_ms: number): Promise<void> {
    if (this.#player) await this.#player.seek(at_ms);
    else this.#mark(at_ms);
  }

  #toggle(): void {
    if (!this.#player) return;
    if (this.#player.isPlaying) this.#player.pause();
    else void (this.#player.at_ms >= this.#length_ms - 50 ? this.#player.seek(0) : Promise.resolve()).then(() => this.#player?.play());
  }

  #moved(): void {
    const at_ms = this.#player?.at_ms ?? 0;
    this.#mark(at_ms);
    this.#play.textContent = this.#player?.isPlaying ? 'Pause' : 'Play';
    this.#clock.textContent = `${clock(at_ms, 0)} / ${clock(this.#length_ms, 0)}`;
    this.#slider.value = String(at_ms);
    this.#slider.setAttribute('aria-valuetext', `${clock(at_ms, 0)} of ${clock(this.#length_ms, 0)}`);
  }

  #mark(at_ms: number): void {
    this.#lanes?.move(at_ms);
    const row = this.#player?.isPlaying || at_ms > 0 ? current(this.#rows, at_ms) : null;
    if (row?.item.id === this.#marked) return;
    this.#marked = row?.item.id ?? null;
    for (const element of this.#list.children) element.classList.toggle('now', element.getAttribute('data-item') === String(this.#marked));
  }

  #row(id: number): Element | null {
    return this.#list.querySelector(`[data-item="${id}"]`);
  }
}
