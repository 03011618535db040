// A real Floe on a free port, and a browser's part of talking with it: a cookie jar, redirects followed one by one.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { CookieJar } from 'tough-cookie';

export async function freePort() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Waits until `look` gives something, at most `ms`. */
export async function until(look, ms = 30_000, what = 'it') {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what} did not come about within ${ms} ms`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

export class Floe {
  constructor(program, port, settings) {
    this.port = port;
    // A name and not a number: it is what browsers believe about Secure cookies without TLS.
    this.url = `http://localhost:${port}`;
    this.dir = mkdtempSync(path.join(os.tmpdir(), 'floe-oidc-'));
    this.log = '';
    const env = {
      PATH: process.env.PATH,
      FLOE_SERVER_LISTEN: `127.0.0.1:${port}`,
      FLOE_STORE_DIR: this.dir,
      FLOE_STT_ENGINE: 'openai',
      FLOE_TTS_ENGINE: 'scripted',
      FLOE_AGENT_ENGINE: 'scripted',
      FLOE_TELEMETRY_LOG: 'info,floe::auth=debug,floe::http=debug',
      ...settings,
    };
    this.process = spawn(program, ['serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on('data', (data) => (this.log += data));
    this.ended = new Promise((done) => this.process.on('exit', done));
  }

  async ready() {
    const answers = async () => {
      if (this.process.exitCode !== null) throw new Error(`floe ended:\n${this.log}`);
      return fetch(`${this.url}/readyz`).then((response) => response.ok, () => false);
    };
    await until(answers, 60_000, 'readiness');
    return this;
  }

  /** Asks with a bearer token; gives the status. */
  async ask(token, path = '/api/v1/conversations') {
    const response = await fetch(this.url + path, { headers: { authorization: `Bearer ${token}` } });
    await response.arrayBuffer();
    return response.status;
  }

  async stop() {
    this.process.kill('SIGTERM');
    await this.ended;
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A browser, as far as cookies and redirects go. */
export class Browser {
  // Chromium and Firefox send Secure cookies to localhost without TLS; the prefix rules hold there too.
  jar = new CookieJar(undefined, { prefixSecurity: 'strict', allowSecureOnLocal: true });
  /** Every page that was visited. */
  visited = [];

  async send(url, { method = 'GET', headers = {}, body } = {}) {
    const cookies = await this.jar.getCookieString(url);
    const all = { ...headers, ...(cookies && { cookie: cookies }) };
    const response = await fetch(url, { method, headers: all, body, redirect: 'manual' });
    for (const cookie of response.headers.getSetCookie()) await this.jar.setCookie(cookie, url);
    this.visited.push(url);
    return response;
  }

  /** Follows redirects to the first page that is none; stops before a page of `stopAt`. */
  async visit(url, stopAt) {
    for (let hops = 0; hops < 12; hops++) {
      if (stopAt && url.startsWith(stopAt)) return { url };
      const response = await this.send(url);
      const to = response.headers.get('location');
      if (!to) return { url, response };
      await response.arrayBuffer();
      url = new URL(to, url).href;
    }
    throw new Error(`too many redirects: ${this.visited.join(' ')}`);
  }
}
