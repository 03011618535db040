// Times and amounts as people read them.

/** `1:02.4`: a place in a conversation. */
export function clock(ms: number, digits = 1): string {
  const at = Math.max(0, Math.round(ms / 10 ** (3 - digits)) * 10 ** (3 - digits));
  const [hours, minutes] = [Math.floor(at / 3_600_000), Math.floor(at / 60_000) % 60];
  const seconds = ((at % 60_000) / 1_000).toFixed(digits).padStart(digits > 0 ? 3 + digits : 2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${seconds}` : `${minutes}:${seconds}`;
}

/** `42 s`, `3 min 5 s`, `2 h 10 min`. */
export function span(ms: number): string {
  const s = Math.round(ms / 1_000);
  if (s < 60) return `${s} s`;
  if (s < 3_600) return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`;
  const minutes = Math.floor((s % 3_600) / 60);
  return minutes ? `${Math.floor(s / 3_600)} h ${minutes} min` : `${Math.floor(s / 3_600)} h`;
}

/** `just now`, `5 min ago`, `in 3 min`; beyond a day a date. */
export function ago(at: string, now = Date.now()): string {
  const ms = now - Date.parse(at);
  if (Number.isNaN(ms)) return '–';
  if (Math.abs(ms) < 10_000) return 'just now';
  if (Math.abs(ms) >= 86_400_000) return day(at);
  const distance = Math.abs(ms) < 60_000 ? span(Math.abs(ms)) : span(Math.floor(Math.abs(ms) / 60_000) * 60_000);
  return ms < 0 ? `in ${distance}` : `${distance} ago`;
}

const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/** With the time, in the reader's own zone. */
export function day(at: string): string {
  const ms = Date.parse(at);
  return Number.isNaN(ms) ? '–' : DAY.format(ms);
}

export function whole(at: string): string {
  const ms = Date.parse(at);
  return Number.isNaN(ms) ? '–' : WHOLE.format(ms);
}

export function number(value: number): string {
  return NUMBER.format(value);
}

/** `1 reply`, `2 replies`. */
export function count(value: number, one: string, many = `${one}s`): string {
  return `${number(value)} ${value === 1 ? one : many}`;
}

export function bytes(value: number): string {
  if (value < 1_000) return `${value} B`;
  return value < 1_000_000 ? `${number(value / 1_000)} kB` : `${number(value / 1_000_000)} MB`;
}

/** JSON that reads well; anything else as it is. */
export function pretty(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    const line = JSON.stringify(value);
    return line.length <= 160 && typeof value === 'object' ? line.replace(/":/g, '": ').replace(/,"/g, ', "') : JSON.stringify(value, null, 2);
  } catch {
    return text;
  }
}
