// On the pages of others: their style, their policy, their tickets; and the package as npm packs it.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { afterEach, expect, inject, test } from 'vitest';
import { Floe, ROOT } from './floe';
import { Stage } from './stage';

let stage: Stage | undefined;
let host: Server | undefined;

afterEach(async () => {
  const over = stage;
  host?.close();
  stage = host = undefined;
  await over?.close();
});

test('two widgets on a loud page keep their look, and the page keeps its own', async () => {
  stage = await Stage.open({ allowed: false, path: '/embed.html' });
  const { page } = stage;
  const [house, desk] = ['#house', '#desk'].map((id) => page.locator(id));
  const style = (locator: ReturnType<typeof page.locator>, name: string): Promise<string> =>
    locator.evaluate((element, name) => getComputedStyle(element).getPropertyValue(name), name);
  await stage.shoot('embed', page);
  const send = house?.getByRole('button', { name: 'Send' });
  if (!house || !desk || !send) throw new Error('the page has two widgets');
  // The page's `!important` does not get in …
  expect(await style(send, 'text-transform')).toBe('none');
  expect(await style(send, 'border-top-style')).toBe('solid');
  expect(await style(send, 'border-radius')).toBe('50%');
  expect(await style(desk.locator('.panel'), 'font-family')).not.toMatch(/Courier/);
  expect(await style(desk.locator('.orb svg').first(), 'transform')).toBe('none');
  // … the brand does …
  expect(await style(send, 'background-color')).toBe('rgb(140, 28, 19)');
  expect(await style(house.locator('.panel'), 'border-top-left-radius')).toBe('4px');
  // … and nothing gets out.
  const button = page.getByRole('button', { name: 'A button of the page' });
  expect(await style(button, 'text-transform')).toBe('uppercase');
  expect(await style(page.locator('body'), 'background-color')).toBe('rgb(255, 246, 224)');

  // Two conversations, apart.
  await house.getByRole('textbox').fill('What is seven times six?');
  await page.keyboard.press('Enter');
  await expect.poll(() => house.locator('li.assistant p').allInnerTexts(), { timeout: 15_000 }).toEqual([expect.stringContaining('42')]);
  await desk.getByRole('button', { name: 'Open the voice assistant' }).click();
  expect(await desk.locator('li').count()).toBe(0);
  await stage.shoot('embed-open', page);
  await page.keyboard.press('Escape');
  await desk.locator('.panel').waitFor({ state: 'hidden' });
});

/** A page of somebody else, on another origin, with a strict policy and tickets of its own. */
async function elsewhere(floe: string, body: string, ticket: () => [number, object]): Promise<string> {
  host = createServer((asked, answer) => {
    if (asked.url === '/ticket') {
      const [status, said] = asked.method === 'POST' ? ticket() : [405, {}];
      return answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said));
    }
    const socket = floe.replace('http', 'ws');
    const policy = `default-src 'none'; script-src ${floe}; connect-src 'self' ${floe} ${socket}; style-src 'self'; img-src 'self' ${floe}`;
    return answer.writeHead(200, { 'content-type': 'text/html', 'content-security-policy': policy }).end(
      `<!doctype html><html lang="en"><title>Elsewhere</title><script type="module" src="${floe}/widget.js"></script><h1>Elsewhere</h1>${body}`);
  });
  await new Promise<void>((resolve) => host?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(host.address() as AddressInfo).port}`;
}

test('one tag on another origin talks, with a ticket that never stands in an address', async () => {
  const key = 'web_0123456789abcdef0123456789';
  const floe = await Floe.start('embedding', { 'server.origins': '*', 'server.keys': key });
  try {
    stage = await Stage.open({ allowed: false, url: floe.url });
    let tickets = 0;
    const url = await elsewhere(stage.front.url, '<floe-voice ticket-url="/ticket"></floe-voice>', () => {
      tickets += 1;
      // The page's server knows the key; what it hands out is good for one connection. (Keys are taken in the same way.)
      return [200, { ticket: key, expires_in_s: 60 }];
    });
    await stage.page.goto(url);
    const widget = stage.widget();
    await widget.type('What is seven times six?');
    // The worklet came from the other origin, too: there is sound.
    await widget.until('speaking');
    await widget.says('assistant', /42/);
    expect([tickets, stage.front.offered]).toEqual([1, [`floe.v1, floe.auth.${key}`]]);
    expect(stage.front.addresses.join(' ')).not.toContain(key);
  } finally {
    await floe.stop();
  }
});

test('whoever has no ticket is told to sign in', async () => {
  stage = await Stage.open({ allowed: false });
  stage.front.answer('/v1/stream/tickets', (_, answer) => answer.writeHead(401).end());
  // A refusal is the browser's to log, too.
  await stage.page.reload();
  const widget = stage.widget();
  await widget.type('Hello?');
  await expect.poll(() => widget.element.locator('.notice').innerText()).toBe('Please sign in first.');
  await stage.page.getByRole('link', { name: 'Sign in' }).waitFor();
  expect(await stage.page.getByRole('link', { name: 'Sign in' }).getAttribute('href')).toBe('/login?return=/');
  await stage.shoot('sign-in');
  expect(stage.front.offered).toEqual([]);
  stage.problems.splice(0, stage.problems.length, ...stage.problems.filter((problem) => !/401/.test(problem)));
});

test('the files say how long they are good for, and who may use them', async () => {
  const script = await fetch(`${inject('floe')}/widget.js`);
  const tag = script.headers.get('etag') ?? '';
  expect([script.headers.get('cache-control'), script.headers.get('access-control-allow-origin')]).toEqual(['no-cache', '*']);
  expect(tag).toMatch(/^"[0-9a-f]{32}"$/);
  const again = await fetch(`${inject('floe')}/widget.js`, { headers: { 'if-none-match': tag } });
  expect([again.status, await again.text()]).toEqual([304, '']);
  expect((await fetch(`${inject('floe')}/`)).headers.get('access-control-allow-origin')).toBeNull();
});

test('what npm packs can be installed, imported and compiled against', () => {
  const folder = mkdtempSync(`${tmpdir()}/floe-voice-`);
  const npm = (...args: string[]): string => execFileSync('npm', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const [packed] = JSON.parse(npm('pack', `${ROOT}/web-client`, '--json')) as [{ filename: string; files: { path: string }[] }];
  const files = packed.files.map(({ path }) => path);
  expect(files).toEqual(expect.arrayContaining(['dist/voice.js', 'dist/widget.js', 'dist/worklet.js', 'dist/types/index.d.ts', 'README.md']));
  expect(files.filter((path) => /^(src|test|browser|node_modules)\//.test(path))).toEqual([]);
  writeFileSync(`${folder}/package.json`, '{"type":"module","private":true}');
  npm('install', '--offline', '--no-audit', '--no-fund', `./${packed.filename}`);
  // Node has no microphone, but can import what has no look.
  const said = execFileSync(process.execPath, ['-e', 'import("@floe/voice").then((all) => console.log(Object.keys(all).join()))'], { cwd: folder, encoding: 'utf8' });
  expect(said).toMatch(/VoiceSession/);
  writeFileSync(`${folder}/use.ts`, `
    import { VoiceSession, type Phase } from '@floe/voice';
    import { FloeVoice } from '@floe/voice/widget';
    const session = new VoiceSession({ server: 'https://voice.example', ticket: async () => null });
    session.on('state', ({ phase }) => { const now: Phase = phase; console.log(now); });
    session.on('caption', (entry) => console.log(entry.who, entry.settled));
    // @ts-expect-error there is no such event
    session.on('nothing', () => {});
    export const element: FloeVoice | null = document.querySelector('floe-voice');
  `);
  const compilerOptions = { noEmit: true, strict: true, module: 'nodenext', target: 'es2022', lib: ['es2022', 'dom', 'dom.iterable'], types: [] };
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions, files: ['use.ts'] }));
  execFileSync(process.execPath, [`${ROOT}/web-client/node_modules/typescript/bin/tsc`, '-p', folder], { cwd: folder, stdio: 'inherit' });
  expect(readFileSync(`${folder}/node_modules/@floe/voice/package.json`, 'utf8')).toContain('"types"');
});
