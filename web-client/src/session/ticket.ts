// Leave to connect: a ticket for one use, which the page's own server gets for whoever is signed in there.

/**
 * Gives a ticket, or null where the server needs none. An error whose `code` is `unauthorized` or `forbidden` ends the try,
 * any other is tried again.
 */
export type TicketSource = () => Promise<string | null>;

/** No ticket is to be had; `code` is `unauthorized` if signing in would help. */
export class TicketError extends Error {
  constructor(readonly code: 'unauthorized' | 'forbidden' | 'unavailable') {
    super(WORDS[code]);
    this.name = 'TicketError';
  }
}

const WORDS = {
  unauthorized: 'Please sign in first.',
  forbidden: 'This page may not talk with the assistant.',
  unavailable: 'The assistant cannot be reached right now.',
} as const;

/** Asks `url` for one, with the cookies that the browser has for it. */
export function ticketFrom(url: string): TicketSource {
  return async () => {
    const answer = await fetch(url, {
      method: 'POST',
      credentials: 'same-origin',
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(8_000),
    }).catch(() => {
      throw new TicketError('unavailable');
    });
    if (answer.status === 401) throw new TicketError('unauthorized');
    if (answer.status === 403) throw new TicketError('forbidden');
    if (!answer.ok) throw new TicketError('unavailable');
    const { ticket } = (await answer.json().catch(() => ({}))) as { ticket?: unknown };
    if (typeof ticket !== 'string') throw new TicketError('unavailable');
    return ticket;
  };
}
