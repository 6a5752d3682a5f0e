/** What the command shows on a terminal while Dawn looks for an adapter. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { root } from '../support/command.ts';

/** Of util-linux: gives a command a terminal. */
const script = '/usr/bin/script';

async function onTerminal(environment: Record<string, string> = {}): Promise<string> {
  const command = `${process.execPath} --import tsx ${root}src/cli/main.ts info`;
  const { stdout } = await promisify(execFile)(script, ['-qec', command, '/dev/null'], {
    cwd: root,
    env: { ...process.env, ...environment },
  });
  return stdout;
}

it.skipIf(!existsSync(script))('Dawn’s notices about limits stay off a terminal', async () => {
  const shown = await onTerminal();
  expect(shown).toContain('maxBufferSize');
  expect(shown).not.toContain('artificially reduced');
});

it.skipIf(!existsSync(script))('everything else that a driver says is shown', async () => {
  const shown = await onTerminal({ VK_DRIVER_FILES: '/nowhere.json', VK_ICD_FILENAMES: '/nowhere.json' });
  expect(shown).toContain('/nowhere.json');
});
