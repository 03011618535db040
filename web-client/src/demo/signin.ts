// Whether this server wants to know who talks. One without accounts or keys has nothing to ask, and needs no ticket.

import { refusal, type TicketSource } from '../session/ticket.js';

const TICKETS = '/v1/stream/tickets';

/** A ticket of our own server. `unknown` is called if it wants the visitor to sign in. */
export function askForTicket(unknown: () => void): TicketSource {
  let isNeeded = true;
  return async () => {
    if (!isNeeded) return null;
    const answer = await fetch(TICKETS, { method: 'POST', signal: AbortSignal.timeout(8_000) });
    // A server that gives no tickets does not know the address.
    isNeeded = answer.status !== 404 && answer.status !== 405;
    if (!isNeeded) return null;
    if (answer.status === 401) {
      unknown();
      throw refusal('unauthorized', 'Please sign in first.');
    }
    if (!answer.ok) throw new Error('There is no ticket to be had.');
    const { ticket } = (await answer.json()) as { ticket: string };
    return ticket;
  };
}
