// What the conversation is doing: (state, event) → state and effects. Pure; `session.ts` carries the effects out.

import { closeWords, next } from './closing.js';
import type { ClientMessage, PlaybackState, ServerMessage, TurnMode } from './protocol.js';

/** Why the microphone cannot be used. */
export type Trouble = 'denied' | 'missing' | 'busy' | 'insecure' | 'unsupported' | 'unplugged';

export interface Notice {
  code: string;
  message: string;
}

export interface State {
  readonly link: 'off' | 'connecting' | 'open' | 'lost';
  /** Tries to connect that failed, since the last that did not. */
  readonly failures: number;
  /** Whether the browser believes to have a network. */
  readonly online: boolean;
  readonly microphone: 'off' | 'opening' | 'on';
  readonly trouble: Trouble | null;
  /** The microphone is on, and there is nothing but digital silence. */
  readonly silent: boolean;
  readonly muted: boolean;
  readonly mode: TurnMode;
  /** Push-to-talk is held. */
  readonly held: boolean;
  /** The turn being spoken. */
  readonly turn: number | null;
  /** A turn is over and its reply has not begun. */
  readonly waiting: boolean;
  /** The reply being written. */
  readonly reply: number | null;
  /** The reply that comes out of the loudspeaker. */
  readonly sounding: number | null;
  /** What the person should know beside the phase. */
  readonly notice: Notice | null;
}

export type Phase =
  | 'idle'
  | 'connecting'
  | 'listening'
  | 'hearing'
  | 'thinking'
  | 'speaking'
  | 'reconnecting'
  | 'blocked'
  | 'silent'
  | 'muted'
  | 'offline';

export const PHASES: readonly Phase[] = [
  'idle', 'connecting', 'listening', 'hearing', 'thinking', 'speaking', 'reconnecting', 'blocked', 'silent', 'muted', 'offline',
];

export type Happening =
  | { type: 'start'; microphone: boolean }
  | { type: 'stop' }
  | { type: 'text'; text: string }
  | { type: 'mute'; muted: boolean }
  | { type: 'mode'; mode: TurnMode }
  | { type: 'hold'; held: boolean }
  | { type: 'hush' }
  | { type: 'network'; online: boolean }
  | { type: 'message'; message: ServerMessage }
  | { type: 'closed'; code: number; told: string | null }
  | { type: 'microphone'; is: 'on' | 'off' | Trouble }
  | { type: 'silence'; silent: boolean }
  | { type: 'played'; reply: number; state: PlaybackState }
  | { type: 'refused'; code: string; message: string };

export type Effect =
  | { do: 'connect' }
  | { do: 'leave' }
  | { do: 'listen' }
  | { do: 'deafen' }
  | { do: 'send'; message: ClientMessage }
  | { do: 'commit' }
  | { do: 'flush'; reply: number };

export const initial: State = {
  link: 'off', failures: 0, online: true, microphone: 'off', trouble: null, silent: false, muted: false, mode: 'auto', held: false,
  turn: null, waiting: false, reply: null, sounding: null, notice: null,
};

/** Nothing of a conversation is going on. */
const QUIET = { turn: null, waiting: false, reply: null, sounding: null, held: false } as const;

/** A first connection that fails so often is no longer one that only takes its time. */
const PATIENCE = 1;

type Step = readonly [State, readonly Effect[]];

/** One step. */
export function reduce(state: State, happening: Happening): Step {
  switch (happening.type) {
    case 'start':
      return start(state, happening.microphone);
    case 'stop':
      return [
        { ...state, ...QUIET, link: 'off', microphone: 'off', silent: false, notice: null },
        flushing(state, [{ do: 'deafen' }, { do: 'leave' }]),
      ];
    case 'text': {
      const [begun, effects] = state.link === 'off' ? start(state, false) : ([state, []] as Step);
      const message: ClientMessage = { type: 'text', text: happening.text, reply: true };
      return [{ ...begun, waiting: true, notice: null }, flushing(state, [...effects, { do: 'send', message }])];
    }
    case 'mute': {
      const message: ClientMessage = { type: 'input.mute', muted: happening.muted };
      return [{ ...state, muted: happening.muted, held: false, silent: false }, state.link === 'off' ? [] : [{ do: 'send', message }]];
    }
    case 'mode': {
      const message: ClientMessage = { type: 'update', turn: { mode: happening.mode } };
      return [{ ...state, mode: happening.mode, held: false }, state.link === 'off' ? [] : [{ do: 'send', message }]];
    }
    case 'hold':
      return hold(state, happening.held);
    case 'hush':
      return hush(state);
    case 'network':
      return [{ ...state, online: happening.online }, []];
    case 'message':
      return take(state, happening.message);
    case 'closed':
      return closed(state, happening.code, happening.told);
    case 'microphone':
      return microphone(state, happening.is);
    case 'silence':
      return [{ ...state, silent: happening.silent && state.microphone === 'on' && !state.muted }, []];
    case 'played':
      return played(state, happening.reply, happening.state);
    case 'refused': {
      const notice = { code: happening.code, message: happening.message };
      return [{ ...state, ...QUIET, link: 'off', microphone: 'off', notice }, [{ do: 'deafen' }, { do: 'leave' }]];
    }
  }
}

/** Begins, or opens the microphone of a conversation that went on without. */
function start(state: State, withMicrophone: boolean): Step {
  const effects: Effect[] = [];
  let after: State = { ...state, notice: null };
  if (state.link === 'off') {
    after = { ...after, ...QUIET, link: 'connecting', failures: 0, muted: false };
    effects.push({ do: 'connect' });
  }
  if (withMicrophone && state.microphone === 'off') {
    after = { ...after, microphone: 'opening', trouble: null, silent: false };
    effects.push({ do: 'listen' });
  }
  return [after, effects];
}

function hold(state: State, held: boolean): Step {
  if (state.mode !== 'manual' || held === state.held || state.microphone !== 'on') return [state, []];
  // The server's turn detection is off, so nobody else stops a reply that is talked over.
  if (held) return [{ ...state, held, waiting: false, notice: null, sounding: null }, silencing(state)];
  return [{ ...state, held, waiting: true }, [{ do: 'commit' }]];
}

/** The user wants the reply to stop. */
function hush(state: State): Step {
  return [{ ...state, sounding: null, waiting: false }, silencing(state)];
}

function silencing(state: State): Effect[] {
  const reply = state.sounding ?? state.reply;
  if (reply === null) return [];
  return [{ do: 'flush', reply }, { do: 'send', message: { type: 'reply.cancel', reply } }];
}

/** What is heard now is not wanted any more, whatever else there is to do. */
function flushing(state: State, effects: readonly Effect[]): readonly Effect[] {
  return state.sounding === null ? effects : [{ do: 'flush', reply: state.sounding }, ...effects];
}

function take(state: State, message: ServerMessage): Step {
  switch (message.type) {
    case 'ready': {
      const mode = message.settings.turn?.mode ?? state.mode;
      const again = message.resumed === true ? {} : QUIET;
      // What was typed before the server was ready is on its way.
      const waiting = state.link === 'connecting' && state.waiting;
      const stays = message.resumed === true && state.waiting;
      return [{ ...state, ...again, waiting: waiting || stays, link: 'open', failures: 0, mode }, []];
    }
    case 'speech.started':
      return [{ ...state, turn: message.turn, notice: null }, []];
    case 'speech.stopped':
      return [{ ...state, turn: null, waiting: message.reason !== 'cleared' }, []];
    case 'transcript.final':
      // It was no speech after all: no reply follows.
      return message.text.trim() === '' ? [{ ...state, waiting: false }, []] : [state, []];
    case 'reply.started':
      return [{ ...state, waiting: false, reply: message.reply }, []];
    case 'reply.interrupted': {
      const over = state.sounding === message.reply ? null : state.sounding;
      return [{ ...state, sounding: over }, [{ do: 'flush', reply: message.reply }]];
    }
    case 'reply.done':
      return done(state, message);
    case 'warning':
      return [{ ...state, waiting: false, notice: { code: message.code, message: message.message } }, []];
    case 'error':
      // Push-to-talk pressed by accident is no error worth a word.
      if (message.code === 'input_empty') return [{ ...state, waiting: false }, []];
      return [{ ...state, waiting: false, notice: { code: message.code, message: message.message } }, []];
    case 'going_away':
      return [{ ...state, notice: { code: 'going_away', message: 'The server restarts; the conversation goes on right after.' } }, []];
    default:
      return [state, []];
  }
}

function done(state: State, message: Extract<ServerMessage, { type: 'reply.done' }>): Step {
  const after = { ...state, waiting: state.waiting && state.reply !== message.reply, reply: state.reply === message.reply ? null : state.reply };
  if (message.status === 'failed') {
    return [{ ...after, notice: { code: 'reply_failed', message: 'The answer failed. Please say it again.' } }, []];
  }
  if (message.status !== 'cancelled') return [after, []];
  return [{ ...after, sounding: state.sounding === message.reply ? null : state.sounding }, [{ do: 'flush', reply: message.reply }]];
}

function closed(state: State, code: number, told: string | null): Step {
  if (state.link === 'off') return [state, []];
  if (next(code) === 'stop') {
    const words = closeWords(code, told);
    const notice = words === null ? null : { code: String(code), message: words };
    return [{ ...state, ...QUIET, link: 'off', microphone: 'off', silent: false, notice }, flushing(state, [{ do: 'deafen' }])];
  }
  // Speech that has arrived is played on; the rest waits at the server.
  return [{ ...state, link: state.link === 'connecting' && state.failures < PATIENCE ? 'connecting' : 'lost', failures: state.failures + 1 }, []];
}

function microphone(state: State, is: 'on' | 'off' | Trouble): Step {
  if (is === 'off') return [{ ...state, microphone: 'off', silent: false, held: false }, []];
  if (is === 'on') {
    // Stopped while the browser was asking.
    if (state.link === 'off') return [{ ...state, microphone: 'off' }, [{ do: 'deafen' }]];
    return [{ ...state, microphone: 'on', trouble: null }, []];
  }
  return [{ ...state, microphone: 'off', trouble: is, silent: false, held: false }, [{ do: 'deafen' }]];
}

function played(state: State, reply: number, playback: PlaybackState): Step {
  if (playback === 'playing') return [state.sounding === reply ? state : { ...state, sounding: reply }, []];
  if (playback === 'paused') return [state, []];
  // Its last word is out; that the server says so, too, is a matter of milliseconds.
  return [{ ...state, sounding: state.sounding === reply ? null : state.sounding, reply: state.reply === reply ? null : state.reply }, []];
}

/** Which of the states that a person understands this is. */
export function phase(state: State): Phase {
  if (state.link !== 'open' && state.link !== 'off' && !state.online) return 'offline';
  switch (state.link) {
    case 'off':
      if (state.trouble) return 'blocked';
      return state.online ? 'idle' : 'offline';
    case 'connecting':
      return 'connecting';
    case 'lost':
      return 'reconnecting';
    case 'open':
      return talking(state);
  }
}

function talking(state: State): Phase {
  if (state.turn !== null || state.held) return 'hearing';
  if (state.sounding !== null) return 'speaking';
  if (state.waiting || state.reply !== null) return 'thinking';
  if (state.trouble) return 'blocked';
  if (state.microphone === 'opening') return 'connecting';
  if (state.microphone === 'off') return 'idle';
  if (state.muted) return 'muted';
  return state.silent ? 'silent' : 'listening';
}
