// What the end of a connection means (docs/protocol.md, section 9). Pure.

/** What to do when a socket is closed. `later` waits longer each time, `stop` needs the user. */
export type Next = 'now' | 'later' | 'ticket' | 'stop';

export function next(code: number): Next {
  switch (code) {
    case 1001:
    case 1012:
      return 'now';
    case 1005:
    case 1006:
    case 1011:
    case 1013:
    case 4429:
      return 'later';
    case 4003:
    case 4401:
      return 'ticket';
    default:
      return 'stop';
  }
}

const WORDS: Readonly<Record<number, string>> = {
  4401: 'The server asks you to sign in.',
  4408: 'The conversation was put aside because nothing happened for a while.',
  4409: 'The conversation went on in another tab.',
};

/**
 * Why it is over, for the person in front; null if there is nothing to explain. `told` is the last fatal error, a sentence of
 * the server.
 */
export function closeWords(code: number, told: string | null): string | null {
  if (code === 1000) return null;
  return WORDS[code] ?? (told ? `The server ended the conversation: ${told}` : 'The connection was lost.');
}

/** Pause before try number `attempt` (from 0): 0.5 s, doubling to 30 s, each varied by half. `random` is in 0…1. */
export function pauseMs(attempt: number, random: number): number {
  return Math.min(30_000, 500 * 2 ** Math.min(attempt, 10)) * (0.5 + random);
}
