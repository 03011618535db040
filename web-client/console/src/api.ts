// The API, asked as a page of the same server: by the login's cookie, or by a key that is held for this tab alone.

import type { List } from './shapes.js';

const API = '/api/v1';
const PATIENCE_MS = 20_000;
const KEY = 'floe.console.key';

/** Why something was not done, in a sentence that can be shown. */
export class Problem extends Error {
  constructor(readonly status: number, readonly code: string, detail: string) {
    super(detail);
  }
}

type Query = Record<string, string | number | null | undefined>;

/** `path?…`, without what is empty. */
export function address(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `${API}${path}${text ? `?${text}` : ''}`;
}

export class Api {
  /** Called when the server wants to know who asks. */
  onUnknown: () => void = () => {};

  /** The key of this tab, if one was typed in. It is in no address, and goes with the tab. */
  get key(): string | null {
    return sessionStorage.getItem(KEY);
  }

  set key(key: string | null) {
    if (key === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, key);
  }

  get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
    return this.#json(address(path, query), { ...(signal && { signal }) });
  }

  list<T>(path: string, query?: Query, signal?: AbortSignal): Promise<List<T>> {
    return this.get(path, query, signal);
  }

  post<T>(path: string, body?: unknown): Promise<T> {
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    return this.#json(address(path), {
      method: 'POST', headers: { ...json, 'idempotency-key': name() }, ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  /** Sends a file as it is. */
  upload<T>(path: string, file: File, query: Query = {}): Promise<T> {
    return this.#json(address(path, query), {
      method: 'POST', headers: { 'content-type': file.type || 'application/octet-stream', 'idempotency-key': name() }, body: file,
      signal: AbortSignal.timeout(300_000),
    });
  }

  async delete(path: string): Promise<void> {
    await this.ask(address(path), { method: 'DELETE' });
  }

  /** Bytes, for what cannot show a key by itself. */
  async blob(url: string): Promise<Blob> {
    return (await this.ask(url, { signal: AbortSignal.timeout(300_000) })).blob();
  }

  /** Whether there is such a resource, and it is for whoever asks. */
  async has(path: string): Promise<boolean> {
    try {
      await this.ask(address(path));
      return true;
    } catch (problem) {
      return !(problem instanceof Problem && [401, 403, 404, 405].includes(problem.status));
    }
  }

  /** Whether anybody may ask, without showing anything. */
  async isOpen(): Promise<boolean> {
    const answer = await fetch(address('/conversations', { limit: 1 }), { credentials: 'omit', signal: AbortSignal.timeout(PATIENCE_MS) });
    return answer.status !== 401;
  }

  async ask(url: string, { headers, ...init }: RequestInit = {}): Promise<Response> {
    const { key } = this;
    const shown = key === null ? {} : { authorization: `Bearer ${key}` };
    const answer = await fetch(url, {
      signal: AbortSignal.timeout(PATIENCE_MS), ...init, headers: { ...(headers as Record<string, string>), ...shown },
    }).catch((error: unknown) => {
      if (init.signal?.aborted && (error as Error).name === 'AbortError') throw error;
      throw new Problem(0, 'unreachable', 'The server does not answer.');
    });
    if (answer.ok) return answer;
    const problem = await read(answer);
    if (answer.status === 401) this.onUnknown();
    throw problem;
  }

  async #json<T>(url: string, init: RequestInit): Promise<T> {
    return (await (await this.ask(url, init)).json()) as T;
  }
}

async function read(answer: Response): Promise<Problem> {
  const body = (await answer.json().catch(() => ({}))) as { code?: unknown; detail?: unknown };
  const text = typeof body.detail === 'string' ? body.detail : `The server answered ${answer.status}.`;
  const again = answer.headers.get('retry-after');
  const wait = again && /^\d+$/.test(again) ? ` Try again in ${again} s.` : '';
  return new Problem(answer.status, typeof body.code === 'string' ? body.code : '', text + wait);
}

/** A name for a request, so that a network that stutters does nothing twice. */
function name(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
