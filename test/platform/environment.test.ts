/** The hub's environment variables, compared with Python's (test/reference/hub_environment.py). */
import { describe, expect, it } from 'vitest';
import { type Environment, expandPath, hubEnvironment } from '../../src/platform/node/environment.ts';
import { fixtures, readJson } from '../support/fixtures.ts';

interface Row {
  env: Environment;
  expected: Record<string, string | boolean | null>;
}

const rows = await readJson<Row[]>(`${fixtures}hub-environment.json`);

describe('the hub', () => {
  it.each(rows.map((row) => [JSON.stringify({ ...row.env, HOME: undefined }), row] as const))(
    '%s',
    (_, { env, expected }) => {
      const { token = null, endpoint = null, ...rest } = hubEnvironment(env);
      expect({ ...rest, token, endpoint }).toEqual(expected);
    },
  );

  it('takes a variable that is set to nothing as one that is not set', () => {
    const empty = {
      HF_HOME: '',
      HF_HUB_CACHE: '',
      HUGGINGFACE_HUB_CACHE: '',
      XDG_CACHE_HOME: '',
      HF_ENDPOINT: '',
    };
    expect(hubEnvironment({ HOME: '/home/user', ...empty })).toEqual(hubEnvironment({ HOME: '/home/user' }));
  });
});

describe('a path', () => {
  it('without a home in the environment has the one of the system', () => {
    expect(expandPath('~/x', {})).toMatch(/^\/.+\/x$|^\/x$/);
  });
});
