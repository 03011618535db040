// Everybody can use it: keyboard, screen reader, zoom, contrast, direction; and the page allows nothing that it does not need.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterEach, expect, test } from 'vitest';
import { Stage } from './stage';
import { microphone } from './wav';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let stage: Stage | undefined;

afterEach(async () => {
  const over = stage;
  stage = undefined;
  await over?.close();
});

/** What axe finds, in one line each. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run());
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${JSON.stringify(target)} ${failureSummary}`));
}

test('axe finds nothing, in light and dark, before, during and after a conversation', async () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    const at = await Stage.open({ allowed: false, context: { colorScheme } });
    stage = at;
    const widget = at.widget();
    expect(await violations(at.page)).toEqual([]);
    await widget.type('tell me about family');
    await widget.until('speaking');
    await widget.button('Interrupt').click();
    await expect.poll(() => widget.element.locator('li[data-state="interrupted"]').count()).toBe(1);
    await widget.orb.click();
    await widget.until('blocked');
    await widget.button('Settings').click();
    await at.page.locator('summary').click();
    await at.page.waitForTimeout(600);
    expect(await violations(at.page)).toEqual([]);
    await at.shoot(`page-${colorScheme}-drawer`);
    await at.page.goto(`${at.front.url}/embed.html`);
    expect(await violations(at.page)).toEqual([]);
    await at.close();
    stage = undefined;
  }
});

test('a keyboard is enough', async () => {
  stage = await Stage.open({ microphone: microphone('keyboard', [1.2, 'tell me about family', 20]) });
  const { page } = stage;
  const widget = stage.widget();
  const { keyboard } = page;
  const focused = (): Promise<string> => widget.element.evaluate((element) => {
    const active = element.shadowRoot?.activeElement;
    return active?.getAttribute('aria-label') ?? active?.textContent ?? '';
  });
  const tabTo = async (name: string): Promise<void> => {
    for (let step = 0; step < 25; step += 1) {
      await keyboard.press('Tab');
      if ((await focused()) === name) return;
    }
    throw new Error(`no way by keyboard to '${name}'`);
  };
  await tabTo('Start talking');
  await keyboard.press('Enter');
  await widget.says('you', 'tell me about family');
  await widget.until('speaking');
  expect(await focused(), 'focus stays where it was').toBe('Interrupt');
  await keyboard.press('Escape');
  await widget.until('listening');
  const cut = widget.element.locator('li[data-state="interrupted"]');
  await expect.poll(() => cut.count()).toBe(1);
  await tabTo('Your message');
  await keyboard.type('What is seven times six?');
  await keyboard.press('Enter');
  await widget.says('assistant', /42/);
  // What a screen reader is told: whole sentences, once.
  const log = widget.element.locator('[role="log"]');
  expect(await log.getAttribute('aria-live')).toBe('polite');
  const told = await log.locator('p').allInnerTexts();
  expect(told).toContain('You: tell me about family');
  expect(told.filter((text) => /interrupted here/.test(text))).toHaveLength(1);
  for (let step = 0; step < 6 && (await focused()) !== 'End'; step += 1) await keyboard.press('Shift+Tab');
  await tabTo('End').catch(async () => {
    await page.locator('h1').click();
    await tabTo('End');
  });
  await keyboard.press('Enter');
  await widget.until('idle');
});

test('push-to-talk: the space bar is held while speaking', async () => {
  stage = await Stage.open({ microphone: microphone('hold', [2.5, 'what is twenty divided by sixteen', 20]) });
  const { page } = stage;
  const widget = stage.widget();
  await widget.button('Settings').click();
  await widget.element.getByLabel('Hold a button to talk').check();
  await widget.orb.click();
  await widget.until('listening');
  expect(await widget.title).toBe('Hold to talk');
  await widget.orb.focus();
  await page.waitForTimeout(1_200);
  await page.keyboard.down(' ');
  await widget.until('hearing');
  expect(await widget.hint).toBe('Let go when you are done.');
  await page.waitForTimeout(4_000);
  await page.keyboard.up(' ');
  await widget.says('you', 'what is twenty divided by sixteen');
  await widget.says('assistant', /1\.25/);
  // A mouse or a finger does the same.
  const box = await widget.orb.boundingBox();
  await page.mouse.move((box?.x ?? 0) + 60, (box?.y ?? 0) + 60);
  await page.mouse.down();
  await widget.until('hearing');
  await page.mouse.up();
});

test('phone, 200 % zoom, right to left, forced colours: nothing is cut off', async () => {
  const views = {
    phone: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true },
    // 200 % of a window of 1280 by 800.
    zoom: { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 },
    rtl: { viewport: { width: 1180, height: 900 } },
    contrast: { viewport: { width: 1180, height: 900 }, forcedColors: 'active' as const, reducedMotion: 'reduce' as const },
  };
  for (const [name, context] of Object.entries(views)) {
    const at = await Stage.open({ allowed: false, context });
    stage = at;
    if (name === 'rtl') await at.page.evaluate(() => document.documentElement.setAttribute('dir', 'rtl'));
    const widget = at.widget();
    await widget.type('What is twenty divided by sixteen?');
    await widget.says('assistant', /1\.25/);
    const [wide, width] = await at.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    expect(wide, `${name} scrolls sideways`).toBeLessThanOrEqual(width as number);
    for (const button of await widget.element.getByRole('button').all()) {
      if (!(await button.isVisible())) continue;
      const box = await button.boundingBox();
      expect(Math.min(box?.width ?? 0, box?.height ?? 0), `${name}: ${await button.getAttribute('class')}`).toBeGreaterThanOrEqual(44);
    }
    expect(await violations(at.page)).toEqual([]);
    await at.page.screenshot({ path: new URL(`../../target/screenshots/page-${name}.png`, import.meta.url).pathname, fullPage: true });
    await at.close();
    stage = undefined;
  }
});

test('whoever wants no motion sees none', async () => {
  stage = await Stage.open({ allowed: false, context: { reducedMotion: 'reduce' } });
  const widget = stage.widget();
  await widget.type('tell me about family');
  await widget.until('speaking');
  const moving = await widget.element.evaluate((element) => element.shadowRoot?.getAnimations().length ?? -1);
  expect(moving).toBe(0);
});

test('the policy is strict, and the page lives by it', async () => {
  stage = await Stage.open({ allowed: false });
  const answer = await fetch(stage.front.url);
  const policy = answer.headers.get('content-security-policy') ?? '';
  expect(policy).not.toMatch(/unsafe|blob|\*/);
  expect(policy).toMatch(/default-src 'none'; script-src 'self'; style-src 'self'/);
  expect(answer.headers.get('permissions-policy')).toMatch(/microphone=\(self\).*camera=\(\)/);
  const html = await answer.text();
  expect(html).not.toMatch(/<style|style=|<script(?![^>]*src=)| on[a-z]+=/);
  // `Stage.close` fails on every violation that the browser reports.
  const widget = stage.widget();
  await widget.type('What time is it?');
  await widget.until('speaking');
});
