/** Families: each is complete, published, and named in its own file alone. */
import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import * as dawngrad from '../../src/index.ts';
import { families, modelTypes } from '../../src/models/registry.ts';

describe.each(families.map((family) => [family.modelType, family] as const))('%s', (_, { Model, tasks }) => {
  it("has transformers' class names, all of them exported", () => {
    const name = Model.name.replace(/Model$/, '');
    const classes = [Model, ...Object.values(tasks)];
    expect(classes.map((each) => each.name)).toEqual([
      `${name}Model`,
      `${name}ForSequenceClassification`,
      `${name}ForTokenClassification`,
      `${name}ForQuestionAnswering`,
      `${name}ForMaskedLM`,
      `${name}ForMultipleChoice`,
      ...('preTraining' in tasks ? [`${name}ForPreTraining`] : []),
    ]);
    for (const each of classes) expect(dawngrad, each.name).toHaveProperty(each.name, each);
  });
});

it('the common parts name no family', async () => {
  const folder = new URL('../../src/models/common/', import.meta.url);
  const names = new RegExp(modelTypes.join('|').replaceAll('-', '-?'), 'i');
  for (const file of await readdir(folder))
    expect(await readFile(new URL(file, folder), 'utf8'), file).not.toMatch(names);
});
