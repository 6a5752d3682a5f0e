/** The page's worker. */
import { expose } from 'comlink';
import { requestDevice } from 'dawngrad';

expose({ open: async () => ({ description: (await requestDevice()).description }) });
