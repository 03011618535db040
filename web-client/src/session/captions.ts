// What has been said so far, as the server tells it. Pure: messages in, entries out.

import type { Said, ServerMessage } from './protocol.js';

/** One thing said. */
export interface Entry {
  /** Unique within the page. */
  readonly id: number;
  readonly who: 'you' | 'assistant';
  /** Words that stay. */
  settled: string;
  /** Words that may still change. */
  provisional: string;
  /** Words that were written, but cut off before they were heard. */
  unheard: string;
  state: 'open' | 'done' | 'interrupted' | 'failed' | 'gone';
}

export class Captions {
  #entries: Entry[] = [];
  /** Under which name of the server's an entry is known; its numbers begin anew with every session. */
  #known = new Map<string, Entry>();
  #ids = 0;

  /** In the order in which they began. */
  get entries(): readonly Readonly<Entry>[] {
    return this.#entries;
  }

  /** Takes a message. Gives the entry that it changed (`gone` if it was removed), or null. */
  take(message: ServerMessage): Readonly<Entry> | null {
    switch (message.type) {
      case 'speech.started':
        return this.#entry(`turn ${message.turn}`, 'you');
      case 'transcript.partial': {
        const entry = this.#entry(`turn ${message.turn}`, 'you');
        // A partial that comes after the final has nothing to add.
        return entry.state === 'open' ? Object.assign(entry, { settled: message.stable, provisional: message.unstable }) : null;
      }
      case 'transcript.final':
        return this.#settle(this.#entry(`turn ${message.turn}`, 'you'), message.text);
      case 'speech.stopped':
        return message.reason === 'cleared' ? this.#settle(this.#entry(`turn ${message.turn}`, 'you'), '') : null;
      case 'reply.text': {
        const entry = this.#entry(`reply ${message.reply}`, 'assistant');
        return entry.state === 'open' ? Object.assign(entry, { settled: entry.settled + message.delta }) : null;
      }
      case 'reply.interrupted':
        return cut(this.#entry(`reply ${message.reply}`, 'assistant'), message.heard_text);
      case 'reply.done':
        return this.#done(message);
      case 'warning': {
        const entry = message.turn === undefined ? undefined : this.#known.get(`turn ${message.turn}`);
        return entry?.state === 'open' ? this.#settle(entry, entry.settled + entry.provisional) : null;
      }
      default:
        return null;
    }
  }

  /** What the user typed. */
  typed(text: string): Readonly<Entry> {
    return Object.assign(this.#add('you'), { settled: text, state: 'done' });
  }

  /** Another session: its numbers mean other things, and nothing that was open will be finished. */
  renumber(): Readonly<Entry>[] {
    this.#known.clear();
    const open = this.#entries.filter((entry) => entry.state === 'open');
    for (const entry of open) this.#settle(entry, entry.settled + entry.provisional);
    return open;
  }

  /** The server's own account replaces ours. */
  rebuild(items: readonly Said[]): void {
    this.clear();
    for (const { role, text, interrupted } of items) {
      if (text.trim() === '' && !interrupted) continue;
      const entry = this.#add(role === 'assistant' ? 'assistant' : 'you');
      Object.assign(entry, { settled: text, state: interrupted ? 'interrupted' : 'done' });
    }
  }

  clear(): void {
    this.#known.clear();
    this.#entries = [];
  }

  #entry(name: string, who: Entry['who']): Entry {
    const known = this.#known.get(name);
    if (known) return known;
    const entry = this.#add(who);
    this.#known.set(name, entry);
    return entry;
  }

  #add(who: Entry['who']): Entry {
    this.#ids += 1;
    const entry: Entry = { id: this.#ids, who, settled: '', provisional: '', unheard: '', state: 'open' };
    this.#entries.push(entry);
    return entry;
  }

  #settle(entry: Entry, text: string): Entry {
    if (text.trim() === '') {
      this.#entries = this.#entries.filter((one) => one !== entry);
      return Object.assign(entry, { state: 'gone' });
    }
    return Object.assign(entry, { settled: text, provisional: '', state: 'done' });
  }

  #done(message: Extract<ServerMessage, { type: 'reply.done' }>): Entry | null {
    const name = `reply ${message.reply}`;
    if (!message.text && !this.#known.has(name) && message.status !== 'failed') return null;
    const entry = this.#entry(name, 'assistant');
    if (entry.state !== 'open') return null;
    if (message.status === 'interrupted' || message.status === 'cancelled') return cut(entry, message.text);
    const state = message.status === 'failed' ? 'failed' : 'done';
    return Object.assign(entry, { settled: message.text || entry.settled, state });
  }
}

/** Cuts a reply to what was heard; the rest stays visible as unheard. */
function cut(entry: Entry, heard: string): Entry {
  const written = entry.settled + entry.unheard;
  const unheard = written.startsWith(heard) ? written.slice(heard.length) : '';
  return Object.assign(entry, { settled: heard, unheard, provisional: '', state: 'interrupted' });
}
