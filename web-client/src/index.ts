// The library `@floe/voice`: a conversation with a Floe server, without any look.

export { VoiceSession, type Statistics, type VoiceEvents, type VoiceSessionOptions } from './session/session.js';
export { PHASES, type Notice, type Phase, type State, type Trouble } from './session/state.js';
export type { Entry } from './session/captions.js';
export type { Device } from './audio/microphone.js';
export type { Latency, Ready, ServerMessage, Settings, TurnMode } from './session/protocol.js';
export type { Timing } from './session/stopwatch.js';
export { refusal, ticketFrom, type TicketSource } from './session/ticket.js';
