/** The page's worker. */
import { expose } from 'comlink';
import { Session } from './session.ts';

expose(new Session());
