// Speaking, being heard, hearing; interrupting.

import { afterEach, expect, test } from 'vitest';
import { sleep } from './floe';
import { output, plain, Stage, transcribe } from './stage';
import { microphone } from './wav';

let stage: Stage | undefined;

afterEach(async () => {
  const over = stage;
  stage = undefined;
  await over?.close();
});

test('somebody speaks, reads the right caption, and hears the reply', async () => {
  stage = await Stage.open({ microphone: microphone('sum', [0.6, 'what is twenty divided by sixteen', 12]) });
  const widget = stage.widget();
  expect(await widget.hint).toMatch(/Press the circle/);
  await widget.orb.click();
  await widget.until('listening');
  await widget.until('hearing');
  await widget.says('you', 'what is twenty divided by sixteen');
  await widget.until('speaking');
  await widget.says('assistant', /20 divided by 16 is 1\.25/);
  await widget.until('listening');

  const heard = await stage.heard();
  const text = plain(await transcribe(output(heard)));
  console.log(`heard from the loudspeaker: '${text}'`);
  expect(text).toContain('divided by');
  expect(text).toMatch(/twenty|20/);
  const ready = heard.messages.find(({ type }) => type === 'ready')?.message as { input: { codec: string }; features: string[] };
  expect(ready.input.codec).toBe('opus');
  expect(ready.features).toEqual(expect.arrayContaining(['playback', 'partials', 'resume']));
  expect(heard.messages.some(({ type }) => type === 'transcript.partial')).toBe(true);
  expect(heard.locks).toContain('locked');

  const timing = Object.assign({}, ...heard.timings) as Record<string, number>;
  const spoke = heard.messages.find(({ type }) => type === 'speech.started')?.message['t'];
  console.log(`from the click to the first word shown: ${timing['startToWord']?.toFixed(0)} ms (speech began ${spoke} ms after the microphone did)`);
  console.log(`from the end of speech to the first sound: ${timing['speechToSound']?.toFixed(0)} ms`);
  expect(timing['startToWord']).toBeGreaterThan(500);
  expect(timing['speechToSound']).toBeGreaterThan(200);

  await widget.button('End').click();
  await widget.until('idle');
  await expect.poll(async () => (await stage?.heard())?.locks).toContain('released');
});

test('what is said before the server is ready is kept; a browser without Opus sends PCM', async () => {
  stage = await Stage.open({ microphone: microphone('early', [0.4, 'what is twenty divided by sixteen', 8]) });
  await stage.context.addInitScript(() => Reflect.deleteProperty(globalThis, 'AudioEncoder'));
  await stage.page.reload();
  const widget = stage.widget();
  let isSaid = false;
  stage.front.answer('/v1/stream/tickets', (_, answer) => setTimeout(() => answer.writeHead(404).end(), 4_000));
  await widget.orb.click();
  setTimeout(() => (isSaid = true), 3_900);
  await widget.until('connecting');
  const ready = await widget.message('ready');
  expect([isSaid, (ready.message['input'] as { codec: string }).codec]).toEqual([true, 'pcm_s16le']);
  await widget.says('you', 'what is twenty divided by sixteen');
});

test('a reply that is talked over stops at once, and is shown cut where it was cut', async () => {
  stage = await Stage.open({ microphone: microphone('over', [0.6, 'tell me about family', 4.2, 'thank you very much', 10]) });
  const widget = stage.widget();
  await widget.orb.click();
  await widget.says('you', 'tell me about family');
  await widget.until('speaking');
  const interrupted = await widget.message('reply.interrupted');
  await widget.says('you', 'thank you very much');
  const heardText = String(interrupted.message['heard_text']);
  const cut = widget.element.locator('li.assistant[data-state="interrupted"]').first();
  expect(plain(await cut.locator('p').innerText())).toContain(plain(heardText));
  expect(await cut.locator('.mark').innerText()).toMatch(/interrupted here/);
  expect((await cut.locator('.unheard').innerText()).length).toBeGreaterThan(5);
  await stage.shoot('interrupted', widget.element);
  await sleep(300);

  const heard = await stage.heard();
  const { samples, rate, from } = output(heard);
  const at = Math.round((interrupted.at - from) * rate);
  const loud = (sample: number): boolean => Math.abs(sample) > 1e-3;
  const before = samples.subarray(Math.max(0, at - rate), at);
  expect(before.some(loud), 'it was audible until then').toBe(true);
  // The next reply ends this quiet.
  const next = heard.messages.find(({ type }, index) => type === 'reply.started' && index > interrupted.index);
  const until = next ? Math.min(samples.length, Math.round((next.at - from) * rate)) : samples.length;
  let last = at;
  for (let i = at; i < until; i += 1) if (loud(samples[i] as number)) last = i;
  const silenceMs = (1000 * (last - at)) / rate;
  console.log(`from the interruption to silence in the recorded output: ${silenceMs.toFixed(1)} ms`);
  expect(silenceMs).toBeLessThanOrEqual(60);
  const jumps = samples.subarray(at, last + 64).reduce((most, sample, i, all) => (i === 0 ? 0 : Math.max(most, Math.abs(sample - (all[i - 1] as number)))), 0);
  expect(jumps, 'no click').toBeLessThan(0.35);

  // What the server was told: where it was cut, from the page's own loudspeaker.
  const done = heard.messages.find(({ type, message }) => type === 'reply.done' && message['reply'] === interrupted.message['reply']);
  expect(done?.message['status']).toBe('interrupted');
});
