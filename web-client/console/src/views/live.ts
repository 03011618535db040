// Who talks now.

import { h } from '../../../src/ui/dom.js';
import type { Conversation } from '../shapes.js';
import { empty, every, head, isOver, tell, type View } from '../view.js';
import { count } from '../words.js';
import { entry } from './conversations.js';

/** Every look at a list is written into the audit trail: not too often. */
const EVERY_MS = 10_000;

export const live: View = async (main, _, at) => {
  const many = h('p', { class: 'note' });
  const place = h('div');
  main.append(head('Live', many), place);
  let shown = '';
  const look = async (): Promise<void> => {
    try {
      const { data, has_more } = await at.api.list<Conversation>('/conversations', { state: 'live', limit: 100 }, at.left);
      const ids = data.map(({ id }) => id).join();
      many.textContent = `${count(data.length, 'conversation')}${has_more ? ' and more' : ''}, looked at every ${EVERY_MS / 1_000} s`;
      place.querySelector('.trouble')?.remove();
      const focused = document.activeElement?.getAttribute('href');
      place.replaceChildren(data.length > 0 ? h('ol', { class: 'rows', 'aria-label': 'Live conversations' }, ...data.map(entry)) : empty('Nobody is talking.'));
      if (focused) place.querySelector<HTMLElement>(`a[href="${CSS.escape(focused)}"]`)?.focus();
      if (ids !== shown) at.say(`${count(data.length, 'conversation')} now`);
      shown = ids;
    } catch (error) {
      if (!isOver(error)) tell(place, error);
    }
  };
  await look();
  every(EVERY_MS, at.left, look);
};
