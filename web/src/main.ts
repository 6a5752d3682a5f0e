/** The page. */
import { wrap } from 'comlink';
import type { PageWorker } from './contract.ts';
import { resultsView } from './results/view.ts';

const worker = wrap<PageWorker>(
  new Worker(new URL('./worker/main.ts', import.meta.url), { type: 'module' }),
) as unknown as PageWorker;
void worker.open().then((report) => document.body.append(report.description));
void resultsView;
