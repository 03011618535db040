// The page at `/`: the widget, questions to click, and a drawer for those who want to see inside.

import type { FloeVoice } from '../widget.js';
import { Drawer } from './drawer.js';
import { askForTicket } from './signin.js';

// Served beside this script, and whole: importing its source would put it in here a second time.
const WIDGET = './widget.js';
await import(/* @vite-ignore */ WIDGET);

const floe = document.querySelector<FloeVoice>('#floe');
const signIn = document.querySelector<HTMLElement>('#sign-in');
if (!floe || !signIn) throw new Error('this script belongs to the page at /');

floe.ticket = askForTicket(() => {
  signIn.hidden = false;
});

for (const prompt of document.querySelectorAll('#prompts button')) {
  prompt.addEventListener('click', () => floe.sendText(prompt.textContent ?? ''));
}

const snippet = document.querySelector('#snippet');
if (snippet) {
  snippet.textContent = `<script type="module" src="${location.origin}/widget.js"></script>\n<floe-voice></floe-voice>`;
}

new Drawer(floe.session, document);
