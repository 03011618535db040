import assert from "node:assert/strict";
import { test } from "node:test";
import { Captions } from "../captions.js";

const words = (captions) => captions.entries.map(({ who, settled, provisional, unheard, state }) => [who, settled, provisional, unheard, state]);

function after(...messages) {
  const captions = new Captions();
  messages.forEach((message) => captions.take(message));
  return words(captions);
}

const started = { type: "speech.started", turn: 1, t: 0 };
const final = { type: "transcript.final", turn: 1, text: "What time is it?" };

test("partial words stay provisional until the final comes", () => {
  const partial = { type: "transcript.partial", turn: 1, rev: 1, stable: "what", unstable: "thyme" };
  assert.deepEqual(after(started, partial), [["you", "what", "thyme", "", "open"]]);
  assert.deepEqual(after(started, partial, final), [["you", "What time is it?", "", "", "done"]]);
  assert.deepEqual(after(started, final, partial), [["you", "What time is it?", "", "", "done"]], "a late partial");
});

test("a cough leaves no trace", () => {
  assert.deepEqual(after(started, { ...final, text: " " }), []);
  assert.deepEqual(after(started, { type: "speech.stopped", turn: 1, t: 9, reason: "misfire" }), []);
});

test("an interrupted reply is cut to what was heard", () => {
  const text = { type: "reply.text", reply: 2, delta: "It is three. Anything else?" };
  const cut = { type: "reply.interrupted", reply: 2, at_ms: 900, heard_text: "It is three." };
  const done = { type: "reply.done", reply: 2, status: "interrupted", text: "It is three." };
  const shown = [["assistant", "It is three.", "", " Anything else?", "interrupted"]];
  assert.deepEqual(after(text, cut), shown);
  assert.deepEqual(after(text, cut, done), shown);
  assert.deepEqual(after(text, cut, { ...text, delta: " More." }), shown, "words on their way when it was cut");
  assert.deepEqual(after(text, { ...done, status: "cancelled" }), shown);
  assert.deepEqual(after(text, { ...cut, heard_text: "Something else" }), [["assistant", "Something else", "", "", "interrupted"]]);
});

test("a reply grows, ends, or fails", () => {
  const [one, two] = ["Hello ", "there."].map((delta) => ({ type: "reply.text", reply: 1, delta }));
  assert.deepEqual(after(one, two), [["assistant", "Hello there.", "", "", "open"]]);
  assert.deepEqual(after(one, two, { type: "reply.done", reply: 1, status: "completed", text: "Hello there." }), [["assistant", "Hello there.", "", "", "done"]]);
  assert.deepEqual(after(one, { type: "reply.done", reply: 1, status: "failed", text: "" }), [["assistant", "Hello ", "", "", "failed"]]);
  assert.deepEqual(after({ type: "reply.done", reply: 1, status: "completed", text: "" }), [], "a reply without words");
});

test("order is that of appearance; unknown messages change nothing", () => {
  const captions = new Captions();
  captions.typed("Hello.");
  captions.take({ type: "reply.text", reply: 1, delta: "Hi." });
  captions.take(started);
  assert.equal(captions.take({ type: "something.new", turn: 1 }), null);
  assert.deepEqual(words(captions).map(([who]) => who), ["you", "assistant", "you"]);
});

test("the end leaves nothing provisional", () => {
  const captions = new Captions();
  captions.take({ type: "transcript.partial", turn: 1, rev: 1, stable: "what", unstable: " time" });
  captions.take({ ...started, turn: 2 });
  captions.close();
  assert.deepEqual(words(captions), [["you", "what time", "", "", "done"]]);
});

test("after a reconnect the server's numbers mean new entries", () => {
  const captions = new Captions();
  captions.take(final);
  captions.close();
  captions.take({ ...final, text: "Hello again." });
  assert.deepEqual(words(captions).map(([, settled]) => settled), ["What time is it?", "Hello again."]);
});
