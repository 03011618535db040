// What each state is called, and what to do in it. A page in another language gives its own.

import type { Phase, State, Trouble } from '../session/state.js';

/** A name, and a sentence with what to do. */
export type Line = readonly [title: string, hint: string];

export interface Words {
  phases: Record<Exclude<Phase, 'blocked'>, Line>;
  /** Where letting go of a button, not silence, ends a turn. */
  manual: Partial<Record<Phase, Line>>;
  troubles: Record<Trouble, Line>;
  /** Conversation without microphone. */
  typing: Line;
  heading: string;
  you: string;
  assistant: string;
  start: string;
  interrupt: string;
  mute: string;
  unmute: string;
  hold: string;
  end: string;
  settings: string;
  device: string;
  deviceDefault: string;
  pushToTalk: string;
  captions: string;
  level: string;
  conversation: string;
  message: string;
  send: string;
  open: string;
  close: string;
  /** After words that were cut off. */
  cut: string;
  failed: string;
  empty: string;
}

export const english: Words = {
  phases: {
    idle: ['Ready when you are', 'Press the circle and talk, or type below.'],
    connecting: ['Connecting…', 'If your browser asks, allow the microphone. You can start talking already.'],
    listening: ['Listening', 'Go ahead, just talk.'],
    hearing: ['I hear you', 'Pause for a moment when you are done.'],
    thinking: ['Thinking…', 'The answer is on its way.'],
    speaking: ['Speaking', 'Talk, or press the circle, to interrupt.'],
    reconnecting: ['No connection', 'Trying again by itself. The last ten seconds you say are kept.'],
    silent: ['No sound arrives', 'Your microphone is on but silent. Check its switch, or choose another one in the settings.'],
    muted: ['You are muted', 'Nothing you say is sent. Press the circle to unmute.'],
    offline: ['You are offline', 'Check your network. The conversation goes on when it is back.'],
  },
  manual: {
    listening: ['Hold to talk', 'Hold the circle, or the space bar on it, while you talk.'],
    hearing: ['I hear you', 'Let go when you are done.'],
    speaking: ['Speaking', 'Hold the circle and talk to interrupt.'],
  },
  troubles: {
    denied: ['Microphone blocked', 'Allow it with the icon beside the address, then press the circle again. Or just type.'],
    missing: ['No microphone found', 'Plug one in and press the circle again. Or just type.'],
    busy: ['Microphone in use', 'Another program holds it. Close that and press the circle again. Or just type.'],
    insecure: ['Microphone not allowed here', 'Browsers allow it only over https. You can type instead.'],
    unsupported: ['No sound in this browser', 'It cannot record or play here. You can type instead.'],
    unplugged: ['Microphone unplugged', 'Plug it in again and press the circle. Or just type.'],
  },
  typing: ['Type, or talk', 'Write below. Press the circle to talk.'],
  heading: 'Voice assistant',
  you: 'You',
  assistant: 'Assistant',
  start: 'Start talking',
  interrupt: 'Interrupt',
  mute: 'Mute',
  unmute: 'Unmute',
  hold: 'Hold to talk',
  end: 'End',
  settings: 'Settings',
  device: 'Microphone',
  deviceDefault: 'Browser’s choice',
  pushToTalk: 'Hold a button to talk',
  captions: 'Show captions',
  level: 'Microphone level',
  conversation: 'Conversation',
  message: 'Your message',
  send: 'Send',
  open: 'Open the voice assistant',
  close: 'Close',
  cut: 'interrupted here',
  failed: 'failed',
  empty: 'What you say and hear appears here.',
};

/** The name of a state and what to do in it. */
export function line(words: Words, phase: Phase, state: State): Line {
  if (phase === 'blocked') return words.troubles[state.trouble ?? 'denied'];
  if (phase === 'idle' && state.link === 'open') return words.typing;
  return (state.mode === 'manual' && words.manual[phase]) || words.phases[phase];
}
