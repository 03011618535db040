// Documents that the agent can be asked about.

import { h } from '../../../src/ui/dom.js';
import type { Document } from '../shapes.js';
import { action, badge, confirm, every, head, isOver, pages, tell, type View } from '../view.js';
import { bytes, count, day, whole } from '../words.js';

const KINDS = '.txt,.md,.markdown,.html,.htm,.pdf,.docx,text/plain,text/markdown,text/html,application/pdf';

export const documents: View = async (main, _, at) => {
  const place = h('div');
  const file = h('input', { type: 'file', accept: KINDS, id: 'file' });
  const sent = h('span', { class: 'note', role: 'status' });
  file.addEventListener('change', async () => {
    const [chosen] = file.files ?? [];
    if (!chosen) return;
    sent.textContent = `Sending ${chosen.name}, ${bytes(chosen.size)} …`;
    file.disabled = true;
    try {
      await at.api.upload<Document>('/documents', chosen, { name: chosen.name });
      sent.textContent = `${chosen.name} is here.`;
      await list();
    } catch (error) {
      sent.textContent = '';
      if (!isOver(error)) tell(place, error);
    }
    file.disabled = false;
    file.value = '';
  });
  const draw = (document: Document): HTMLElement => {
    const { id, created_at, error, state, summary, summary_by } = document;
    const name = document.title ?? document.name ?? id;
    const remove = action('Delete', async () => {
      if (!(await confirm(`Delete “${name}”?`, 'Its text and its summary are erased, and the agent knows it no more.', 'Delete'))) return;
      await at.api.delete(`/documents/${id}`);
      line.remove();
      at.say('It is gone.');
    }, () => main, 'button small alarm');
    remove.setAttribute('aria-label', `Delete: ${name}`);
    const facts = [document.media_type, typeof document.bytes === 'number' && bytes(document.bytes), document.pages && count(document.pages, 'page')];
    const line = h('li', { class: 'card' },
      h('div', { class: 'line' }, h('strong', {}, name), ...(state ? [badge(state)] : []), h('span', { class: 'grow' }), remove),
      h('p', { class: 'sub' }, facts.filter(Boolean).join(' · '), ...(created_at ? [' · ', h('time', { datetime: created_at, title: whole(created_at) }, day(created_at))] : [])),
      ...(error ? [h('p', { class: 'why' }, error)] : []),
      ...(summary ? [h('details', {}, h('summary', { 'data-row': true }, 'Summary'), h('p', { class: 'summary' }, summary), h('p', { class: 'sub' }, summary_by ? `by ${summary_by}` : ''))] : []));
    return line;
  };
  const list = async (): Promise<void> => {
    const into = h('ol', { class: 'cards', 'aria-label': 'Documents, newest first' });
    const fresh = h('div', {}, into);
    await pages<Document>({
      into, at, name: 'documents', none: 'No documents yet. Text, Markdown, HTML and PDF can be added.', draw,
      ask: async (after) => {
        const part = await at.api.list<Document>('/documents', { limit: 50, after }, at.left);
        if (after === undefined) isWorking = part.data.some(({ state }) => ['queued', 'running', 'pending', 'processing', 'working'].includes(state ?? ''));
        return part;
      },
    });
    place.replaceChildren(...fresh.childNodes);
  };
  let isWorking = false;
  main.append(head('Documents'), h('p', { class: 'line upload' }, h('label', { for: 'file', class: 'button primary' }, 'Add a document'), file, sent), place);
  await list();
  every(5_000, at.left, async () => {
    if (isWorking && !place.querySelector('details[open]')) await list();
  });
};
