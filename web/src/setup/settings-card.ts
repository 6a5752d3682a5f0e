/** The few settings that matter. */
import type { AdapterReport, Settings } from '../contract.ts';
import { field, h } from '../parts/dom.ts';

export interface SettingsCard {
  element: HTMLElement;
  /** The values; null if one cannot be used, which the browser then shows. */
  read(): Settings | null;
  /** Takes defaults for the fields that were not touched. */
  suggest(settings: Settings): void;
  /** Says what the adapter can do. */
  allow(adapter: AdapterReport): void;
}

type NumberName = Exclude<keyof Settings, 'fp16'>;

/** Label, attributes of the input, hint. */
const fields: Readonly<Record<NumberName, [string, Record<string, string | number>, string?]>> = {
  epochs: ['Epochs', { min: 1, max: 1000, step: 1 }, 'Times through the data'],
  batchSize: ['Batch size', { min: 1, max: 1024, step: 1 }, 'Texts in a step; fewer take less memory'],
  accumulation: ['Batches per step', { min: 1, max: 1024, step: 1 }, 'More learn as a larger batch does'],
  learningRate: ['Learning rate', { min: 1e-7, max: 1, step: 'any' }],
  maxLength: ['Tokens per text', { min: 8, max: 8192, step: 1 }, 'At most; longer texts are cut'],
  heldOut: [
    'Share held out',
    { min: 0.01, max: 0.9, step: 0.01 },
    'For evaluation, if there is no file for it',
  ],
  warmup: ['Share of warm-up', { min: 0, max: 0.9, step: 0.01 }, 'Steps in which the rate rises'],
  seed: ['Seed', { min: 0, max: 4294967295, step: 1 }, 'The same seed gives the same training'],
};

const first: readonly NumberName[] = ['epochs', 'batchSize', 'learningRate', 'maxLength'];

export function settingsCard(initial: Settings): SettingsCard {
  const touched = new Set<keyof Settings>();
  const inputs = new Map<NumberName, HTMLInputElement>();
  const made = (name: NumberName): HTMLElement => {
    const [label, attributes, hint] = fields[name];
    const input = h('input', {
      type: 'number',
      inputmode: 'decimal',
      required: true,
      name,
      value: initial[name],
      ...attributes,
      on: { input: () => touched.add(name) },
    });
    inputs.set(name, input);
    return field(label, input, hint);
  };
  const fp16 = h('input', { type: 'checkbox', name: 'fp16', disabled: true });
  const fp16Hint = h('small', { class: 'hint', id: 'fp16-hint' }, 'Faster on many GPUs.');
  fp16.setAttribute('aria-describedby', 'fp16-hint');
  const rest = (Object.keys(fields) as NumberName[]).filter((name) => !first.includes(name));
  const more = h(
    'details',
    {},
    h('summary', {}, 'More settings'),
    h('div', { class: 'fields' }, ...rest.map(made)),
    h('label', { class: 'check' }, fp16, ' Mixed precision (float16)'),
    fp16Hint,
  );
  const form = h('form', { novalidate: true }, h('div', { class: 'fields' }, ...first.map(made)), more);
  form.addEventListener('submit', (event) => event.preventDefault());
  return {
    element: h(
      'section',
      { class: 'card', 'aria-labelledby': 'settings-title' },
      h('h2', { id: 'settings-title' }, h('span', { class: 'step', 'aria-hidden': 'true' }, '3'), 'Settings'),
      form,
    ),
    read() {
      if (rest.some((name) => !inputs.get(name)!.checkValidity())) more.open = true;
      if (!form.reportValidity()) return null;
      const numbers = Object.fromEntries([...inputs].map(([name, input]) => [name, input.valueAsNumber]));
      return { ...(numbers as Record<NumberName, number>), fp16: fp16.checked };
    },
    suggest(settings) {
      for (const [name, input] of inputs) if (!touched.has(name)) input.value = String(settings[name]);
    },
    allow({ float16 }) {
      fp16.disabled = !float16;
      if (!float16) fp16Hint.textContent = 'This GPU has no shader-f16: training uses float32.';
    },
  };
}
