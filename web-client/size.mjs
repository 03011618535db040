// Fails if what a page loads for the widget has grown beyond its budget.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const BUDGET_BYTES = 20_000;
const dist = resolve(dirname(fileURLToPath(import.meta.url)), 'dist');
const bytes = (file) => gzipSync(readFileSync(resolve(dist, file)), { level: 9 }).length;
const [widget, worklet, voice] = ['widget.js', 'worklet.js', 'voice.js'].map(bytes);
console.log(`gzipped: widget ${widget} + worklets ${worklet} = ${widget + worklet} of ${BUDGET_BYTES} bytes; the library alone ${voice}`);
if (widget + worklet > BUDGET_BYTES) {
  console.error('That is too much.');
  process.exit(1);
}
