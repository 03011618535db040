// A running Floe: the real binary with its bundled model and voice, on a free port of the loopback.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const START_MS = 60_000;
const STOP_MS = 40_000;

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class Floe {
  private constructor(private readonly process: ChildProcess, readonly url: string, readonly log: string) {}

  /** Starts one, and waits until its model is loaded. */
  static async start(name: string, settings: Record<string, string> = {}): Promise<Floe> {
    const binary = process.env['TEST_FLOE'];
    if (!binary) throw new Error('TEST_FLOE is not set: `make test-web` does');
    const folder = `${ROOT}/target/web-test`;
    mkdirSync(folder, { recursive: true });
    const [log, data] = [`${folder}/${name}.log`, `${folder}/${name}.data`];
    rmSync(data, { recursive: true, force: true });
    const all = {
      'server.listen': '127.0.0.1:0', 'store.dir': data, 'stt.model': `${ROOT}/models/floe-demo.en.bin`, 'agent.engine': 'offline',
      'agent.time_zone': 'Europe/Berlin', ...settings,
    };
    const flags = Object.entries(all).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    const out = openSync(log, 'w');
    const child = spawn(binary, ['serve', ...flags], { stdio: ['ignore', out, out], env: { ...process.env, NO_COLOR: '1' } });
    for (const deadline = Date.now() + START_MS; Date.now() < deadline && child.exitCode === null; await sleep(50)) {
      const url = /Floe listens on (http:\S+)/.exec(readFileSync(log, 'utf8'))?.[1];
      if (url && (await fetch(`${url}/readyz`).catch(() => null))?.ok) return new Floe(child, url, log);
    }
    child.kill('SIGKILL');
    throw new Error(`Floe did not start:\n${readFileSync(log, 'utf8')}`);
  }

  /** Gives its exit status. */
  async stop(): Promise<number | null> {
    const gone = new Promise<number | null>((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGTERM');
    const slow = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS);
    const status = await gone;
    clearTimeout(slow);
    return status;
  }
}
