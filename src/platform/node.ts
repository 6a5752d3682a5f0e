/** Implements the platform in Node. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FileError } from '../errors.ts';
import type { Platform } from './contract.ts';
import { requestAdapter } from './node/adapter.ts';
import { readCache, writeCache } from './node/cache.ts';
import { openDataset } from './node/datasets.ts';
import { downloadModel } from './node/download.ts';
import * as files from './node/files.ts';
import { initProcessGroup } from './node/mpi.ts';
import { hubAccount, upload } from './node/push.ts';
import { waitForGpu } from './node/wait.ts';

export const platform: Platform = {
  name: 'node',
  requestAdapter,
  initProcessGroup,
  waitForGpu,
  downloadModel,
  openDataset,
  hubAccount,
  upload,
  // This file is two folders below the package root, both as source and compiled.
  packagePath: (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url)),
  joinPath: join,
  isRemote: () => false,
  mount: async () => {
    throw new FileError('mountFolder is for folders that the user of a browser picks', {
      remedy: 'give the path of the folder',
    });
  },
  ...files,
  readCache,
  writeCache,
};
