// What the JavaScript clients share: where things are, a microphone that talks in real time, and words to compare.

import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const URL_BASE = process.env.FLOE_URL;
export const KEY = process.env.FLOE_KEY;
const LLM = process.env.FLOE_LLM;
const FOLDER = process.env.FLOE_COMPAT;
export const SENTENCES = JSON.parse(readFileSync(join(FOLDER, 'audio', 'sentences.json'), 'utf8'));

const RATE = 24_000;
const CHUNK_MS = 40;
const PATIENCE_MS = 20_000;
export const SPEECH_BYTES_MIN = RATE / 2;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const step = (text) => console.log(`  ${text}`);

/** Fails the run unless the condition holds. */
export function check(condition, text) {
  if (!condition) throw new Error(text);
}

/** A text as a listener hears it: lower case, no punctuation. */
export const words = (text) => (text.toLowerCase().match(/[a-z0-9']+/g) ?? []).join(' ');

/** Fails the run unless the sentence was transcribed right. */
export function checkWords(heard, sentence) {
  const { text } = SENTENCES[sentence];
  check(words(heard) === text, `heard '${heard}' instead of '${text}'`);
}

/** Waits for a condition. */
export async function until(condition, what) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms in vain for ${what}`);
    await sleep(20);
  }
}

/** The requests that the language model was sent with this marker in their instructions. */
export async function asked(marker) {
  return (await fetch(`${LLM}/asked?marker=${encodeURIComponent(marker)}`)).json();
}

/** After an interruption: the model is told the words that were heard, and no others. */
export async function checkHeard(marker) {
  const { messages } = (await asked(marker)).at(-1);
  const told = messages.filter(({ role, content }) => role === 'assistant' && content?.includes('This is'));
  check(told.length === 1, `the interrupted story is not in the prompt once: ${JSON.stringify(messages)}`);
  const [{ content }] = told;
  check(content.includes('part one'), `the heard words are missing: '${content}'`);
  check(!content.includes('part fifteen'), `words that nobody heard are in the prompt: '${content}'`);
  return content;
}

/** The frames that the server sent, one a line, for `events.py`. */
export class Recording {
  #path;

  constructor(name) {
    this.#path = join(FOLDER, 'events', `${name}.jsonl`);
    writeFileSync(this.#path, '');
  }

  add(event) {
    appendFileSync(this.#path, `${JSON.stringify(event)}\n`);
  }
}

/** A microphone that is always on: silence, and now and then a sentence, in real time. */
export class Microphone {
  #pending = Buffer.alloc(0);
  #timer;

  /** `send` is handed 40 ms of 16-bit PCM at 24 kHz at a time. */
  constructor(send) {
    const size = (RATE * 2 * CHUNK_MS) / 1000;
    let due = Date.now();
    const tick = () => {
      const chunk = Buffer.alloc(size);
      this.#pending.copy(chunk);
      this.#pending = this.#pending.subarray(size);
      send(chunk);
      due += CHUNK_MS;
      this.#timer = setTimeout(tick, Math.max(0, due - Date.now()));
    };
    tick();
  }

  /** Speaks, and returns when the last word is out. */
  async say(sentence) {
    this.#pending = readFileSync(join(FOLDER, 'audio', `${sentence}.${RATE}.pcm`));
    await until(() => this.#pending.length === 0, 'the microphone');
  }

  close() {
    clearTimeout(this.#timer);
  }
}

/** Runs a client's conversation: exit status 0 if all of it went well. */
export async function main(conversation, limitMs = 150_000) {
  const limit = setTimeout(() => {
    console.log(`  FAILED: not finished after ${limitMs} ms`);
    process.exit(1);
  }, limitMs);
  process.on('unhandledRejection', (error) => {
    console.log('  FAILED: unhandled', error);
    process.exit(1);
  });
  try {
    await conversation();
  } catch (error) {
    console.log('  FAILED:', error);
    process.exit(1);
  }
  clearTimeout(limit);
  process.exit(0);
}
