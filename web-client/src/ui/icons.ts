// Line drawings of 24 by 24.

import { s } from './dom.js';

const MICROPHONE = 'M12 4a2.6 2.6 0 0 0-2.6 2.6v5a2.6 2.6 0 0 0 5.2 0v-5A2.6 2.6 0 0 0 12 4M6.6 11.4a5.4 5.4 0 0 0 10.8 0M12 17v3';
const SLASH = 'M4.5 4.5l15 15';

const PATHS = {
  microphone: MICROPHONE,
  off: MICROPHONE + SLASH,
  unheard: 'M3 12h3.5M17.5 12H21M9 9.5a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1-1.4 2M12 17.6v.1',
  wave: 'M4 10.5v3M8 7.5v9M12 4.5v15M16 8v8M20 10.5v3',
  dots: 'M6 12h.01M12 12h.01M18 12h.01',
  link: 'M9 15l-2 2a3 3 0 0 1-4-4l2-2M15 9l2-2a3 3 0 0 1 4 4l-2 2M10 10.5L8.5 8M14 13.5l1.5 2.5',
  cloud: 'M7 18h10a4 4 0 0 0 .6-8A5.5 5.5 0 0 0 7 9.5 4.3 4.3 0 0 0 7 18' + SLASH,
  send: 'M4.5 12h14M13 6l6 6-6 6',
  end: 'M7 7l10 10M17 7 7 17',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4',
  chat: 'M5 6.5h14v9h-7.5L7.5 19v-3.5H5z',
  cut: 'M8 6v12M12 9l8 3-8 3',
} as const;

export type Icon = keyof typeof PATHS;

export function icon(name: Icon): SVGElement {
  return s('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true', focusable: 'false' }, s('path', { d: PATHS[name] }));
}
