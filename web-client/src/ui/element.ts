// <floe-voice>: a conversation on any page. Attributes are read when it begins; properties and methods are for the page's script.

import { VoiceSession, type VoiceSessionOptions } from '../session/session.js';
import { initial, type Phase, type State } from '../session/state.js';
import { ticketFrom, type TicketSource } from '../session/ticket.js';
import { h } from './dom.js';
import { icon } from './icons.js';
import type { Action } from './orb.js';
import { Panel } from './panel.js';
import { english, type Words } from './words.js';
import css from './widget.css?inline';

const sheet = new CSSStyleSheet();
sheet.replaceSync(css);

/** A lost connection that is back so soon is not worth a word. */
const RECONNECTING_MS = 700;

/** The server that this script came from. */
const home = new URL(import.meta.url).origin;

/**
 * Attributes: `server`, `ticket-url`, `agent`, `language`, `voice`, `instructions`, `mode` (`auto`, `hold`), `heading`,
 * `captions` (`off`), `floating`, `open`, `theme` (`light`, `dark`).
 * Events, which bubble and cross shadow roots: `voice-state`, `voice-transcript`, `voice-message`, `voice-error`.
 */
export class FloeVoice extends HTMLElement {
  static readonly observedAttributes = ['heading', 'captions', 'open', 'mode'];

  /** Gives a ticket for a connection, where an address (`ticket-url`) is not enough. */
  ticket: TicketSource | null = null;

  readonly #panel: Panel;
  readonly #launcher: HTMLButtonElement;
  #words: Words = english;
  #session: VoiceSession | null = null;
  #late: ReturnType<typeof setTimeout> | undefined;
  #shown: Phase = 'idle';
  #told: string | null = null;

  constructor() {
    super();
    this.#panel = new Panel(english, {
      press: (action) => this.#press(action),
      hold: (held) => this.session.hold(held),
      end: () => this.stop(),
      write: (text) => this.sendText(text),
      escape: () => this.#escape(),
      device: (id) => void this.session.useDevice(id),
      pushToTalk: (on) => this.setAttribute('mode', on ? 'hold' : 'auto'),
      captions: (on) => (on ? this.removeAttribute('captions') : this.setAttribute('captions', 'off')),
    });
    this.#launcher = h('button', { type: 'button', class: 'launcher', part: 'launcher', 'aria-expanded': 'false' }, icon('chat'));
    this.#launcher.addEventListener('click', () => this.toggleAttribute('open'));
    const root = this.attachShadow({ mode: 'open', delegatesFocus: false });
    root.adoptedStyleSheets = [sheet];
    root.append(this.#panel.element, this.#launcher);
  }

  /** The conversation beneath, made when it is first needed. */
  get session(): VoiceSession {
    this.#session ??= this.#begin();
    return this.#session;
  }

  get phase(): Phase {
    return this.#session?.phase ?? 'idle';
  }

  /** Texts of the surface, for other languages; what is left out stays English. */
  set words(words: Partial<Words>) {
    this.#words = { ...english, ...words };
    this.#rename();
  }

  get words(): Words {
    return this.#words;
  }

  /** Begins to talk. To be called in a click or key press. */
  start(): void {
    this.session.start();
  }

  stop(): void {
    this.#session?.stop();
  }

  sendText(text: string): void {
    this.session.sendText(text);
  }

  connectedCallback(): void {
    this.#rename();
    this.attributeChangedCallback();
    // Once the page's own scripts had their chance to set properties.
    if (document.readyState === 'complete') queueMicrotask(() => this.#rejoin());
    else addEventListener('load', () => this.#rejoin(), { once: true });
  }

  disconnectedCallback(): void {
    // To be moved within a page is to be taken out and put in.
    queueMicrotask(() => {
      if (this.isConnected) return;
      clearTimeout(this.#late);
      this.#session?.close();
      this.#session = null;
    });
  }

  attributeChangedCallback(name?: string): void {
    const hasCaptions = this.getAttribute('captions') !== 'off';
    const isManual = this.getAttribute('mode') === 'hold';
    this.#panel.captions(hasCaptions);
    this.#panel.preferences.show(isManual, hasCaptions);
    if (name === 'heading') this.#rename();
    if (name === 'mode') this.#session?.setMode(isManual ? 'manual' : 'auto');
    if (name === 'open') this.#unfold();
    this.#show();
  }

  #rejoin(): void {
    if (this.isConnected) this.session.rejoin();
  }

  #begin(): VoiceSession {
    const session = new VoiceSession(this.#options());
    session.on('state', ({ state }) => {
      this.#show();
      this.#tellError(state);
    });
    session.on('caption', (entry) => {
      this.#panel.caption(entry);
      this.#tell('voice-transcript', { ...entry });
    });
    session.on('captions', (entries) => this.#panel.transcript.fill(entries));
    session.on('level', (level) => this.#panel.level(level));
    session.on('devices', (devices) => this.#panel.preferences.devices(devices, session.device));
    session.on('message', (message) => this.#tell('voice-message', message));
    return session;
  }

  #options(): VoiceSessionOptions {
    const given = (name: string): string | undefined => this.getAttribute(name) ?? undefined;
    const settings = { language: given('language'), voice: given('voice'), instructions: given('instructions') };
    const present = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
    return {
      server: given('server') ?? home,
      agent: given('agent') ?? 'default',
      settings: { ...present, turn: { mode: given('mode') === 'hold' ? 'manual' : 'auto' } },
      ticket: () => this.#ticket(),
    };
  }

  /** Looked up for every connection: a page's script may come after the session. */
  async #ticket(): Promise<string | null> {
    const url = this.getAttribute('ticket-url');
    return this.ticket ? this.ticket() : url === null ? null : ticketFrom(new URL(url, document.baseURI).href)();
  }

  #press(action: Action): void {
    switch (action) {
      case 'start':
        return this.session.start();
      case 'interrupt':
        return this.session.hush();
      case 'mute':
      case 'unmute':
        return this.session.mute(action === 'mute');
      case 'hold':
        return;
    }
  }

  #escape(): void {
    if (this.phase === 'speaking') return this.session.hush();
    if (!this.hasAttribute('floating') || !this.hasAttribute('open')) return;
    this.removeAttribute('open');
    this.#launcher.focus();
  }

  #unfold(): void {
    const isOpen = this.hasAttribute('open');
    this.#launcher.setAttribute('aria-expanded', String(isOpen));
    this.#launcher.setAttribute('aria-label', isOpen ? this.#words.close : this.#words.open);
    this.#launcher.replaceChildren(icon(isOpen ? 'end' : 'chat'));
    if (isOpen && this.hasAttribute('floating') && this.isConnected) this.#panel.focus();
  }

  #rename(): void {
    this.#panel.rename(this.#words, this.getAttribute('heading') ?? this.#words.heading);
    this.#launcher.setAttribute('aria-label', this.hasAttribute('open') ? this.#words.close : this.#words.open);
  }

  #show(): void {
    const phase = this.phase;
    if (phase !== 'reconnecting') {
      clearTimeout(this.#late);
      this.#late = undefined;
      return this.#draw();
    }
    if (this.#shown === 'reconnecting') return this.#draw();
    this.#late ??= setTimeout(() => this.phase === 'reconnecting' && this.#draw(), RECONNECTING_MS);
  }

  #draw(): void {
    const { phase } = this;
    const state = this.#session?.state ?? initial;
    const isNew = phase !== this.#shown;
    this.#shown = phase;
    this.#panel.show(phase, state);
    this.#launcher.dataset['phase'] = phase;
    if (isNew) this.#tell('voice-state', { phase });
  }

  #tellError({ notice, trouble }: State): void {
    const told = notice ? notice.code : trouble;
    if (told === this.#told) return;
    this.#told = told;
    if (told) this.#tell('voice-error', notice ?? { code: trouble, message: this.#words.troubles[trouble ?? 'denied'].join('. ') });
  }

  #tell(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}
