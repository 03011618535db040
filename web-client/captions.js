// What has been said so far, as the server tells it. Pure: messages in, entries out.

/**
 * An entry is `{ id, connection, who: "you" | "assistant", settled, provisional, unheard, state }`: words that stay, words that may
 * still change, words that were written but not heard. `state` is "open", "done", "interrupted" or "failed".
 */
export class Captions {
  constructor() {
    this.entries = [];
    this.connection = 1; // the server's numbers begin anew with every connection
    this.written = 0;
  }

  /** Takes a message. Gives the entry it changed (`state` is "gone" if it was removed), or null. */
  take(message) {
    switch (message.type) {
      case "speech.started":
        return this.#entry(`turn-${message.turn}`, "you");
      case "transcript.partial": {
        const entry = this.#entry(`turn-${message.turn}`, "you");
        // A partial that comes after the final has nothing to add.
        return entry.state === "open" ? change(entry, { settled: message.stable, provisional: message.unstable }) : null;
      }
      case "transcript.final":
        return this.#settle(`turn-${message.turn}`, message.text);
      case "speech.stopped":
        return message.reason === "misfire" ? this.#settle(`turn-${message.turn}`, "") : null;
      case "reply.text": {
        const entry = this.#entry(`reply-${message.reply}`, "assistant");
        return entry.state === "open" ? change(entry, { settled: entry.settled + message.delta }) : null;
      }
      case "reply.interrupted":
        return this.#cut(`reply-${message.reply}`, message.heard_text);
      case "reply.done":
        return this.#done(message);
      default:
        return null;
    }
  }

  /** What the user typed. */
  typed(text) {
    this.written += 1;
    return change(this.#entry(`typed-${this.written}`, "you"), { settled: text, state: "done" });
  }

  /** The connection is over: nothing is provisional any more. Gives the entries that were still open. */
  close() {
    this.connection += 1;
    const open = this.entries.filter((entry) => entry.state === "open");
    for (const entry of open) {
      if (entry.settled + entry.provisional === "") this.#remove(entry);
      else change(entry, { settled: entry.settled + entry.provisional, provisional: "", state: "done" });
    }
    return open;
  }

  #find(id) {
    return this.entries.find((entry) => entry.id === id && entry.connection === this.connection);
  }

  #entry(id, who) {
    const known = this.#find(id);
    if (known) return known;
    const entry = { id, connection: this.connection, who, settled: "", provisional: "", unheard: "", state: "open" };
    this.entries.push(entry);
    return entry;
  }

  #settle(id, text) {
    const entry = this.#entry(id, "you");
    if (text.trim() === "") return this.#remove(entry);
    return change(entry, { settled: text, provisional: "", state: "done" });
  }

  /** Cuts a reply to what was heard; the rest stays visible as unheard. */
  #cut(id, heard) {
    const entry = this.#entry(id, "assistant");
    const written = entry.settled + entry.unheard;
    const unheard = written.startsWith(heard) ? written.slice(heard.length) : "";
    return change(entry, { settled: heard, unheard, provisional: "", state: "interrupted" });
  }

  #done({ reply, status, text }) {
    const id = `reply-${reply}`;
    if (!text && !this.#find(id) && status !== "failed") return null;
    const entry = this.#entry(id, "assistant");
    if (entry.state === "interrupted") return null;
    if (status === "interrupted" || status === "cancelled") return this.#cut(id, text ?? "");
    const state = status === "failed" ? "failed" : "done";
    return change(entry, { settled: text || entry.settled, state });
  }

  #remove(entry) {
    this.entries = this.entries.filter((one) => one !== entry);
    return change(entry, { state: "gone" });
  }
}

function change(entry, news) {
  return Object.assign(entry, news);
}
