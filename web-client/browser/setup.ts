// One server for all files.

import { mkdirSync, readFileSync } from 'node:fs';
import type { TestProject } from 'vitest/node';
import { Floe, ROOT } from './floe';

declare module 'vitest' {
  interface ProvidedContext {
    floe: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  mkdirSync(`${ROOT}/target/screenshots`, { recursive: true });
  const floe = await Floe.start('floe');
  project.provide('floe', floe.url);
  return async () => {
    const status = await floe.stop();
    const log = readFileSync(floe.log, 'utf8');
    const bad = /panicked|what time is it|family/i.exec(log);
    if (status !== 0 || bad) throw new Error(`the server ended with ${status}; its log contains '${bad?.[0] ?? ''}':\n${log.slice(-2000)}`);
  };
}
