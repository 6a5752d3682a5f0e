/** What the page shows after a training. */
import type { PageWorker, Run } from '../contract.ts';

/** The views of a finished training. */
export function resultsView(worker: PageWorker, run: Run): HTMLElement {
  const view = document.createElement('div');
  const form = document.createElement('form');
  form.innerHTML =
    '<label for="try-text">Try a sentence</label> <input id="try-text" required> <button>Predict</button><output></output>';
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const text = form.querySelector('input')!.value;
    const values = await worker.inspect.predict(text);
    form.querySelector('output')!.textContent = run.labels
      .map((name, id) => `${name} ${values[id]!.toFixed(3)}`)
      .join(', ');
  });
  view.append(form);
  return view;
}
