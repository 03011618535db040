// A browser with a microphone that plays a file, a page in it, and what a test asks of them.

import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Locator, type Page } from 'playwright-core';
import { expect, inject } from 'vitest';
import { ROOT, sleep } from './floe';
import { Front } from './front';
import { install, RECORDER, type Heard } from './recorder';
import { writeWav, type Sound } from './wav';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--use-fake-device-for-media-stream',
];
const PATIENCE_MS = 20_000;

export interface Wishes {
  /** What the microphone plays. */
  microphone?: string;
  /** Whether the microphone is allowed without asking; otherwise it is refused. */
  allowed?: boolean;
  /** Another server. */
  url?: string;
  path?: string;
  context?: BrowserContextOptions;
}

/** Words alone: no case, no signs. */
export function plain(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N} ]+/gu, ' ').replace(/ +/g, ' ').trim();
}

export class Stage {
  readonly problems: string[] = [];
  private constructor(readonly browser: Browser, readonly context: BrowserContext, readonly page: Page, readonly front: Front) {}

  static async open({ microphone, allowed = true, url = inject('floe'), path = '/', context: options = {} }: Wishes = {}): Promise<Stage> {
    const args = [...FLAGS];
    if (allowed) args.push('--use-fake-ui-for-media-stream');
    if (microphone) args.push(`--use-file-for-fake-audio-capture=${microphone}%noloop`);
    const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args });
    const context = await browser.newContext({ viewport: { width: 1180, height: 900 }, reducedMotion: 'no-preference', ...options });
    const front = await Front.before(url);
    front.answer('/recorder.js', (_, answer) => answer.writeHead(200, { 'content-type': 'text/javascript' }).end(RECORDER));
    const stage = new Stage(browser, context, await context.newPage(), front);
    await stage.enter(stage.page, path);
    return stage;
  }

  /** Opens the page, and watches what it says. */
  async enter(page: Page, path = '/'): Promise<Page> {
    page.on('pageerror', (error) => this.problems.push(String(error.stack ?? error)));
    page.on('console', (message) => {
      // A browser says itself that a connection failed; that is the test's own doing.
      if (message.type() === 'error' && !/WebSocket|ERR_|404|405/.test(message.text())) this.problems.push(`${message.text()} (${message.location().url})`);
    });
    await page.addInitScript(install);
    await page.goto(`${this.front.url}${path}`);
    return page;
  }

  async close(): Promise<void> {
    await this.browser.close();
    this.front.close();
    expect(this.problems).toEqual([]);
  }

  widget(page = this.page): Widget {
    return new Widget(page, page.locator('floe-voice').first());
  }

  heard(page = this.page): Promise<Heard> {
    return page.evaluate(() => (globalThis as unknown as { heard: Heard }).heard);
  }

  /** Writes `target/screenshots/NAME.png`. */
  async shoot(name: string, what: Page | Locator = this.page): Promise<void> {
    await what.screenshot({ path: `${ROOT}/target/screenshots/${name}.png`, animations: 'allow' });
  }
}

/** One widget, as a visitor meets it. */
export class Widget {
  constructor(private readonly page: Page, readonly element: Locator) {}

  get orb(): Locator {
    return this.element.locator('.orb');
  }

  button(name: string): Locator {
    return this.element.getByRole('button', { name, exact: true });
  }

  get title(): Promise<string> {
    return this.element.locator('.title').innerText();
  }

  get hint(): Promise<string> {
    return this.element.locator('.hint').innerText();
  }

  /** What is written, one text per caption. */
  captions(who: 'you' | 'assistant'): Promise<string[]> {
    return this.element.locator(`li.${who} p`).allInnerTexts();
  }

  phase(): Promise<string> {
    return this.element.evaluate((element) => (element as HTMLElement & { phase: string }).phase);
  }

  /** Waits until it is in that state, as drawn. */
  async until(phase: string): Promise<void> {
    await this.element.locator(`.panel[data-phase="${phase}"]`).waitFor({ state: 'attached', timeout: PATIENCE_MS }).catch(async () => {
      throw new Error(`waited in vain for '${phase}'; it is '${await this.phase()}'. ${await this.#situation()}`);
    });
  }

  /** Waits for a caption that stands and has these words. */
  async says(who: 'you' | 'assistant', words: string | RegExp): Promise<string> {
    const fits = (text: string): boolean => (typeof words === 'string' ? plain(text).includes(words) : words.test(text));
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(40)) {
      const found = (await this.element.locator(`li.${who}:not([data-state="open"]) p`).allInnerTexts()).find(fits);
      if (found !== undefined) return found;
    }
    throw new Error(`waited in vain for ${who}: '${words}'. ${await this.#situation()}`);
  }

  async type(text: string): Promise<void> {
    await this.element.getByRole('textbox').fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** Waits for a message of the server; counts from `after` messages on. */
  async message(type: string, after = 0): Promise<{ index: number; at: number; message: Record<string, unknown> }> {
    const found = await this.page.waitForFunction(([type, after]) => {
      const { messages } = (globalThis as unknown as { heard: Heard }).heard;
      const index = messages.findIndex((one, at) => at >= Number(after) && one.type === type);
      return index < 0 ? null : { index, ...messages[index] };
    }, [type, after] as const, { timeout: PATIENCE_MS, polling: 30 }).catch(async () => {
      throw new Error(`waited in vain for a message '${type}'. ${await this.#situation()}`);
    });
    return found.jsonValue() as Promise<{ index: number; at: number; message: Record<string, unknown> }>;
  }

  async #situation(): Promise<string> {
    const captions = await this.element.locator('li p').allInnerTexts();
    const seen = await this.page.evaluate(() => {
      const { heard } = globalThis as unknown as { heard?: Heard };
      return { phases: heard?.phases.slice(-12), messages: heard?.messages.slice(-12).map(({ message }) => JSON.stringify(message).slice(0, 160)) };
    });
    return JSON.stringify({ captions, ...seen });
  }
}

/** Everything that went to the loudspeaker, from its first block on. */
export function output({ rate, blocks }: Heard): Sound & { from: number } {
  const from = blocks[0]?.at ?? 0;
  // Each at its time: a busy machine leaves some out, and what comes after a gap is not earlier for it.
  const place = (at: number): number => Math.round((at - from) * rate);
  const last = blocks.at(-1);
  const samples = new Float32Array(last ? place(last.at) + last.samples.length : 0);
  for (const block of blocks) samples.set(block.samples, place(block.at));
  return { rate, samples, from };
}

/** Has a recording transcribed by the server. */
export async function transcribe(sound: Sound): Promise<string> {
  const form = new FormData();
  form.set('file', new Blob([writeWav(sound)], { type: 'audio/wav' }), 'heard.wav');
  form.set('model', 'whisper-1');
  const answer = await fetch(`${inject('floe')}/v1/audio/transcriptions`, { method: 'POST', body: form });
  const body = (await answer.json()) as { text?: string };
  if (body.text === undefined) throw new Error(JSON.stringify(body));
  return body.text;
}
