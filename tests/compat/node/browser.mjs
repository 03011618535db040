// Row 114. A page in Debian's Chromium with the `@openai/agents-realtime` of the registry: its server mints a client secret,
// the page talks with that, uses a tool, is interrupted, and closes. Nothing is loaded but the page.

import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { KEY, Recording, SENTENCES, SPEECH_BYTES_MIN, URL_BASE, check, checkHeard, main, sleep, step, words } from './client.mjs';

const MARKER = 'js-browser';
const PAGE = process.env.FLOE_PAGE;
const FOLDER = process.env.FLOE_COMPAT;
const SAID = ['weather', 'family', 'thanks'];
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const PATIENCE_MS = 20_000;

/** Puts the page where it is served: one script, everything in it. */
async function bundle() {
  const [from, to] = [join(import.meta.dirname, 'page'), join(FOLDER, 'page')];
  mkdirSync(to, { recursive: true });
  for (const file of ['index.html', 'microphone.js']) cpSync(join(from, file), join(to, file));
  for (const sentence of SAID) copyFileSync(join(FOLDER, 'audio', `${sentence}.24000.pcm`), join(to, `${sentence}.pcm`));
  await build({ entryPoints: [join(from, 'page.js')], outfile: join(to, 'page.js'), bundle: true, platform: 'browser', logLevel: 'error' });
}

/** A client secret, as the page's own server gets one: the key stays with it. */
async function mint() {
  const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ expires_after: { anchor: 'created_at', seconds: 60 }, session: { type: 'realtime', model: 'gpt-realtime' } });
  const { value } = await (await fetch(`${URL_BASE}/realtime/client_secrets`, { method: 'POST', headers, body })).json();
  check(value.startsWith('ek_'), 'the client secret has another prefix');
  return value;
}

async function talk(page) {
  const state = (what) => page.evaluate(what);
  const until = async (condition, what, argument) => {
    try {
      await page.waitForFunction(condition, argument, { timeout: PATIENCE_MS, polling: 50 });
    } catch (error) {
      const seen = await state(() => JSON.stringify([globalThis.talk.errors, globalThis.talk.session?.history, globalThis.talk.seen]));
      throw new Error(`waited in vain for ${what}: ${seen}`, { cause: error });
    }
  };
  const said = async (role, text) => {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const texts = (await page.evaluate((of) => globalThis.talk.texts(of), role)).map(words);
      if (texts.some((one) => one.includes(text))) return;
      check(Date.now() < deadline, `waited in vain for ${role}: '${text}'; there is ${JSON.stringify(texts)}`);
      await sleep(50);
    }
  };
  const say = (sentence) => page.evaluate((one) => globalThis.talk.say(one), sentence);

  await until(() => globalThis.talk.microphone && globalThis.talk.seen['session.updated'], 'the session');
  step('connected with a client secret');
  await say('weather');
  await said('user', SENTENCES.weather.text);
  await said('assistant', 'the weather is sunny');
  await until((least) => globalThis.talk.audioBytes > least && globalThis.talk.loudest > 0.05, 'a voice', SPEECH_BYTES_MIN);
  const calls = await state(() => globalThis.talk.calls);
  check(calls.length === 1 && calls[0] === 'boston', `the tool was called ${JSON.stringify(calls)}`);
  step('spoke, was transcribed, tool called in the page, its result heard from the loudspeaker');
  await sleep(1500);

  const before = await state(() => globalThis.talk.audioBytes);
  await say('family');
  await until((least) => globalThis.talk.audioBytes > least, 'the story', before + SPEECH_BYTES_MIN);
  await sleep(2500);
  await say('thanks');
  await until(() => globalThis.talk.interruptions > 0 && globalThis.talk.seen['conversation.item.truncated'], 'the interruption');
  await said('user', SENTENCES.thanks.text);
  await said('assistant', 'you are welcome');
  step(`interrupted while speaking; the model is told '${await checkHeard(MARKER)}'`);
  const errors = await state(() => globalThis.talk.errors);
  check(errors.length === 0, `errors: ${errors}`);
  await state(() => globalThis.talk.session.close());
  step('closed');
}

async function conversation() {
  await bundle();
  const secret = await mint();
  const profile = mkdtempSync(join(tmpdir(), 'floe-chromium-'));
  const browser = await chromium.launchPersistentContext(profile, { executablePath: '/usr/bin/chromium', headless: true, args: FLAGS });
  try {
    const recording = new Recording('browser');
    const page = await browser.newPage();
    const elsewhere = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(`${PAGE}/`) && !request.url().startsWith('data:')) elsewhere.push(request.url());
    });
    page.on('pageerror', (error) => elsewhere.push(`an error: ${error}`));
    await page.exposeFunction('record', (event) => recording.add(event));
    await page.goto(`${PAGE}/index.html`);
    const wanted = [`${URL_BASE.replace('http', 'ws')}/realtime?model=gpt-realtime`, secret, `${MARKER} slowly`];
    await page.evaluate((values) => (globalThis.wanted = values), wanted);
    await page.click('button');
    await talk(page);
    check(elsewhere.length === 0, `the page asked elsewhere, or broke: ${elsewhere}`);
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

main(conversation);
