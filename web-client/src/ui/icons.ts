// Line drawings of 24 by 24.

import { s } from './dom.js';

const PATHS = {
  microphone: 'M12 4a2.6 2.6 0 0 0-2.6 2.6v5a2.6 2.6 0 0 0 5.2 0v-5A2.6 2.6 0 0 0 12 4M6.6 11.4a5.4 5.4 0 0 0 10.8 0M12 17v3',
  off: 'M9.4 9.4v2.2a2.6 2.6 0 0 0 4.3 2M14.6 10.2V6.6a2.6 2.6 0 0 0-5-.9M6.6 11.4a5.4 5.4 0 0 0 8.6 4.3M17.2 12.8q.2-.7.2-1.4M12 17v3M4.5 4.5l15 15',
  unheard: 'M3 12h3.5M17.5 12H21M9 9.5a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1-1.4 2M12 17.6v.1',
  wave: 'M4 10.5v3M8 7.5v9M12 4.5v15M16 8v8M20 10.5v3',
  dots: 'M6 12h.01M12 12h.01M18 12h.01',
  link: 'M9.5 14.5 8 16a3 3 0 0 1-4.2-4.2L6 9.6M14.5 9.5 16 8a3 3 0 0 1 4.2 4.2L18 14.4M9 5.5 8.4 3.6M5.5 9 3.6 8.4M15 18.5l.6 1.9M18.5 15l1.9.6',
  cloud: 'M8 18h9a3.6 3.6 0 0 0 1.7-6.8M16 8.2A5.2 5.2 0 0 0 9.3 6M6.6 9A4.6 4.6 0 0 0 7 18M4.5 4.5l15 15',
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
