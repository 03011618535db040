// A Floe of its own, with sound kept, and conversations that were really held with it.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';
import { Floe, ROOT, sleep } from '../../browser/floe';
import { Stage } from '../../browser/stage';
import { microphone } from '../../browser/wav';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Talks with a server: a sum, a question about the time, a story that is talked over; then a few typed lines. */
export async function hold(floe: Floe): Promise<void> {
  const spoken = microphone('console', [0.6, 'what is twenty divided by sixteen', 8, 'tell me about family', 4.2, 'thank you very much', 12]);
  const stage = await Stage.open({ url: floe.url, microphone: spoken });
  const widget = stage.widget();
  await widget.orb.click();
  await widget.says('assistant', /1\.25/);
  await widget.message('reply.interrupted');
  await widget.says('you', 'thank you very much');
  await widget.until('listening');
  await widget.type('What time is it?');
  await widget.until('speaking');
  await widget.until('listening');
  await widget.button('End').click();
  await widget.until('idle');
  await stage.close();
  const typed = await Stage.open({ url: floe.url, allowed: false });
  await typed.widget().type('How much is eight percent of one hundred?');
  await typed.widget().says('assistant', /8/);
  await typed.widget().type('<img src=x onerror=alert(1)> thank you');
  await typed.widget().says('you', /thank you/);
  await sleep(1_000);
  await typed.widget().button('End').click();
  await typed.widget().until('idle');
  await typed.close();
}

interface List {
  data: { id: string; state: string; title: string | null; audio_in_ms: number }[];
}

/** Waits until so many conversations are over and the first has a title. */
export async function settled(floe: Floe, many: number, headers: Record<string, string> = {}): Promise<List['data']> {
  let seen: unknown;
  for (const deadline = Date.now() + 40_000; Date.now() < deadline; await sleep(300)) {
    const { data } = (await (await fetch(`${floe.url}/api/v1/conversations`, { headers })).json()) as List;
    const over = data.filter(({ state }) => state === 'ended');
    seen = data;
    if (over.length >= many && over.every(({ title }) => title !== null)) return over;
  }
  throw new Error(`the conversations did not end, or nobody gave them titles: ${JSON.stringify(seen)}`);
}

/** A browser with the console open. */
export async function open(floe: Floe, hash = '', context: BrowserContextOptions = {}): Promise<Stage> {
  const stage = await Stage.open({ url: floe.url, path: `/console${hash}`, allowed: false, context });
  await ready(stage.page);
  return stage;
}

/** Waits until the view is drawn. */
export async function ready(page: Page): Promise<void> {
  await page.locator('.page:not([aria-busy]), .sign-in').first().waitFor();
}

export async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate((to) => (location.hash = to), hash);
  await ready(page);
}

/** What axe finds, in one line each. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run());
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${JSON.stringify(target)} ${failureSummary}`));
}

export async function sideways(page: Page): Promise<void> {
  // A phone's browser makes its window wider for what does not fit.
  const width = page.viewportSize()?.width ?? 0;
  expect(await page.evaluate(() => Math.max(document.documentElement.scrollWidth, innerWidth)), 'the page scrolls sideways').toBeLessThanOrEqual(width);
}

/** Writes `target/screenshots/console-NAME.png`, the whole page. */
export async function shoot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `${ROOT}/target/screenshots/console-${name}.png`, fullPage: true });
}
