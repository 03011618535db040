import { expect, test } from 'vitest';
import { Captions } from '../src/session/captions';
import type { ServerMessage } from '../src/session/protocol';

const take = (captions: Captions, ...messages: object[]): void => {
  for (const message of messages) captions.take(message as ServerMessage);
};
const words = (captions: Captions): string[] => captions.entries.map(({ settled }) => settled);

test('words are provisional until they stand', () => {
  const captions = new Captions();
  take(captions, { type: 'speech.started', turn: 1 }, { type: 'transcript.partial', turn: 1, stable: 'what', unstable: ' time' });
  expect(captions.entries[0]).toMatchObject({ who: 'you', settled: 'what', provisional: ' time', state: 'open' });
  take(captions, { type: 'transcript.final', turn: 1, text: 'what time is it' }, { type: 'transcript.partial', turn: 1, stable: 'what', unstable: '' });
  expect(captions.entries[0]).toMatchObject({ settled: 'what time is it', provisional: '', state: 'done' });
});

test('a turn without words goes away', () => {
  const captions = new Captions();
  take(captions, { type: 'speech.started', turn: 1 }, { type: 'transcript.final', turn: 1, text: '' });
  take(captions, { type: 'speech.started', turn: 2 }, { type: 'speech.stopped', turn: 2, reason: 'cleared' });
  expect(captions.entries).toEqual([]);
});

test('an interrupted reply is cut where it was cut', () => {
  const captions = new Captions();
  take(captions, { type: 'reply.text', reply: 1, delta: 'It is ' }, { type: 'reply.text', reply: 1, delta: 'twelve o’clock.' });
  take(captions, { type: 'reply.interrupted', reply: 1, heard_text: 'It is twelve' }, { type: 'reply.done', reply: 1, status: 'interrupted', text: 'It is twelve' });
  expect(captions.entries[0]).toMatchObject({ settled: 'It is twelve', unheard: ' o’clock.', state: 'interrupted' });
  take(captions, { type: 'reply.text', reply: 1, delta: ' late' });
  expect(captions.entries[0]?.settled).toBe('It is twelve');
});

test('a reply that is done has the server’s own words, and failures say so', () => {
  const captions = new Captions();
  take(captions, { type: 'reply.text', reply: 1, delta: 'Noon' }, { type: 'reply.done', reply: 1, status: 'completed', text: 'Noon.' });
  take(captions, { type: 'reply.done', reply: 2, status: 'failed', text: '' }, { type: 'reply.done', reply: 3, status: 'completed', text: '' });
  expect(captions.entries.map(({ settled, state }) => [settled, state])).toEqual([['Noon.', 'done'], ['', 'failed']]);
});

test('another session begins its numbers anew', () => {
  const captions = new Captions();
  take(captions, { type: 'transcript.final', turn: 1, text: 'one' }, { type: 'speech.started', turn: 2 }, { type: 'transcript.partial', turn: 2, stable: 'half', unstable: ' a' });
  captions.renumber();
  take(captions, { type: 'transcript.final', turn: 1, text: 'two' });
  expect(words(captions)).toEqual(['one', 'half a', 'two']);
});

test('after a reload the server tells what was said', () => {
  const captions = new Captions();
  captions.typed('here before');
  captions.rebuild([{ id: 1, role: 'user', text: 'hello', interrupted: false }, { id: 2, role: 'assistant', text: 'Hi the', interrupted: true }]);
  expect(captions.entries.map(({ who, settled, state }) => [who, settled, state])).toEqual([['you', 'hello', 'done'], ['assistant', 'Hi the', 'interrupted']]);
});

test('a turn whose words were lost keeps what was seen of it', () => {
  const captions = new Captions();
  take(captions, { type: 'speech.started', turn: 1 }, { type: 'transcript.partial', turn: 1, stable: 'tell me', unstable: '' }, { type: 'warning', code: 'x', message: '', turn: 1 });
  expect(captions.entries[0]).toMatchObject({ settled: 'tell me', state: 'done' });
});
