// The script of `<script type="module" src="https://voice.example/widget.js">`: defines <floe-voice>.

import { FloeVoice } from './ui/element.js';

if (!customElements.get('floe-voice')) customElements.define('floe-voice', FloeVoice);

declare global {
  interface HTMLElementTagNameMap {
    'floe-voice': FloeVoice;
  }
}

export { FloeVoice };
export { english, type Line, type Words } from './ui/words.js';
