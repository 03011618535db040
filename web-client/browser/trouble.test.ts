// Microphones that are refused, silent, unplugged, muted; and a conversation without one.

import { afterEach, expect, test } from 'vitest';
import { Stage } from './stage';
import { microphone } from './wav';

let stage: Stage | undefined;

afterEach(async () => {
  const over = stage;
  stage = undefined;
  await over?.close();
});

test('a refused microphone is explained, and typing works all the same', async () => {
  stage = await Stage.open({ allowed: false });
  const widget = stage.widget();
  await widget.orb.click();
  await widget.until('blocked');
  expect(await widget.title).toBe('Microphone blocked');
  expect(await widget.hint).toMatch(/Allow it .* Or just type/);
  await stage.shoot('state-blocked', widget.element);
  await widget.type('What is twenty divided by sixteen?');
  await widget.until('speaking');
  await widget.says('assistant', /1\.25/);
  await widget.until('blocked');

  // The visitor changes their mind in the browser's settings, and presses again.
  await stage.context.grantPermissions(['microphone']);
  await widget.orb.click();
  await widget.until('listening');
});

test('a microphone that gives nothing is noticed, and so is the first sound', async () => {
  stage = await Stage.open({ microphone: microphone('nothing', [-8, 'what time is it', 6]) });
  const widget = stage.widget();
  await widget.orb.click();
  await widget.until('silent');
  expect(await widget.hint).toMatch(/on but silent/);
  await stage.shoot('state-silent', widget.element);
  await widget.says('you', 'what time is it');
});

test('an unplugged microphone is replaced, or missed', async () => {
  stage = await Stage.open({ microphone: microphone('unplugged', [1.5, 'what time is it', 12]) });
  const { page } = stage;
  const widget = stage.widget();
  await widget.orb.click();
  await widget.until('listening');
  await widget.button('Settings').click();
  const choice = widget.element.getByLabel('Microphone', { exact: true });
  expect(await choice.locator('option').count()).toBeGreaterThan(1);

  // As Chromium does when a cable is pulled: the track ends, then devices change. What follows is real.
  await page.evaluate(() => {
    const { tracks } = globalThis as unknown as { tracks: MediaStreamTrack[] };
    for (const track of tracks.splice(0)) {
      track.stop();
      track.dispatchEvent(new Event('ended'));
    }
    navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
  });
  await page.waitForFunction(() => (globalThis as unknown as { tracks: unknown[] }).tracks.length === 1);
  // The new device plays the file from its beginning.
  await widget.says('you', 'what time is it');

  // Another one by choice, in the middle of the conversation.
  const second = await choice.locator('option').last().getAttribute('value');
  await choice.selectOption(second);
  await page.waitForFunction(() => (globalThis as unknown as { tracks: unknown[] }).tracks.length === 2);
  await expect.poll(() => choice.inputValue()).toBe(second);

  // And now there is none left.
  await page.evaluate(() => {
    navigator.mediaDevices.enumerateDevices = () => Promise.resolve([]);
    const { tracks } = globalThis as unknown as { tracks: MediaStreamTrack[] };
    for (const track of tracks.splice(0)) {
      track.stop();
      track.dispatchEvent(new Event('ended'));
    }
  });
  await expect.poll(() => widget.title, { timeout: 15_000 }).toBe('Microphone unplugged');
  expect(await widget.phase()).toBe('blocked');
});

test('muted, nothing is sent; unmuted, everything is heard again', async () => {
  stage = await Stage.open({ microphone: microphone('mute', [4, 'what time is it', 3, 'yes please', 8]) });
  const widget = stage.widget();
  await widget.orb.click();
  await widget.until('listening');
  await widget.button('Mute').click();
  await widget.until('muted');
  expect(await widget.hint).toMatch(/Nothing you say is sent/);
  await stage.shoot('state-muted', widget.element);
  await stage.page.waitForTimeout(6_000);
  expect(await widget.captions('you')).toEqual([]);
  await widget.button('Unmute').click();
  await widget.says('you', 'yes please');
  expect((await widget.captions('you')).length).toBe(1);
});

test('text only: no microphone is asked for, and the answer is spoken', async () => {
  stage = await Stage.open({ allowed: false });
  const widget = stage.widget();
  await widget.type('What is twenty divided by sixteen?');
  await widget.says('you', 'what is twenty divided by sixteen');
  await widget.until('speaking');
  await widget.says('assistant', /1\.25/);
  await widget.until('idle');
  expect(await widget.title).toBe('Type, or talk');
  const heard = await stage.heard();
  expect(heard.blocks.some(({ samples }) => samples.some((sample) => Math.abs(sample) > 0.05))).toBe(true);
  expect(await stage.page.evaluate(() => (globalThis as unknown as { tracks: unknown[] }).tracks.length)).toBe(0);
  // What somebody writes is text, whatever it looks like.
  await widget.type('<img src=x onerror=alert(1)> <b>bold</b>');
  await widget.says('you', /<img src=x onerror=alert\(1\)> <b>bold<\/b>/);
  expect(await widget.element.locator('li img, li b').count()).toBe(0);
});
