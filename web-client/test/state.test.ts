import { describe, expect, test } from 'vitest';
import type { ServerMessage } from '../src/session/protocol';
import { initial, phase, PHASES, reduce, type Effect, type Happening, type Phase, type State } from '../src/session/state';

/** Plays happenings; gives the last state, the phases on the way, and the effects. */
function play(happenings: Happening[], from: State = initial): { state: State; phases: Phase[]; effects: Effect[] } {
  let state = from;
  const phases: Phase[] = [];
  const effects: Effect[] = [];
  for (const happening of happenings) {
    const [after, wanted] = reduce(state, happening);
    state = after;
    effects.push(...wanted);
    phases.push(phase(state));
  }
  return { state, phases, effects };
}

const message = (value: object): Happening => ({ type: 'message', message: value as ServerMessage });
const start: Happening = { type: 'start', microphone: true };
const ready = (more: object = {}): Happening => message({ type: 'ready', n: 1, settings: { turn: { mode: 'auto' } }, ...more });
const on: Happening = { type: 'microphone', is: 'on' };
const [started, stopped] = [message({ type: 'speech.started', turn: 1, t: 0 }), message({ type: 'speech.stopped', turn: 1, t: 9, reason: 'silence' })];
const replying = message({ type: 'reply.started', reply: 1, turn: 1 });
const playing: Happening = { type: 'played', reply: 1, state: 'playing' };
const done = (status = 'completed'): Happening => message({ type: 'reply.done', reply: 1, status, text: 'It is noon.' });
const talking = play([start, ready(), on]).state;

describe('what a person sees', () => {
  test('a whole turn', () => {
    const { phases } = play([start, ready(), on, started, stopped, replying, playing, done(), { type: 'played', reply: 1, state: 'drained' }]);
    expect(phases).toEqual([
      'connecting', 'connecting', 'listening', 'hearing', 'thinking', 'thinking', 'speaking', 'speaking', 'listening',
    ]);
  });

  test('every state can be reached', () => {
    const seen = new Set<Phase>([
      phase(initial),
      ...play([start, ready(), on, started, stopped, replying, playing, { type: 'closed', code: 1006, told: null }]).phases,
      ...play([start, ready(), { type: 'microphone', is: 'denied' }]).phases,
      ...play([{ type: 'silence', silent: true }, { type: 'mute', muted: true }], talking).phases,
      ...play([{ type: 'network', online: false }]).phases,
    ]);
    expect([...PHASES].filter((one) => !seen.has(one))).toEqual([]);
  });

  test('a blocked microphone leaves the conversation alone', () => {
    const denied = play([start, { type: 'microphone', is: 'denied' }, ready(), { type: 'text', text: 'hello' }, replying, playing]);
    expect(denied.phases).toEqual(['connecting', 'connecting', 'blocked', 'thinking', 'thinking', 'speaking']);
    const { state, effects } = play([start], { ...denied.state, sounding: null, reply: null });
    expect([state.trouble, state.microphone]).toEqual([null, 'opening']);
    expect(effects).toEqual([{ do: 'listen' }]);
  });

  test('a microphone that is stopped while the browser asks is closed again', () => {
    const { effects, phases } = play([start, { type: 'stop' }, on]);
    expect(effects.at(-1)).toEqual({ do: 'deafen' });
    expect(phases.at(-1)).toBe('idle');
  });

  test('silence is told only of an open, unmuted microphone', () => {
    expect(play([{ type: 'silence', silent: true }], talking).phases).toEqual(['silent']);
    expect(play([{ type: 'mute', muted: true }, { type: 'silence', silent: true }], talking).phases).toEqual(['muted', 'muted']);
    expect(play([{ type: 'silence', silent: true }, { type: 'silence', silent: false }], talking).phases.at(-1)).toBe('listening');
  });
});

describe('interruption', () => {
  test('what the server cuts is flushed at once', () => {
    const speaking = play([started, stopped, replying, playing], talking).state;
    const cut = play([message({ type: 'speech.started', turn: 2, t: 1 }), message({ type: 'reply.interrupted', reply: 1, at_ms: 5, heard_text: 'It' })], speaking);
    expect(cut.effects).toEqual([{ do: 'flush', reply: 1 }]);
    expect(cut.phases.at(-1)).toBe('hearing');
  });

  test('hushing flushes and cancels', () => {
    const speaking = play([replying, playing], talking).state;
    expect(play([{ type: 'hush' }], speaking).effects).toEqual([
      { do: 'flush', reply: 1 },
      { do: 'send', message: { type: 'reply.cancel', reply: 1 } },
    ]);
    expect(play([{ type: 'hush' }], talking).effects).toEqual([]);
  });

  test('typing stops the voice, too', () => {
    const speaking = play([replying, playing], talking).state;
    const { effects } = play([{ type: 'text', text: 'wait' }], speaking);
    expect(effects.map((effect) => effect.do)).toEqual(['flush', 'send']);
  });

  test('a false alarm goes back to listening', () => {
    const { phases } = play([started, stopped, message({ type: 'transcript.final', turn: 1, text: ' ' })], talking);
    expect(phases).toEqual(['hearing', 'thinking', 'listening']);
  });
});

describe('push-to-talk', () => {
  const manual = play([{ type: 'mode', mode: 'manual' }], talking);

  test('is told to the server', () => {
    expect(manual.effects).toEqual([{ do: 'send', message: { type: 'update', turn: { mode: 'manual' } } }]);
  });

  test('holding cuts the reply, letting go commits', () => {
    const speaking = play([replying, playing], manual.state).state;
    const { effects, phases } = play([{ type: 'hold', held: true }, { type: 'hold', held: true }, { type: 'hold', held: false }], speaking);
    expect(effects.map((effect) => effect.do)).toEqual(['flush', 'send', 'commit']);
    expect(phases).toEqual(['hearing', 'hearing', 'thinking']);
  });

  test('pressing by accident is no error', () => {
    const { state } = play([{ type: 'hold', held: true }, { type: 'hold', held: false }, message({ type: 'error', code: 'input_empty', message: '', fatal: false })], manual.state);
    expect([phase(state), state.notice]).toEqual(['listening', null]);
  });

  test('without it holding does nothing', () => {
    expect(play([{ type: 'hold', held: true }], talking).effects).toEqual([]);
  });
});

describe('the network', () => {
  test('a lost connection keeps the conversation, and comes back to it', () => {
    const lost = play([started, { type: 'closed', code: 1006, told: null }], talking);
    expect(lost.phases.at(-1)).toBe('reconnecting');
    expect(lost.effects).toEqual([]);
    expect(phase(play([ready({ resumed: true })], lost.state).state)).toBe('hearing');
    expect(phase(play([ready({ resumed: false, reason: 'unknown' })], lost.state).state)).toBe('listening');
  });

  test('without a network it says so', () => {
    const { phases } = play([{ type: 'network', online: false }, { type: 'closed', code: 1006, told: null }, { type: 'network', online: true }], talking);
    expect(phases).toEqual(['listening', 'offline', 'reconnecting']);
  });

  test('a server that cannot be reached is said so, and tried again', () => {
    const gone: Happening = { type: 'closed', code: 1006, told: null };
    expect(play([start, gone, gone, ready()]).phases).toEqual(['connecting', 'connecting', 'reconnecting', 'connecting']);
  });

  test('what ends for good says why, and closes the microphone', () => {
    const { state, effects } = play([{ type: 'closed', code: 4409, told: null }], talking);
    expect(state.notice?.message).toMatch(/another tab/);
    expect([phase(state), effects]).toEqual(['idle', [{ do: 'deafen' }]]);
  });

  test('a refused ticket ends the try', () => {
    const { state, effects } = play([start, { type: 'refused', code: 'unauthorized', message: 'Please sign in first.' }]);
    expect(state.notice?.code).toBe('unauthorized');
    expect(effects.slice(-2)).toEqual([{ do: 'deafen' }, { do: 'leave' }]);
  });

  test('text begins a conversation without a microphone', () => {
    const { effects, phases } = play([{ type: 'text', text: 'hello' }, ready(), replying]);
    expect(effects.map((effect) => effect.do)).toEqual(['connect', 'send']);
    expect(phases).toEqual(['connecting', 'thinking', 'thinking']);
  });

  test('a failed answer says so', () => {
    const { state } = play([replying, done('failed')], talking);
    expect([phase(state), state.notice?.code]).toEqual(['listening', 'reply_failed']);
  });
});

test('whoever ended muted begins heard', () => {
  expect(play([{ type: 'mute', muted: true }, { type: 'stop' }, start, ready(), on], talking).phases.at(-1)).toBe('listening');
});

test('the reducer changes nothing that it was given', () => {
  const frozen = Object.freeze({ ...talking });
  const every: Happening[] = [start, { type: 'stop' }, started, stopped, replying, playing, done('cancelled'), { type: 'hush' }, on];
  for (const happening of every) expect(() => reduce(frozen, happening)).not.toThrow();
});
