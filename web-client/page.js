// The demo page: one button, a text box, captions. Everything it shows is text, never markup.

import { Captions } from "./captions.js";
import { Connection } from "./connection.js";
import { Sound } from "./sound.js";
import { FLAG_LAST, OUTPUT_RATE_HZ, closeWords, microphoneWords, readPcm16, streamUrl } from "./wire.js";

const element = (id) => document.getElementById(id);
const [talk, status, list, announcer, level, form, input] = ["talk", "status", "captions", "announcer", "level", "write", "text"].map(element);

const captions = new Captions();
const items = new Map(); // entry → its list item
const sound = new Sound({
  frame: (buffer, loudness) => {
    level.value = Math.min(1, loudness * 4);
    connection?.sendFrame(buffer);
  },
  played,
  ended: () => {
    sound.deafen();
    level.value = 0;
    say("The microphone was unplugged. Press the button to stop, or go on typing.", "problem");
  },
});

let connection = null;
let listening = false; // whether the microphone is wanted
let reply = null; // the reply being written or spoken: { number, silenced }
let rateHz = OUTPUT_RATE_HZ;
let unsent = []; // typed before the server was ready

talk.addEventListener("click", () => (connection && listening ? stop() : start()));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (text === "") return;
  input.value = "";
  show(captions.typed(text));
  sound.open().catch(() => say("This browser cannot play the voice. The answer appears as text.", "problem"));
  if (!connection) connect();
  const message = { type: "text", text, reply: true };
  if (!connection.send(message)) unsent.push(message);
});

// Escape stops the voice, whatever has the focus.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !reply) return;
  silence(reply.number);
  connection?.send({ type: "reply.cancel", reply: reply.number });
});

// A phone call or another app may have taken the sound; the next touch brings it back.
document.addEventListener("pointerdown", () => sound.context?.resume().catch(() => {}));

async function start() {
  listening = true;
  button();
  say(connection ? "Opening the microphone…" : "Connecting…");
  const ready = sound.open();
  if (!connection) connect();
  const mine = connection;
  try {
    await ready;
  } catch {
    if (connection === mine) microphoneFailed("This browser cannot play or record sound. Typing works without it.");
    return;
  }
  try {
    await sound.listen();
  } catch (error) {
    if (connection === mine) microphoneFailed(microphoneWords(error.name));
    return;
  }
  // Stopped or lost while the browser asked for permission.
  if (connection !== mine || !listening) {
    if (!listening) sound.deafen();
    return;
  }
  connection.spurt();
  if (connection.opened) say("Listening.");
}

function microphoneFailed(words) {
  listening = false;
  button();
  say(words, "problem");
}

function stop() {
  listening = false;
  connection.close();
}

function connect() {
  reply = null;
  const mine = new Connection(streamUrl(location), {
    ready: (message) => {
      rateHz = message.output?.rate ?? OUTPUT_RATE_HZ;
      // A problem with the microphone stays on the screen.
      if (status.dataset.kind !== "problem") say(listening ? "Listening." : "Connected.");
      for (const text of unsent.splice(0)) mine.send(text);
    },
    message: take,
    audio,
    closed: (end) => closed(end),
  });
  connection = mine;
}

function take(message) {
  const entry = captions.take(message);
  if (entry) show(entry);
  switch (message.type) {
    case "speech.started":
      return say("I hear you.");
    case "speech.stopped":
      return say(message.reason === "misfire" ? "Listening." : "Thinking…");
    case "reply.started":
      reply = { number: message.reply, silenced: false };
      return say("Thinking…");
    case "reply.interrupted":
      return silence(message.reply);
    case "reply.done":
      sound.end(message.reply);
      if (message.status === "failed") return say("The answer failed. Say it again, please.", "problem");
      return say(listening ? "Listening." : "Connected.");
    case "warning":
    case "error":
      return say(String(message.message), "problem");
    case "going_away":
      return say("The server is about to restart.", "problem");
  }
}

/** One frame of voice. Frames of a reply that was cut off may still be on their way. */
function audio({ stream, flags, payload }) {
  if (!reply || (reply.number & 0xffff) !== stream || reply.silenced) return;
  if (payload.byteLength > 1) sound.play(reply.number, readPcm16(payload), rateHz);
  if (flags & FLAG_LAST) sound.end(reply.number);
}

function silence(number) {
  if (reply?.number === number) reply.silenced = true;
  sound.flush();
}

function played({ state, reply: number, playedMs, bufferedMs }) {
  connection?.send({ type: "playback", reply: number, played_ms: playedMs, buffered_ms: bufferedMs, state });
  if (state === "playing" && playedMs < 400 && status.dataset.kind !== "problem") say("Speaking. Talk to interrupt, or press Escape.");
}

async function closed({ opened, code, fatal }) {
  connection = null;
  listening = false;
  reply = null;
  sound.deafen();
  sound.flush();
  level.value = 0;
  for (const entry of captions.close()) show(entry);
  const lost = unsent.splice(0).length > 0 ? " Your message was not sent." : "";
  button(code === 1000 ? "Start talking" : "Reconnect");
  if (code === 1000) return say("The conversation has ended.");
  say(closeWords(code, fatal) + lost, "problem");
  if (!opened && code === 1006) {
    const words = await unreachable();
    if (!connection) say(words + lost, "problem");
  }
}

/** A socket does not say why it did not open; the server's health page does. */
async function unreachable() {
  try {
    const answer = await fetch("/readyz", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    return answer.status === 503 ? closeWords(1013) : "The server did not accept the conversation; it may be busy. Try again in a moment.";
  } catch {
    return "The server cannot be reached.";
  }
}

function button(label = listening ? "Stop" : "Start talking") {
  talk.textContent = label;
  talk.setAttribute("aria-pressed", String(listening));
}

function say(words, kind = "news") {
  status.dataset.kind = kind;
  // Unchanged words are not announced again.
  if (status.textContent !== words) status.textContent = words;
}

/** Draws an entry anew, and announces it to screen readers once it stands. */
function show(entry) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 48;
  if (entry.state === "gone") {
    items.get(entry)?.remove();
    items.delete(entry);
    return;
  }
  if (!items.has(entry)) items.set(entry, list.appendChild(document.createElement("li")));
  items.get(entry).replaceChildren(...parts(entry));
  if (atEnd) list.scrollTop = list.scrollHeight;
  if (entry.state !== "open" && entry.who === "assistant") announce(entry.settled);
}

function parts({ who, settled, provisional, unheard, state }) {
  const found = [part("span", "who", who === "you" ? "You" : "Floe"), document.createTextNode(settled)];
  const waiting = state === "open" && settled === "" && provisional === "";
  if (provisional || waiting) found.push(part("span", "provisional", waiting ? "…" : joined(settled, provisional)));
  if (unheard) found.push(part("s", "unheard", unheard));
  if (state === "interrupted") found.push(part("span", "note", " (interrupted)"));
  if (state === "failed") found.push(part("span", "note", " (failed)"));
  return found;
}

function joined(settled, provisional) {
  return settled !== "" && !/\s$/.test(settled) && !/^\s/.test(provisional) ? ` ${provisional}` : provisional;
}

function part(name, kind, text) {
  const node = document.createElement(name);
  node.className = kind;
  node.textContent = text;
  return node;
}

function announce(text) {
  if (announcer.lastChild?.textContent === text) return;
  announcer.replaceChildren(part("p", "line", text));
}
