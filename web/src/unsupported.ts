/** What the page shows where it cannot train. */
import { h } from './parts/dom.ts';
import { type Advice, browsers } from './parts/support.ts';

export function unsupportedView({ reason, setting }: Advice): HTMLElement {
  return h(
    'section',
    { class: 'card unsupported', role: 'alert', 'aria-labelledby': 'unsupported-title' },
    h('h2', { id: 'unsupported-title' }, 'This browser cannot train here'),
    h('p', {}, reason),
    setting === null ? null : h('p', {}, h('strong', {}, 'What helps: '), setting),
    h('p', {}, 'Browsers that have WebGPU:'),
    h('ul', {}, ...browsers.map(([name, versions]) => h('li', {}, h('strong', {}, name), `: ${versions}`))),
    h('p', { class: 'hint' }, 'The same training runs without a browser: npx dawngrad finetune --example'),
  );
}
