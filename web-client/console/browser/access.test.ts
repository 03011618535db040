// Who may look: an identity provider, keys, and what happens to somebody whose key is revoked while they talk.

import { afterEach, beforeAll, afterAll, expect, test } from 'vitest';
import { Floe } from '../../browser/floe';
import { Stage } from '../../browser/stage';
import { microphone } from '../../browser/wav';
import { go, ready, shoot, violations } from './hold';
import { provide } from './provider';

const MASTER = 'the-operators-own-key-0123456789';
let floe: Floe;
let stages: Stage[] = [];

beforeAll(async () => {
  floe = await Floe.start('console-access', { 'server.keys': MASTER });
}, 90_000);

afterAll(async () => {
  expect(await floe.stop()).toBe(0);
});

afterEach(async () => {
  const over = stages;
  stages = [];
  for (const stage of over) {
    // A browser reports every 401 and 403 by itself.
    stage.problems.splice(0, stage.problems.length, ...stage.problems.filter((problem) => !/status of 40[13]/.test(problem)));
    await stage.close();
  }
});

async function arrive(wishes: Parameters<typeof Stage.open>[0] = {}): Promise<Stage> {
  const stage = await Stage.open({ url: floe.url, path: '/console', allowed: false, ...wishes });
  stages.push(stage);
  await ready(stage.page);
  return stage;
}

async function show(stage: Stage, key: string): Promise<void> {
  await stage.page.getByLabel('API key').fill(key);
  await stage.page.getByLabel('API key').press('Enter');
  await stage.page.locator('nav a[aria-current]').waitFor();
  await ready(stage.page);
}

/** Makes a member's key in the console, and gives it. */
async function make(admin: Stage, name: string, user: string): Promise<string> {
  const { page } = admin;
  await go(page, '#/keys');
  await page.locator('.make summary').click();
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('User', { exact: false }).last().fill(user);
  await page.getByRole('button', { name: 'Make the key' }).click();
  return page.locator('.once code').innerText();
}

test('a key becomes a cookie; keys are made, shown once, and listed', async () => {
  const admin = await arrive();
  await show(admin, MASTER);
  const { page } = admin;
  // No script has it, and no address.
  expect(await page.evaluate(() => JSON.stringify([sessionStorage, localStorage, document.cookie]))).not.toContain(MASTER);
  expect(admin.front.addresses.join('\n')).not.toContain(MASTER);
  const [cookie] = (await admin.context.cookies()).filter(({ name }) => name === '__Host-floe_session');
  expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Lax' });
  const key = await make(admin, 'kiosk', 'ana');
  expect(key.length).toBeGreaterThan(40);
  expect(await violations(page)).toEqual([]);
  await shoot(page, 'key-made');
  await page.reload();
  await ready(page);
  expect(await page.locator('tbody').innerText()).toMatch(/kiosk[\s\S]*member · ana[\s\S]*active/);
  expect(await page.locator('body').innerText()).not.toContain(key);
  await shoot(page, 'keys');
  // A member sees what is a member's.
  const member = await arrive({ path: '/console' });
  await show(member, key);
  expect(await member.page.locator('nav a').allInnerTexts()).not.toEqual(expect.arrayContaining(['Keys']));
  await go(member.page, '#/keys');
  expect(await member.page.locator('h1').innerText()).toBe('Nothing here');
});

test('a key that is revoked during a call ends the call and the login within 5 s', async () => {
  const admin = await arrive();
  await show(admin, MASTER);
  const key = await make(admin, 'caller', 'bob');
  const caller = await arrive({ allowed: true, microphone: microphone('console-revoked', [0.6, 'what time is it', 60]) });
  await show(caller, key);
  // Talks with the login alone: the page gets a ticket for it.
  await caller.page.goto(`${caller.front.url}/`);
  const widget = caller.widget();
  await widget.orb.click();
  await widget.says('you', 'what time is it');
  await widget.until('listening');
  const { page } = admin;
  await go(page, '#/live');
  await page.locator('.rows .badge.live').waitFor({ timeout: 15_000 });
  expect(await page.locator('.rows').innerText()).toContain('bob');
  await shoot(page, 'revoke-live');
  await go(page, '#/keys');
  await page.getByRole('button', { name: 'Revoke: caller' }).click();
  await shoot(page, 'revoke');
  const began = Date.now();
  await page.locator('dialog').getByRole('button', { name: 'Revoke' }).click();
  await caller.page.locator('#sign-in').waitFor({ state: 'visible', timeout: 15_000 });
  const took = Date.now() - began;
  console.log(`from the click on Revoke to the caller's page asking to sign in: ${took} ms`);
  expect(took).toBeLessThan(5_000 + 2_000);
  await caller.shoot('console-revoked-caller');
  await page.locator('tr', { hasText: 'caller' }).locator('.badge.revoked').waitFor();
  await shoot(page, 'revoked');
  await go(page, '#/live');
  await expect.poll(() => page.locator('.page').innerText(), { timeout: 15_000 }).toContain('Nobody is talking.');
  // The login that the key made is gone, too.
  await caller.page.goto(`${caller.front.url}/console`);
  await caller.page.locator('.sign-in').waitFor();
});

test('an identity provider lets people in, by their roles, and out', async () => {
  const { issuer, url, settings, stop } = await provide();
  const guarded = await Floe.start('console-oidc', settings);
  try {
    for (const [who, sections] of [['ann', ['Conversations', 'Live', 'Usage']], ['boss', ['Conversations', 'Live', 'Usage', 'Jobs', 'Keys', 'Webhooks']]] as const) {
      const stage = await arrive({ url: guarded.url });
      const { page, context } = stage;
      await context.addCookies([{ name: 'who', value: who, url: issuer }]);
      // Where the provider sends people back to.
      await page.goto(`${url}/console#/usage`);
      const link = page.getByRole('link', { name: 'Sign in with your account' });
      await link.waitFor();
      expect(await violations(page)).toEqual([]);
      if (who === 'ann') await shoot(page, 'sign-in-account');
      await link.click();
      await page.locator('nav a[aria-current]').waitFor();
      await ready(page);
      expect(page.url()).toBe(`${url}/console#/usage`);
      const names = await page.locator('nav a').allInnerTexts();
      expect(names.filter((name) => name !== 'Documents')).toEqual(sections);
      await shoot(page, `oidc-${who}`);
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.locator('.sign-in').waitFor();
      expect((await context.cookies()).filter(({ name }) => name === '__Host-floe_session')).toEqual([]);
    }
  } finally {
    await guarded.stop();
    stop();
  }
});
