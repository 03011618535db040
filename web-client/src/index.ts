// The library `@floe/voice`: a conversation with a Floe server, without any look.

export { VoiceSession, type Statistics, type VoiceEvents, type VoiceSessionOptions } from './session/session';
export { PHASES, type Notice, type Phase, type State, type Trouble } from './session/state';
export type { Entry } from './session/captions';
export type { Device } from './audio/microphone';
export type { Latency, Ready, ServerMessage, Settings, TurnMode } from './session/protocol';
export type { Timing } from './session/stopwatch';
export { TicketError, ticketFrom, type TicketSource } from './session/ticket';
