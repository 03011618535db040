// A picture of every state, as it really comes about: target/screenshots/state-*.png. (Some are taken by the other files.)

import { afterEach, expect, test } from 'vitest';
import { PHASES } from '../src/session/state';
import { Stage } from './stage';
import { microphone } from './wav';

let stage: Stage | undefined;

afterEach(async () => {
  const over = stage;
  stage = undefined;
  await over?.close();
});

test('idle, connecting, listening, hearing, thinking, speaking', async () => {
  stage = await Stage.open({ microphone: microphone('states', [2.5, 'tell me about family', 20]) });
  const { front } = stage;
  const widget = stage.widget();
  await stage.shoot('page-light');
  await stage.shoot('state-idle', widget.element);
  // A server that takes its time: what is said meanwhile is kept.
  front.answer('/v1/stream/tickets', (_, answer) => setTimeout(() => answer.writeHead(404).end(), 1_500));
  await widget.orb.click();
  await widget.until('connecting');
  await stage.shoot('state-connecting', widget.element);
  await widget.until('listening');
  await stage.shoot('state-listening', widget.element);
  await widget.until('hearing');
  await widget.element.locator('li.you .provisional', { hasText: /[a-z]/ }).waitFor();
  await stage.shoot('state-hearing', widget.element);
  await widget.message('speech.stopped');
  // The answer is on its way, and stays there for a moment.
  front.freeze();
  if ((await widget.phase()) === 'thinking') await stage.shoot('state-thinking', widget.element);
  front.mend();
  await widget.until('speaking');
  await stage.page.waitForTimeout(800);
  await stage.shoot('state-speaking', widget.element);
  await stage.shoot('page-speaking');
});

test('thinking, for as long as a picture takes', async () => {
  stage = await Stage.open({ allowed: false });
  const widget = stage.widget();
  await widget.type('What time is it?');
  await widget.until('speaking');
  await widget.until('idle');
  stage.front.freeze();
  await widget.type('tell me about family');
  await widget.until('thinking');
  await stage.shoot('state-thinking', widget.element);
  stage.front.mend();
  await widget.until('speaking');
});

test('every state has its own look and its own words', async () => {
  stage = await Stage.open({ allowed: false });
  const { page } = stage;
  const looks = await page.evaluate(async (phases) => {
    const panel = document.querySelector('floe-voice')?.shadowRoot?.querySelector<HTMLElement>('.panel');
    const seen: Record<string, string> = {};
    for (const phase of phases) {
      if (!panel) break;
      panel.dataset['phase'] = phase;
      await new Promise((resolve) => setTimeout(resolve, 500));
      const look = (selector: string): string => {
        const style = getComputedStyle(panel.querySelector(selector) as Element);
        return [style.color, style.opacity, style.animationName, style.strokeDasharray].join();
      };
      seen[phase] = ['.title', '.orbit', '.ring', '.ice', '.facet'].map(look).join(' ');
    }
    return seen;
  }, PHASES);
  expect(Object.keys(looks)).toHaveLength(PHASES.length);
  expect(new Set(Object.values(looks)).size).toBe(PHASES.length);
});
