/** What `dawngrad info` calls the runtime. */
import { expect, it } from 'vitest';
import { runtimeName } from '../../src/cli/info.ts';

it('names the runtime, not the Node that it is like', () => {
  const node = '26.3.0';
  expect(runtimeName()).toBe(`node ${process.versions.node}`);
  expect(runtimeName({ node })).toBe('node 26.3.0');
  expect(runtimeName({ node, deno: '2.9.6' })).toBe('deno 2.9.6');
  expect(runtimeName({ node, bun: '1.4.5' })).toBe('bun 1.4.5');
  expect(runtimeName({ node, electron: '44.1.0' })).toBe('electron 44.1.0');
});
