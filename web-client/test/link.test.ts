import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Socket } from '../src/session/connection';
import { Link, type LinkEvents } from '../src/session/link';
import type { Hello } from '../src/session/protocol';
import type { TicketSource } from '../src/session/ticket';

class FakeSocket implements Socket {
  static all: FakeSocket[] = [];
  binaryType = '';
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sent: { type: string; [name: string]: unknown }[] = [];
  frames = 0;
  closed: number | undefined;

  constructor(readonly url: string, readonly protocols: string[]) {
    FakeSocket.all.push(this);
  }

  send(data: string | ArrayBuffer): void {
    if (typeof data === 'string') this.sent.push(JSON.parse(data) as never);
    else this.frames += 1;
  }

  close(code = 1005): void {
    this.closed = code;
  }

  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** The server takes the hello and is ready. */
  welcome(more: object = {}): Hello {
    this.onopen?.();
    this.say({ type: 'ready', n: 1, conversation: 'cnv_1', input: { codec: 'pcm_s16le', clock: 16_000 }, settings: {}, resume: { token: 'first', window_s: 45 }, ...more });
    return this.sent[0] as unknown as Hello;
  }
}

const last = (): FakeSocket => FakeSocket.all.at(-1) as FakeSocket;
const seen = { ready: vi.fn(), message: vi.fn(), audio: vi.fn(), closed: vi.fn(), refused: vi.fn(), roundTrip: vi.fn() } satisfies LinkEvents;

function link(ticket: TicketSource | null = null, position: { reply: number; played_ms: number } | null = null): Link {
  return new Link({
    url: 'wss://voice.example/v1/stream', agent: 'default', client: { name: 'test', version: '1', platform: 'web' }, settings: () => ({}),
    ticket, formats: () => Promise.resolve([]), position: () => position,
    openSocket: (url, protocols) => new FakeSocket(url, protocols),
  }, seen);
}

async function opened(one: Link): Promise<FakeSocket> {
  one.open();
  await vi.advanceTimersByTimeAsync(0);
  return last();
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  FakeSocket.all = [];
  Object.values(seen).forEach((one) => one.mockReset());
  const kept = new Map<string, string>();
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test('a ticket travels as a subprotocol, never in the address', async () => {
  const socket = await opened(link(() => Promise.resolve('ft_secret')));
  expect(socket.protocols).toEqual(['floe.v1', 'floe.auth.ft_secret']);
  expect(socket.url).not.toContain('ft_secret');
});

test('every connection gets a ticket of its own', async () => {
  let count = 0;
  const socket = await opened(link(() => Promise.resolve(`ft_${(count += 1)}`)));
  socket.welcome();
  socket.onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(1000);
  expect(last().protocols[1]).toBe('floe.auth.ft_2');
});

test('without leave to talk it is not tried again; without an answer it is', async () => {
  await opened(link(() => Promise.reject(Object.assign(new Error('Please sign in.'), { code: 'unauthorized' }))));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.all).toHaveLength(0);
  expect(seen.refused).toHaveBeenCalledExactlyOnceWith('unauthorized', 'Please sign in.');
  let tries = 0;
  await opened(link(() => ((tries += 1) < 3 ? Promise.reject(new Error('no network')) : Promise.resolve('ft_1'))));
  await vi.advanceTimersByTimeAsync(5000);
  expect([tries, FakeSocket.all.length]).toEqual([3, 1]);
});

test('typed words wait for the server', async () => {
  const one = link();
  one.send({ type: 'text', text: 'hello' });
  const socket = await opened(one);
  one.send({ type: 'playback', reply: 1, played_ms: 0, buffered_ms: 0, state: 'playing' });
  socket.welcome();
  expect(socket.sent.map(({ type }) => type).filter((type) => type !== 'ping')).toEqual(['hello', 'text']);
});

test('a lost socket is gone on with: token, last message, loudspeaker, unheard speech', async () => {
  const one = link(null, { reply: 3, played_ms: 1840 });
  const socket = await opened(one);
  expect(socket.welcome().resume).toBeNull();
  for (let frame = 0; frame < 5; frame += 1) one.uplink.push(Uint8Array.of(frame));
  one.pump();
  socket.say({ type: 'reply.started', n: 41, reply: 3, turn: 1 });
  socket.onclose?.({ code: 1006 });
  one.uplink.push(Uint8Array.of(5));
  one.pump();
  await vi.advanceTimersByTimeAsync(1000);
  const hello = last().welcome({ n: 41, resumed: true, input_next_seq: 4, resume: { token: 'second', window_s: 45 } });
  expect(hello.resume).toEqual({ token: 'first', last_n: 41, reply: 3, played_ms: 1840 });
  expect(hello.conversation).toBe('cnv_1');
  expect([socket.frames, last().frames]).toEqual([5, 2]);
});

test('a page that was loaded anew asks how things stand', async () => {
  (await opened(link())).welcome();
  const again = link();
  expect(again.canRejoin).toBe(true);
  const hello = (await opened(again)).welcome();
  expect(hello.resume).toEqual({ token: 'first', last_n: Number.MAX_SAFE_INTEGER });
});

test('whoever leaves does not come back to it', async () => {
  const one = link();
  const socket = await opened(one);
  socket.welcome();
  one.leave();
  expect(socket.sent.at(-1)).toEqual({ type: 'bye', flush: false });
  expect([socket.closed, link().canRejoin]).toEqual([1000, false]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.all).toHaveLength(1);
});

test('pauses grow, and a network that is back ends them', async () => {
  const one = link();
  (await opened(one)).welcome();
  for (const pause of [500, 1000, 2000, 4000]) {
    last().onclose?.({ code: 1006 });
    const before = FakeSocket.all.length;
    await vi.advanceTimersByTimeAsync(pause - 1);
    expect(FakeSocket.all).toHaveLength(before);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.all).toHaveLength(before + 1);
  }
  last().onclose?.({ code: 1006 });
  one.hurry();
  await vi.advanceTimersByTimeAsync(0);
  expect(FakeSocket.all).toHaveLength(6);
});

test('a restart is followed at once, a busy server as late as it says', async () => {
  (await opened(link())).welcome();
  last().onclose?.({ code: 1012 });
  await vi.advanceTimersByTimeAsync(0);
  expect(FakeSocket.all).toHaveLength(2);
  last().welcome();
  last().say({ type: 'error', n: 2, code: 'full', message: 'Not now.', fatal: true, retry_after_s: 7 });
  last().onclose?.({ code: 4429 });
  await vi.advanceTimersByTimeAsync(6999);
  expect(FakeSocket.all).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(1);
  expect(FakeSocket.all).toHaveLength(3);
});

test.each([4400, 4403, 4406, 4409, 4410])('after %i nothing is tried', async (code) => {
  (await opened(link())).welcome();
  last().onclose?.({ code });
  await vi.advanceTimersByTimeAsync(120_000);
  expect(FakeSocket.all).toHaveLength(1);
  expect(seen.closed).toHaveBeenCalledExactlyOnceWith(code, null);
  expect(link().canRejoin).toBe(false);
});

test('a conversation that is no more makes room for a new one', async () => {
  (await opened(link())).welcome();
  last().onclose?.({ code: 4408 });
  const again = link();
  await opened(again);
  last().onclose?.({ code: 4404 });
  await vi.advanceTimersByTimeAsync(0);
  expect(last().welcome().conversation).toBeNull();
});

test('a server that says nothing is taken for dead, and not before', async () => {
  (await opened(link())).welcome();
  await vi.advanceTimersByTimeAsync(9_000);
  expect(seen.closed).not.toHaveBeenCalled();
  last().say({ type: 'pong', id: 1, t: 0 });
  await vi.advanceTimersByTimeAsync(9_000);
  expect(seen.closed).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(seen.closed).toHaveBeenCalledWith(1006, null);
});

test('a server that never says ready is given up', async () => {
  await opened(link());
  last().onopen?.();
  await vi.advanceTimersByTimeAsync(8_000);
  expect(seen.closed).toHaveBeenCalledWith(1006, null);
});
