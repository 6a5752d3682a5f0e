/** Makes elements. */

type Attribute = string | number | boolean | null | undefined;
type Child = Node | string | null;
type Listeners = { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => unknown };

export interface Props {
  [attribute: string]: Attribute | Listeners;
  on?: Listeners;
}

/** An element with attributes (`true` for one without a value, null for none), listeners and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  { on, ...attributes }: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes) as [string, Attribute][]) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const [type, listener] of Object.entries(on ?? {}))
    element.addEventListener(type, listener as (event: Event) => void);
  element.append(...children.filter((child) => child !== null));
  return element;
}

let made = 0;

/** A name for an element that no other has. */
export function uniqueId(prefix: string): string {
  made += 1;
  return `${prefix}-${made}`;
}

/** A labelled control, with a hint below it. */
export function field(label: string, control: HTMLElement, hint = ''): HTMLElement {
  control.id ||= uniqueId('field');
  const id = `${control.id}-hint`;
  if (hint !== '') control.setAttribute('aria-describedby', id);
  return h(
    'div',
    { class: 'field' },
    h('label', { for: control.id }, label),
    control,
    hint === '' ? null : h('small', { id, class: 'hint' }, hint),
  );
}

/** One of several, as radio buttons; `onPick` gets the value. */
export function choice<T extends string>(
  legend: string,
  options: readonly (readonly [value: T, label: string])[],
  onPick: (value: T) => void,
): HTMLFieldSetElement {
  const name = uniqueId('choice');
  return h(
    'fieldset',
    { class: 'choice' },
    h('legend', { class: 'hidden' }, legend),
    ...options.map(([value, label], at) =>
      h(
        'label',
        {},
        h('input', { type: 'radio', name, value, checked: at === 0, on: { change: () => onPick(value) } }),
        h('span', {}, label),
      ),
    ),
  );
}

/** Does what is asked for last once before the next frame. */
export function onNextFrame(body: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      body();
    });
  };
}
