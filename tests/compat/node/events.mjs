// Every recorded frame through the parser of `@openai/agents-realtime`: an event that it demotes to a generic one is one on
// which an application would never act.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(process.env.FLOE_COMPAT, 'events');
// Not exported by the package, but what it parses with.
const { parseRealtimeEvent } = await import(new URL('node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs', import.meta.url));
let frames = 0;
const refused = [];
for (const name of readdirSync(folder).filter((one) => one.endsWith('.jsonl'))) {
  for (const line of readFileSync(join(folder, name), 'utf8').split('\n').filter(Boolean)) {
    frames += 1;
    // Official, and sent only to clients that set `idle_timeout_ms`; the package does not know it.
    if (JSON.parse(line).type === 'input_audio_buffer.timeout_triggered') continue;
    const { isGeneric } = parseRealtimeEvent({ data: line });
    if (isGeneric) refused.push(`${name}: ${line.slice(0, 400)}`);
  }
}
for (const line of refused.slice(0, 20)) console.log(`  FAILED: ${line}`);
console.log(`  ${frames - refused.length} of ${frames} frames understood by @openai/agents-realtime`);
process.exit(refused.length || frames === 0 ? 1 : 0);
