// Floe and a real identity provider: tokens, keys that change, logins, refreshes, logouts. FLOE is the program.

import assert from 'node:assert/strict';
import { createHmac, createPublicKey } from 'node:crypto';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { Browser, Floe, freePort, until } from './floe.mjs';
import { AUDIENCE, People, accessToken, signingKey, start } from './provider.mjs';

const [first, second] = [signingKey('first', 'RS256'), signingKey('second')];
const people = new People();
let provider;
let floe;

before(async () => {
  const port = await freePort();
  provider = await start({ keys: [first], people, floe: `http://localhost:${port}` });
  floe = await new Floe(process.env.FLOE, port, {
    FLOE_AUTH: 'keys',
    FLOE_AUTH_OIDC_ISSUER: provider.issuer,
    FLOE_AUTH_OIDC_AUDIENCE: AUDIENCE,
    FLOE_AUTH_OIDC_CLIENT_ID: 'floe',
    FLOE_AUTH_OIDC_CLIENT_SECRET: 'a secret between two',
    FLOE_AUTH_OIDC_REDIRECT_URL: `http://localhost:${port}/login/callback`,
    FLOE_AUTH_OIDC_ROLE_CLAIM: 'roles',
    FLOE_AUTH_OIDC_ADMIN_VALUES: 'admin',
    FLOE_AUTH_OIDC_LEEWAY_S: '1',
  }).ready();
});

after(async () => {
  await floe?.stop();
  await provider?.stop();
});

/** The same provider, started again with other keys or times. */
async function restart(change) {
  const { port } = provider;
  await provider.stop();
  provider = await start({ port, keys: [second], people, floe: floe.url, ...change });
  // Until our own connections to the one before are known to be gone.
  await until(() => fetch(`${provider.issuer}/jwks`).then((response) => response.json(), () => false));
}

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const read = (token, at) => JSON.parse(Buffer.from(token.split('.')[at], 'base64url'));

async function logIn(who, place = '/api/v1/conversations?limit=5') {
  const browser = new Browser();
  await browser.jar.setCookie(`who=${who}`, provider.issuer);
  const { url, response } = await browser.visit(`${floe.url}/login?return=${encodeURIComponent(place)}`);
  return { browser, url, response };
}

const page = (browser, path, options) => browser.send(floe.url + path, options);
const ours = { 'sec-fetch-site': 'same-origin' };

test('an access token of the provider is a key', async () => {
  const token = await accessToken(provider.issuer);
  assert.equal(read(token, 1).aud, AUDIENCE);
  assert.equal(await floe.ask(token), 200);
  assert.equal(await floe.ask(token, '/api/v1/keys'), 403, 'a member manages no keys');
});

test('a token for another audience, from another issuer, or changed on the way is none', async () => {
  assert.equal(await floe.ask(await accessToken(provider.issuer, 'https://somebody.else/api')), 401);
  // The same keys, under another name.
  const other = await start({ keys: [first], people, floe: floe.url });
  assert.equal(await floe.ask(await accessToken(other.issuer)), 401);
  await other.stop();
  const token = await accessToken(provider.issuer);
  const [head, body, signature] = token.split('.');
  const boss = part({ ...read(token, 1), sub: 'boss', roles: ['admin'] });
  assert.equal(await floe.ask(`${head}.${boss}.${signature}`), 401);
  assert.equal(await floe.ask(`${head}.${body}.`), 401);
  assert.equal(await floe.ask(`${head}.${body}.${part('x'.repeat(256))}`), 401);
});

test('the algorithm is not the token\'s to choose', async () => {
  const token = await accessToken(provider.issuer);
  const [, body] = token.split('.');
  for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
    assert.equal(await floe.ask(`${part({ alg, typ: 'at+jwt', kid: 'first' })}.${body}.`), 401, alg);
  }
  // The public key, which everybody has, as if it were a secret.
  const jwks = await (await fetch(`${provider.issuer}/jwks`)).json();
  const key = createPublicKey({ key: jwks.keys[0], format: 'jwk' });
  const secrets = [
    key.export({ type: 'spki', format: 'pem' }),
    key.export({ type: 'pkcs1', format: 'pem' }),
    key.export({ type: 'spki', format: 'der' }),
    JSON.stringify(jwks.keys[0]),
    jwks.keys[0].n,
  ];
  for (const secret of secrets) {
    for (const [alg, hash] of [['HS256', 'sha256'], ['HS384', 'sha384'], ['HS512', 'sha512']]) {
      const text = `${part({ alg, typ: 'at+jwt', kid: 'first' })}.${body}`;
      assert.equal(await floe.ask(`${text}.${createHmac(hash, secret).update(text).digest('base64url')}`), 401, alg);
    }
  }
});

test('a login comes back with a cookie that only this host gets, and reads what is the user\'s', async () => {
  const { browser, url, response } = await logIn('ann');
  assert.equal(url, `${floe.url}/api/v1/conversations?limit=5`);
  assert.equal(response.status, 200, await response.text());
  const authorized = new URL(browser.visited.find((place) => place.startsWith(`${provider.issuer}/auth?`)));
  assert.equal(authorized.searchParams.get('code_challenge_method'), 'S256');
  assert.ok(authorized.searchParams.get('nonce').length >= 43 && authorized.searchParams.get('state').length >= 43);
  const cookies = await browser.jar.getCookies(floe.url);
  const session = cookies.find((cookie) => cookie.key === '__Host-floe_session');
  assert.ok(session.httpOnly && session.secure && session.path === '/' && session.hostOnly && session.sameSite === 'lax');
  assert.ok(!cookies.some((cookie) => cookie.key === '__Host-floe_login'), 'what was kept for the way is gone');
  assert.ok(!floe.log.includes(session.value), 'no log has the cookie');
  assert.equal((await page(browser, '/api/v1/keys')).status, 403);
  assert.equal((await page((await logIn('boss')).browser, '/api/v1/keys')).status, 200, 'the claim makes an admin');
});

test('a login changes things from our own pages alone, and opens no socket', async () => {
  const { browser } = await logIn('ann');
  const ticket = async (headers) =>
    (await page(browser, '/v1/stream/tickets', { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '{}' })).status;
  assert.equal(await ticket(ours), 200);
  assert.equal(await ticket({ origin: floe.url }), 200, 'an older browser');
  for (const site of ['cross-site', 'same-site', 'none']) assert.equal(await ticket({ 'sec-fetch-site': site }), 403, site);
  assert.equal(await ticket({}), 403, 'nobody says where it comes from');
  assert.equal(await ticket({ origin: 'https://evil.example' }), 403);
  const cookie = await browser.jar.getCookieString(floe.url);
  const status = await new Promise((done) => {
    const socket = new WebSocket(`${floe.url.replace('http', 'ws')}/v1/stream`, ['floe.v1'], { headers: { cookie }, origin: floe.url });
    socket.on('unexpected-response', (_request, response) => done(response.statusCode));
    socket.on('open', () => done('open'));
  });
  assert.equal(status, 401);
});

test('a login that this browser did not begin comes to nothing', async () => {
  const begun = new Browser();
  await begun.jar.setCookie('who=ann', provider.issuer);
  const { url } = await begun.visit(`${floe.url}/login`, `${floe.url}/login/callback`);
  const stranger = new Browser();
  assert.equal((await stranger.send(url)).status, 400, 'the code in another browser');
  const forged = new URL(url);
  forged.searchParams.set('state', 'x'.repeat(43));
  assert.equal((await begun.send(forged.href)).status, 400, 'another state');
  assert.equal((await begun.send(url)).status, 400, 'which ends the attempt');
  assert.equal((await page(begun, '/api/v1/conversations')).status, 401);
});

test('a login leads to a place of ours', async () => {
  for (const place of ['//evil.example/', 'https://evil.example/', '/\\evil.example', '/\t/evil.example']) {
    const { url } = await logIn('ann', place);
    assert.equal(url, `${floe.url}/`, place);
  }
});

test('a logout ends the login, here and for whoever has the cookie', async () => {
  const { browser } = await logIn('ann');
  const cookie = await browser.jar.getCookieString(floe.url);
  assert.equal((await page(browser, '/logout', { method: 'POST', headers: { 'sec-fetch-site': 'cross-site' } })).status, 403);
  assert.equal((await page(browser, '/api/v1/conversations')).status, 200, 'another page logs nobody out');
  const response = await page(browser, '/logout', { method: 'POST', headers: ours });
  assert.equal(response.status, 303);
  assert.ok(response.headers.get('location').startsWith(`${provider.issuer}/session/end?`));
  assert.equal((await page(browser, '/api/v1/conversations')).status, 401);
  const replayed = await fetch(`${floe.url}/api/v1/conversations`, { headers: { cookie } });
  assert.equal(replayed.status, 401, 'a cookie that was kept');
});

/** Begins to talk with this; `closed` resolves with the close code. */
async function talk(headers, protocols = ['floe.v1']) {
  const socket = new WebSocket(`${floe.url.replace('http', 'ws')}/v1/stream`, protocols, { headers });
  const closed = new Promise((done) => socket.on('close', (code) => done({ code, at: Date.now() })));
  await new Promise((done, failed) => {
    socket.on('error', failed);
    socket.on('close', (code, reason) => failed(new Error(`closed before it began: ${code} ${reason}`)));
    socket.on('message', (data, binary) => !binary && JSON.parse(data).type === 'ready' && done());
    socket.on('open', () => {
      assert.equal(socket.protocol, 'floe.v1', 'the ticket is not sent back');
      const formats = [{ codec: 'pcm_s16le', rate: 16000 }];
      socket.send(JSON.stringify({ type: 'hello', input: { formats }, output: { formats }, features: [] }));
    });
  });
  return { closed };
}

test('a conversation ends with the login whose ticket began it', async () => {
  const { browser } = await logIn('ann');
  const made = await page(browser, '/v1/stream/tickets', { method: 'POST', headers: ours });
  const { ticket, expires_in_s } = await made.json();
  assert.equal(expires_in_s, 60);
  const { closed } = await talk({}, ['floe.v1', `floe.auth.${ticket}`]);
  const before = Date.now();
  await page(browser, '/logout', { method: 'POST', headers: ours });
  const { code, at } = await closed;
  assert.equal(code, 4003);
  assert.ok(at - before < 5_000, `it took ${at - before} ms`);
  assert.ok(!floe.log.includes(ticket), 'no log has the ticket');
});

test('keys change, and nobody waits for it', async () => {
  const old = await accessToken(provider.issuer);
  await restart({ keys: [second, first] });
  const fresh = await accessToken(provider.issuer);
  assert.equal(read(fresh, 0).kid, 'second');
  // Once the provider has been asked about an unknown key, it is left alone for three seconds.
  await until(async () => (await floe.ask(fresh)) === 200, 10_000, 'the new key');
  assert.equal(await floe.ask(old), 200, 'the old key is still there');
  const asked = Date.now();
  const odd = await Promise.all(
    [...Array(50).keys()].map((number) => {
      const [, body, signature] = fresh.split('.');
      return floe.ask(`${part({ alg: 'ES256', typ: 'at+jwt', kid: `nobody-${number}` })}.${body}.${signature}`);
    }),
  );
  assert.ok(odd.every((status) => status === 401 || status === 503));
  assert.ok(Date.now() - asked < 5_000, 'keys that are none cost nobody much');
  await restart({ keys: [second] });
  assert.equal(await floe.ask(fresh), 200);
});

test('a token ends, and the conversation that goes on with it', async () => {
  await restart({ keys: [second], accessTokenS: 4 });
  const token = await accessToken(provider.issuer);
  assert.equal(await floe.ask(token), 200);
  const { closed } = await talk({ authorization: `Bearer ${token}` });
  const { code, at } = await closed;
  assert.equal(code, 4003);
  const ends = read(token, 1).exp * 1_000;
  assert.ok(at >= ends && at < ends + 1_000 + 5_000, `closed ${at - ends} ms after its end`);
  await until(async () => (await floe.ask(token)) === 401, 3_000, 'the end of the token');
  await restart({ keys: [second] });
});

test('a login lives as long as the provider says so', async () => {
  await restart({ keys: [second], loginTokenS: 5 });
  const { browser } = await logIn('ann');
  const refreshes = () => (floe.log.match(/a login was refreshed/g) ?? []).length;
  const before = refreshes();
  // Used again and again: each refresh token is good once, and the next one comes with it.
  const alive = async () => {
    assert.equal((await page(browser, '/api/v1/conversations')).status, 200);
    return refreshes() >= before + 2;
  };
  await until(alive, 30_000, 'two refreshes');
  people.sendAway('ann');
  const gone = async () => (await page(browser, '/api/v1/conversations')).status === 401;
  await until(gone, 30_000, 'the end of the login');
});

test('no secret is in the log', () => {
  assert.ok(!/a secret between two|eyJ[A-Za-z0-9_-]{20}|code=|__Host-/.test(floe.log), floe.log);
});
