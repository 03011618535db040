// The console on a server that was really talked with.

import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Floe, sleep } from '../../browser/floe';
import { Stage } from '../../browser/stage';
import { microphone } from '../../browser/wav';
import { go, hold, open, ready, settled, shoot, sideways, violations } from './hold';

let floe: Floe;
let spoken: string;
let typed: string;
let stage: Stage | undefined;

beforeAll(async () => {
  floe = await Floe.start('console', { 'store.audio': 'true' });
  await hold(floe);
  const over = await settled(floe, 2);
  spoken = over.find(({ audio_in_ms }) => audio_in_ms > 5_000)?.id ?? '';
  typed = over.find(({ id }) => id !== spoken)?.id ?? '';
}, 180_000);

afterAll(async () => {
  expect(await floe.stop()).toBe(0);
});

afterEach(async () => {
  const over = stage;
  stage = undefined;
  await over?.close();
});

const focused = (page: Page): Promise<string> => page.evaluate(() => document.activeElement?.textContent ?? '');

interface Sound {
  src: string;
  at: number;
  paused: boolean;
}

/** Elements that are in no page are found where they begin to play. */
async function watch(page: Page): Promise<void> {
  await page.evaluate(() => {
    const sounds = new Set<HTMLMediaElement>();
    (globalThis as unknown as { sounds: Set<HTMLMediaElement> }).sounds = sounds;
    const { play } = HTMLMediaElement.prototype;
    HTMLMediaElement.prototype.play = function (this: HTMLMediaElement): Promise<void> {
      sounds.add(this);
      return play.call(this);
    };
  });
}

function sounds(page: Page): Promise<Sound[]> {
  return page.evaluate(() => [...(globalThis as unknown as { sounds: Set<HTMLMediaElement> }).sounds]
    .map(({ src, currentTime, paused }) => ({ src, at: currentTime, paused })));
}

test('what was said is found, and leads to its place in the conversation', async () => {
  stage = await open(floe);
  const { page } = stage;
  expect(await page.locator('.rows > li').count()).toBe(2);
  // By the keyboard alone.
  await page.keyboard.press('/');
  await page.keyboard.type('famil');
  await page.keyboard.press('Enter');
  await page.locator('.hits').waitFor();
  await ready(page);
  // The user said it, and Floe repeated it.
  expect(await page.locator('.hits mark').allInnerTexts()).toEqual(['family', 'family']);
  expect(await page.locator('.filters').isVisible()).toBe(false);
  await page.keyboard.press('ArrowDown');
  expect(await focused(page)).toMatch(/assistant.*I heard: tell me about family/i);
  await page.keyboard.press('j');
  expect(await focused(page)).toMatch(/^User\s*tell me about family/);
  await page.keyboard.press('Enter');
  const found = page.locator('.row.found');
  await found.waitFor();
  expect(await found.innerText()).toMatch(/tell me about family/);
  expect(page.url()).toContain(`#/conversations/${spoken}?item=`);
  await shoot(page, 'found');
  // Back to what was found.
  await page.keyboard.press('Escape');
  await page.locator('.hits').waitFor();
  await go(page, '#/conversations?q=xylophone');
  expect(await page.locator('.empty').innerText()).toMatch(/Nobody said that/);
  // What was searched for is asked of the API, and stands in no address of a page.
  const said = stage.front.addresses.filter((address) => address.includes('famil'));
  expect(said.length).toBeGreaterThan(0);
  for (const address of said) expect(address).toMatch(/^\/api\/v1\/search\?/);
});

test('conversations are filtered by time, agent and state', async () => {
  stage = await open(floe);
  const { page } = stage;
  const lines = page.locator('.rows > li');
  await page.getByLabel('State').selectOption('lost');
  await page.locator('.empty').waitFor();
  await page.getByLabel('State').selectOption('ended');
  await expect.poll(() => lines.count()).toBe(2);
  await page.getByLabel('From').fill('2999-01-01');
  await page.locator('.empty').waitFor();
  await page.getByLabel('From').fill('2020-01-01');
  await expect.poll(() => lines.count()).toBe(2);
  await page.getByLabel('Agent').fill('nobody');
  await page.getByLabel('Agent').press('Enter');
  await page.locator('.empty').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('h1').click();
  await page.keyboard.press('Escape');
  await expect.poll(() => lines.count()).toBe(2);
});

test('a long list is shown part by part', async () => {
  stage = await open(floe);
  const { page } = stage;
  // The server's own cursors, with parts of one.
  await page.route('**/api/v1/conversations?limit=50*', (route) => route.continue({ url: route.request().url().replace('limit=50', 'limit=1') }));
  await page.reload();
  await ready(page);
  expect(await page.locator('.rows > li').count()).toBe(1);
  await page.getByRole('button', { name: 'Show more' }).click();
  await expect.poll(() => page.locator('.rows > li').count()).toBe(2);
  await expect.poll(() => page.getByRole('button', { name: 'Show more' }).count()).toBe(0);
  expect(await focused(page)).toMatch(/what is twenty divided by sixteen/);
});

test('a conversation is a timeline: who spoke when, what was cut, calls, latency', async () => {
  stage = await open(floe, `#/conversations/${spoken}`);
  const { page } = stage;
  const rows = page.locator('.timeline > .row');
  const said = await page.locator('.timeline > .row.user p').allInnerTexts();
  expect(said.map((text) => text.toLowerCase().replace(/[^a-z ]/g, '').trim())).toEqual([
    expect.stringContaining('what is twenty divided by sixteen'), expect.stringContaining('tell me about family'),
    expect.stringContaining('thank you very much'), expect.stringContaining('what time is it'),
  ]);
  expect(await page.locator('.row.tool').first().innerText()).toMatch(/calculator[\s\S]*20 \/ 16[\s\S]*1\.25/);
  const cut = rows.filter({ has: page.locator('.mark') });
  expect(await cut.count()).toBe(1);
  const [heard, unheard] = [await cut.locator('.said > p').innerText(), await cut.locator('.unheard').innerText()];
  expect(heard).toMatch(/^I heard: tell me about family/);
  expect(unheard.length).toBeGreaterThan(10);
  expect(heard.startsWith(unheard)).toBe(false);
  // Times rise; stages do, too, and are those of the API.
  const times = (await rows.locator('button.at').allInnerTexts()).map((text) => Number(text.split(':')[0]) * 60 + Number(text.split(':')[1]));
  expect(times.length).toBeGreaterThanOrEqual(7);
  expect([...times].sort((a, b) => a - b)).toEqual(times);
  const whole = (await (await fetch(`${floe.url}/api/v1/conversations/${spoken}`)).json()) as { replies: { latency_ms: { first_audio: number } }[] };
  expect(await page.locator('.bar').first().innerText()).toBe(`${new Intl.NumberFormat('en').format(whole.replies[0]?.latency_ms.first_audio as number)} ms`);
  expect(await page.locator('.bar').count()).toBe(3);
  expect(await page.locator('.bar').first().locator('rect').count()).toBe(5);
  expect(await page.locator('.lanes .cut').count()).toBe(1);
  await page.locator('.menu summary').click();
  const exported = await page.locator('.menu a').evaluateAll((links) => links.map((link) => (link as HTMLAnchorElement).href));
  for (const url of exported) expect((await fetch(url)).status).toBe(200);
  await page.keyboard.press('Escape');
  expect(await page.locator('.menu').getAttribute('open')).toBeNull();
});

test('its sound is played, both sides in step, from where one clicks', async () => {
  stage = await open(floe);
  const { page } = stage;
  await watch(page);
  await go(page, `#/conversations/${spoken}`);
  const playing = (): Promise<Sound[]> => sounds(page);
  const second = page.locator('.row.user button.at').nth(1);
  const [minutes = 0, seconds = 0] = (await second.innerText()).split(':').map(Number);
  const from = minutes * 60 + seconds;
  await second.click();
  await expect.poll(async () => (await playing()).length).toBe(2);
  await expect.poll(async () => (await playing())[0]?.at ?? 0).toBeGreaterThan(from + 0.5);
  const both = await playing();
  expect(Math.abs((both[0]?.at ?? 0) - (both[1]?.at ?? 9))).toBeLessThan(0.15);
  expect(await page.locator('.row.now').innerText()).toMatch(/family/);
  expect(Number(await page.locator('.player input[type=range]').inputValue())).toBeGreaterThan(from * 1_000);
  await shoot(page, 'playing');
  await page.keyboard.press(' ');
  await expect.poll(async () => (await playing()).every(({ paused }) => paused)).toBe(true);
  expect(await page.locator('.play').innerText()).toBe('Play');
  // To somewhere else by the map, and away: silence.
  await page.locator('.play').click();
  const map = await page.locator('.lanes .plot').boundingBox();
  await page.mouse.click((map?.x ?? 0) + 4, (map?.y ?? 0) + 20);
  await expect.poll(async () => (await playing())[0]?.at ?? 99).toBeLessThan(from);
  await go(page, '#/usage');
  await expect.poll(async () => (await playing()).every(({ paused }) => paused)).toBe(true);
});

test('where a key is shown, sound and exports are fetched with it', async () => {
  stage = await open(floe);
  const { page } = stage;
  // A server that needs none takes any.
  await page.evaluate(() => sessionStorage.setItem('floe.console.key', 'any'));
  await watch(page);
  await go(page, `#/conversations/${spoken}`);
  await page.locator('.play').click();
  await expect.poll(async () => (await sounds(page)).filter(({ at }) => at > 0.3).length).toBe(2);
  for (const { src } of await sounds(page)) expect(src).toMatch(/^blob:/);
  await page.locator('.menu summary').click();
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator('.menu a', { hasText: 'Markdown' }).click()]);
  expect(download.url()).toMatch(/^blob:/);
  expect(download.suggestedFilename()).toBe(`${spoken}.md`);
});

test('what is going on is seen, followed, and remains in its place when it is over', async () => {
  stage = await open(floe, '#/live');
  const { page } = stage;
  expect(await page.locator('.empty').innerText()).toBe('Nobody is talking.');
  const caller = await Stage.open({ url: floe.url, microphone: microphone('console-live', [0.6, 'what time is it', 40]) });
  try {
    const widget = caller.widget();
    await widget.orb.click();
    await widget.says('you', 'what time is it');
    await page.locator('.rows .badge.live').waitFor({ timeout: 15_000 });
    await shoot(page, 'live-now');
    expect(await violations(page)).toEqual([]);
    await page.locator('.rows a').focus();
    await page.keyboard.press('Enter');
    await page.locator('.row.assistant').first().waitFor({ timeout: 15_000 });
    await widget.type('How much is eight percent of one hundred?');
    await page.locator('.row.user').nth(1).waitFor({ timeout: 15_000 });
    await shoot(page, 'live-followed');
    await widget.button('End').click();
    await widget.until('idle');
    await page.locator('.head .badge.ended').waitFor({ timeout: 15_000 });
    // And now it goes, for good.
    const id = /cnv_[0-9a-f]+/.exec(page.url())?.[0];
    await page.getByRole('button', { name: 'Delete' }).click();
    await shoot(page, 'delete');
    await page.getByRole('button', { name: 'Cancel' }).click();
    expect((await fetch(`${floe.url}/api/v1/conversations/${id}`)).status).toBe(200);
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.locator('.rows').waitFor();
    expect((await fetch(`${floe.url}/api/v1/conversations/${id}`)).status).toBe(404);
  } finally {
    await caller.close();
  }
});

test('jobs are tried again, webhooks made, and what is refused is said', async () => {
  stage = await open(floe, '#/jobs?kind=summarise');
  const { page } = stage;
  await page.getByRole('button', { name: /^Try again: summarise/ }).first().click();
  await expect.poll(() => page.locator('#status').innerText()).toBe('It is due now.');
  await go(page, '#/webhooks');
  await page.locator('.make summary').click();
  await page.getByLabel('Address').fill('http://169.254.169.254/latest');
  await page.getByRole('button', { name: 'Make the webhook' }).click();
  expect(await page.locator('.trouble').innerText()).toMatch(/url/);
  stage.problems.length = 0;
  await page.getByLabel('Address').fill('https://example.org/floe');
  await page.getByRole('button', { name: 'Make the webhook' }).click();
  expect(await page.locator('.once code').innerText()).toMatch(/^whsec_/);
  expect(await page.locator('tbody tr').count()).toBe(1);
  await shoot(page, 'webhook-made');
  expect(await violations(page)).toEqual([]);
  await page.getByRole('button', { name: 'Delete: https://example.org/floe' }).click();
  await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect.poll(() => page.locator('tbody tr').count()).toBe(0);
});

test('commands of one letter can be turned off', async () => {
  stage = await open(floe);
  const { page } = stage;
  await page.keyboard.press('?');
  expect(await page.locator('dialog').getByText('Next and previous line').count()).toBe(1);
  expect(await violations(page)).toEqual([]);
  await shoot(page, 'keyboard');
  await page.getByLabel('Single letters are commands').uncheck();
  await page.keyboard.press('Escape');
  await page.locator('main').focus();
  await page.keyboard.press('j');
  expect(await focused(page)).toMatch(/Conversations/);
  await page.keyboard.press('/');
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
});

const VIEWS = (): Record<string, string> => ({
  list: '#/conversations', search: '#/conversations?q=family', timeline: `#/conversations/${spoken}`, typed: `#/conversations/${typed}`, live: '#/live',
  jobs: '#/jobs', usage: '#/usage', keys: '#/keys', webhooks: '#/webhooks', documents: '#/documents', lost: '#/conversations/cnv_0',
});

test('axe finds nothing in any view: light, dark, phone, 200 %, forced colours; and nothing is cut off', async () => {
  const looks = {
    light: { viewport: { width: 1280, height: 860 }, colorScheme: 'light' as const },
    dark: { viewport: { width: 1280, height: 860 }, colorScheme: 'dark' as const },
    phone: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true },
    // 200 % of a window of 1280 by 800.
    zoom: { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 },
    contrast: { viewport: { width: 1180, height: 860 }, forcedColors: 'active' as const, reducedMotion: 'reduce' as const },
  };
  for (const [look, context] of Object.entries(looks)) {
    const at = await open(floe, '', context);
    stage = at;
    for (const [name, hash] of Object.entries(VIEWS())) {
      await go(at.page, hash);
      expect(await violations(at.page), `${name}, ${look}`).toEqual([]);
      await sideways(at.page);
      await shoot(at.page, `${name}-${look}`);
    }
    if (look === 'contrast') expect(await at.page.evaluate(() => document.getAnimations().length)).toBe(0);
    await at.close();
    stage = undefined;
  }
});

test('the policy is strict, and nothing is loaded from elsewhere', async () => {
  stage = await open(floe, `#/conversations/${typed}`);
  const answer = await fetch(`${floe.url}/console`);
  const policy = answer.headers.get('content-security-policy') ?? '';
  expect(policy).toMatch(/default-src 'none'; script-src 'self'; style-src 'self'; .*frame-ancestors 'none'; require-trusted-types-for 'script'/);
  expect(policy).not.toMatch(/unsafe|\*|https?:/);
  expect(await answer.text()).not.toMatch(/<style|style=|<script(?![^>]*src=)| on[a-z]+=/);
  // Markup that somebody said is text. `Stage.close` fails on every violation that the browser reports.
  expect(await stage.page.locator('h1').innerText()).toContain('<img src=x onerror=alert(1)>');
  expect(await stage.page.locator('main img').count()).toBe(0);
  const from = await stage.page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => new URL(name).origin));
  expect(new Set(from)).toEqual(new Set([stage.front.url]));
});

test('where keys are needed one is asked for, works in this tab, and stays out of addresses', async () => {
  const key = 'console-test-key-0123456789';
  const locked = await Floe.start('console-locked', { 'server.keys': key });
  try {
    stage = await open(locked, '#/usage');
    const { page } = stage;
    await page.locator('.sign-in').waitFor();
    expect(await violations(page)).toEqual([]);
    await shoot(page, 'sign-in');
    const field = page.getByLabel('API key');
    await field.fill('wrong');
    await field.press('Enter');
    await page.locator('.trouble').waitFor();
    expect(await page.locator('.trouble').innerText()).toMatch(/does not accept/);
    await shoot(page, 'sign-in-wrong');
    await field.fill(key);
    await field.press('Enter');
    await page.locator('.charts').waitFor();
    expect(await page.locator('h1').innerText()).toBe('Usage');
    await page.reload();
    await page.locator('.charts').waitFor();
    expect(stage.front.addresses.join('\n')).not.toContain(key);
    expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain(key);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.locator('.sign-in').waitFor();
    await page.reload();
    await page.locator('.sign-in').waitFor();
    // A browser reports every 401 by itself.
    stage.problems.splice(0, stage.problems.length, ...stage.problems.filter((problem) => !problem.includes('401')));
    await stage.close();
    stage = undefined;
    await sleep(0);
  } finally {
    expect(await locked.stop()).toBe(0);
  }
});
