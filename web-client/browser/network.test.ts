// Networks that go away, pages that are loaded anew, tabs.

import { afterEach, expect, test } from 'vitest';
import { Stage } from './stage';
import { microphone } from './wav';

let stage: Stage | undefined;

afterEach(async () => {
  const over = stage;
  stage = undefined;
  await over?.close();
});

interface Ready {
  session: string;
  resumed?: boolean;
  reason?: string;
}

test('three seconds without a network: what was said meanwhile is kept, the session goes on', async () => {
  stage = await Stage.open({ microphone: microphone('lost', [2, 'what time is it', 12]) });
  const widget = stage.widget();
  await widget.orb.click();
  await widget.until('listening');
  const first = await widget.message('ready');
  stage.front.cut();
  await widget.until('reconnecting');
  expect(await widget.hint).toMatch(/kept/);
  await stage.shoot('state-reconnecting', widget.element);
  await stage.page.waitForTimeout(3_000);
  stage.front.mend();
  const again = await widget.message('ready', first.index + 1);
  expect(again.message).toMatchObject({ resumed: true, session: (first.message as unknown as Ready).session });
  // It was said while nobody was there.
  await widget.says('you', 'what time is it');
  await widget.until('speaking');
  await widget.says('assistant', /It is \d+:\d\d/);
});

test('a reply goes on after a break, and no word of it is missing or heard twice', async () => {
  const heard: number[] = [];
  for (const isBroken of [false, true]) {
    const at = await Stage.open({ allowed: false });
    stage = at;
    const widget = at.widget();
    await widget.type('tell me about family');
    await widget.until('speaking');
    if (isBroken) {
      await at.page.waitForTimeout(700);
      at.front.cut();
      await at.page.waitForTimeout(1_500);
      at.front.mend();
      expect((await widget.message('ready', 1)).message).toMatchObject({ resumed: true });
    }
    const done = (await widget.message('reply.done')).message;
    await widget.until('idle');
    expect(done['status']).toBe('completed');
    const told = await at.page.evaluate(() => document.querySelector('floe-voice')?.session.captions.at(-1)?.settled);
    expect(told).toBe(done['text']);
    const { rate, blocks } = await at.heard();
    heard.push(blocks.reduce((sum, { samples }) => sum + samples.filter((sample) => sample !== 0).length, 0) / rate);
    await at.close();
    stage = undefined;
  }
  const [whole = 0, broken = 0] = heard;
  console.log(`heard of the reply: ${whole.toFixed(2)} s without a break, ${broken.toFixed(2)} s with one`);
  expect(Math.abs(broken - whole)).toBeLessThan(0.1);
});

test('a network that only falters is not worth a word', async () => {
  stage = await Stage.open({ microphone: microphone('falter', [4.5, 'what time is it', 12]) });
  const widget = stage.widget();
  await widget.orb.click();
  await widget.until('listening');
  stage.front.freeze();
  await stage.page.waitForTimeout(3_000);
  stage.front.mend();
  await widget.says('you', 'what time is it');
  const { messages, phases } = await stage.heard();
  expect(messages.filter(({ type }) => type === 'ready')).toHaveLength(1);
  expect(phases).not.toContain('reconnecting');
});

test('offline is said as offline, and the conversation goes on by itself', async () => {
  stage = await Stage.open({ microphone: microphone('offline', [30]) });
  const widget = stage.widget();
  await widget.orb.click();
  await widget.until('listening');
  await stage.context.setOffline(true);
  stage.front.cut();
  await widget.until('offline');
  await stage.shoot('state-offline', widget.element);
  stage.front.mend();
  await stage.context.setOffline(false);
  await widget.until('listening');
});

test('a page that is loaded anew goes on where it was', async () => {
  stage = await Stage.open({ microphone: microphone('reload', [0.6, 'what is twenty divided by sixteen', 14]) });
  const { page } = stage;
  let widget = stage.widget();
  await widget.orb.click();
  await widget.says('assistant', /1\.25/);
  await widget.until('listening');
  await widget.type('What time is it?');
  await widget.says('assistant', /It is \d+:\d\d/);
  const first = (await widget.message('ready')).message as unknown as Ready;

  await page.reload();
  widget = stage.widget();
  await widget.says('you', 'what is twenty divided by sixteen');
  await widget.says('you', 'what time is it');
  await widget.says('assistant', /1\.25/);
  expect((await widget.message('ready')).message).toMatchObject({ session: first.session, reason: 'missed' });
  expect(await widget.title).toBe('Type, or talk');
  // The microphone needs a press; then the file begins anew, and the agent still knows.
  await widget.orb.click();
  await widget.until('listening');
  await expect.poll(async () => (await widget.captions('you')).filter((text) => /divided/.test(text)).length, { timeout: 15_000 }).toBe(2);
});

test('two tabs are two conversations; a copy of a tab takes its over', async () => {
  stage = await Stage.open({ microphone: microphone('tabs', [30]) });
  const [one, second] = [stage.widget(), await stage.enter(await stage.context.newPage())];
  const two = stage.widget(second);
  await one.type('What is twenty divided by sixteen?');
  await two.type('What is seven times six?');
  await Promise.all([one.says('assistant', /1\.25/), two.says('assistant', /42/)]);
  expect(await one.captions('assistant')).not.toContain(expect.stringContaining('42'));
  const sessions = await Promise.all([one, two].map(async (tab) => ((await tab.message('ready')).message as unknown as Ready).session));
  expect(new Set(sessions).size).toBe(2);

  const kept = await stage.page.evaluate(() => JSON.stringify(sessionStorage));
  await stage.context.addInitScript((text) => {
    for (const [name, value] of Object.entries(JSON.parse(text) as Record<string, string>)) sessionStorage.setItem(name, value);
  }, kept);
  const three = stage.widget(await stage.enter(await stage.context.newPage()));
  await three.says('assistant', /1\.25/);
  await expect.poll(() => one.element.locator('.notice').innerText()).toMatch(/another tab/);
  await one.until('idle');
});
