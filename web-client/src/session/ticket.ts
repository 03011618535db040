// Leave to connect: a ticket for one use, which the page's own server gets for whoever is signed in there.

/**
 * Gives a ticket, or null where the server needs none. An error whose `code` is `unauthorized` or `forbidden` ends the try and
 * its message is shown; any other is tried again.
 */
export type TicketSource = () => Promise<string | null>;

/** Asks `url` for one, with the cookies that the browser has for it. */
export function ticketFrom(url: string): TicketSource {
  return async () => {
    const answer = await fetch(url, { method: 'POST', credentials: 'same-origin', signal: AbortSignal.timeout(8_000) });
    if (answer.status === 401) throw refusal('unauthorized', 'Please sign in first.');
    if (answer.status === 403) throw refusal('forbidden', 'This page may not talk with the assistant.');
    const { ticket } = (await answer.json()) as { ticket?: unknown };
    if (typeof ticket !== 'string') throw new Error('there is no ticket in the answer');
    return ticket;
  };
}

/** What a `TicketSource` throws if trying again is of no use. */
export function refusal(code: 'unauthorized' | 'forbidden', message: string): Error {
  return Object.assign(new Error(message), { code });
}
