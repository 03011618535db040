// Where one is in the console stands behind `#`: browsers do not send that, so what was searched for is in no server's log.

export interface Route {
  /** Such as `conversations`. */
  section: string;
  /** Such as an id. */
  subject: string | null;
  query: Record<string, string>;
}

export const HOME = 'conversations';

export function parse(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [section, subject] = path.split('/').map(decode);
  return { section: section || HOME, subject: subject || null, query: Object.fromEntries(new URLSearchParams(search)) };
}

export function format({ section, subject = null, query = {} }: Partial<Route> & { section: string }): string {
  const given = Object.entries(query).filter(([, value]) => value !== '');
  const search = new URLSearchParams(given).toString();
  return `#/${section}${subject === null ? '' : `/${encodeURIComponent(subject)}`}${search ? `?${search}` : ''}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
