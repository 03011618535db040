// What a tab keeps over a reload: names of the conversation, and no word of it.

export interface Remembered {
  /** Of the session, if it may still wait for us. */
  token: string | null;
  /** Of the conversation, if the server keeps it. */
  conversation: string | null;
}

/** A conversation left longer ago than that is not gone on with by itself. */
const FRESH_MS = 30 * 60_000;

function key(url: string, agent: string): string {
  return `floe.voice ${url} ${agent}`;
}

export const memory = {
  read(url: string, agent: string): Remembered | null {
    try {
      const { at, token, conversation } = JSON.parse(sessionStorage.getItem(key(url, agent)) ?? '{}') as Partial<Remembered> & { at?: number };
      if (typeof at !== 'number' || Date.now() - at > FRESH_MS) return null;
      return { token: token ?? null, conversation: conversation ?? null };
    } catch {
      // Storage may be forbidden; then a reload begins anew.
      return null;
    }
  },

  write(url: string, agent: string, remembered: Remembered | null): void {
    try {
      if (remembered) sessionStorage.setItem(key(url, agent), JSON.stringify({ ...remembered, at: Date.now() }));
      else sessionStorage.removeItem(key(url, agent));
    } catch {
      // As above.
    }
  },
};
