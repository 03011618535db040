// What the API answers, as far as the console reads it (`/openapi.json` has all of it).

export interface List<T> {
  data: T[];
  has_more: boolean;
  next?: string;
}

export interface Conversation {
  id: string;
  user: string | null;
  agent: string;
  language: string;
  title: string | null;
  summary: string | null;
  summary_by: string | null;
  consent: boolean | null;
  state: string;
  end_reason: string | null;
  started_at: string;
  ended_at: string | null;
  audio_in_ms: number;
  audio_out_ms: number;
  items?: Item[];
  replies?: Receipt[];
}

export interface Item {
  id: number;
  role: string;
  kind: string;
  text: string;
  full_text?: string;
  language?: string;
  start_ms: number | null;
  end_ms: number | null;
  interrupted: boolean;
  failed: boolean;
  reply?: number;
  call?: number;
  tool?: string;
  arguments?: string;
  recorded_at: string;
}

export type Stage = 'eot' | 'asr' | 'llm_first' | 'tts_first' | 'first_audio';

export interface Receipt {
  reply: number;
  turn: number | null;
  status: string;
  reason?: string;
  latency_ms: Record<Stage, number | null>;
  usage: { input_tokens: number; output_tokens: number };
}

export interface Track {
  id: string;
  part: number;
  track: 'user' | 'assistant';
  start_ms: number;
  duration_ms: number | null;
  bytes: number | null;
  complete: boolean;
  here: boolean;
  url: string;
}

export interface Hit {
  conversation: string;
  started_at: string;
  item: number;
  role: string;
  start_ms: number | null;
  snippet: { text: string; hit: boolean }[];
}

export interface Job {
  id: string;
  kind: string;
  subject: string;
  state: string;
  attempts: number;
  due_at: string;
  node: string | null;
  error: string | null;
  created_at: string;
  finished_at: string | null;
}

export interface Used {
  conversations: number;
  replies: number;
  audio_in_s: number;
  audio_out_s: number;
  input_tokens: number;
  output_tokens: number;
}

export interface Usage {
  from: string;
  to: string;
  total: Used;
  days: (Used & { date: string })[];
}

export interface Key {
  id: string;
  name: string;
  role: string;
  user: string | null;
  scopes: string[];
  prefix: string;
  state: string;
  created_at: string;
  expires_at: string | null;
  ended_at: string | null;
  used_at: string | null;
  key?: string;
}

export interface Webhook {
  id: string;
  url: string;
  events: string[];
  created_at: string;
  gone_at: string | null;
  secret?: string;
}

/** Not every server has documents, and what it says of one differs. */
export interface Document {
  id: string;
  name?: string | null;
  title?: string | null;
  media_type?: string | null;
  bytes?: number | null;
  pages?: number | null;
  state?: string | null;
  error?: string | null;
  summary?: string | null;
  summary_by?: string | null;
  created_at?: string;
}
