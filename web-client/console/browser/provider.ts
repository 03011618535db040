// The identity provider of `tests/oidc`, and what a Floe needs to trust it.

import { spawn } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { ROOT } from '../../browser/floe';

/** Runs by itself, as a provider does: prints its issuer, and ends with its input. */
const PROGRAM = `
const { AUDIENCE, People, signingKey, start } = await import(process.argv[1]);
const { issuer } = await start({ keys: [signingKey('first')], people: new People(), floe: process.argv[2] });
console.log(JSON.stringify({ issuer, audience: AUDIENCE }));
process.stdin.resume().on('end', () => process.exit(0));
`;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

export interface Provided {
  issuer: string;
  /** Where the Floe is that it knows. */
  url: string;
  settings: Record<string, string>;
  stop(): void;
}

/** Starts a provider for a Floe that is yet to be started. A cookie `who` at its issuer says who logs in: ann, boss or guest. */
export async function provide(): Promise<Provided> {
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, `${ROOT}/tests/oidc/provider.mjs`, url], { stdio: ['pipe', 'pipe', 'inherit'] });
  const { issuer, audience } = await new Promise<{ issuer: string; audience: string }>((resolve, reject) => {
    child.stdout.on('data', (line: Buffer) => {
      const text = String(line);
      if (text.startsWith('{')) resolve(JSON.parse(text) as { issuer: string; audience: string });
    });
    child.once('exit', () => reject(new Error('the provider did not start: `make test-oidc` installs it')));
  });
  const settings = {
    'server.listen': `127.0.0.1:${port}`, 'auth.mode': 'keys', 'auth.oidc.issuer': issuer, 'auth.oidc.audience': audience,
    'auth.oidc.client_id': 'floe', 'auth.oidc.client_secret': 'a secret between two', 'auth.oidc.redirect_url': `${url}/login/callback`,
    'auth.oidc.role_claim': 'roles', 'auth.oidc.admin_values': 'admin',
  };
  return { issuer, url, settings, stop: () => child.stdin.end() };
}
