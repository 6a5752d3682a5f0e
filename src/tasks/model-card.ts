/** The model card that goes with a fine-tuned model: `README.md` as the hub reads it. */
import { namesOf } from '../models/common/class-names.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { snakeCase } from '../options.ts';
import { SetFitModel } from '../sentence/setfit.ts';
import { argumentNames, argumentTable, type TrainingArguments } from '../train/arguments.ts';
import { isTiming, type Metrics } from '../train/metrics.ts';

export interface CardContent {
  /** Of the model, for people. */
  name: string;
  /** The task, as the hub calls it. */
  task: string;
  model: PreTrainedModel;
  /** Hub id of the checkpoint that the training began with; null if it has none. */
  base: string | null;
  /** Hub id of the data set that the model was trained on; null for files. */
  dataset: string | null;
  args: TrainingArguments;
  /** Examples that were trained on: how many, what they are called, and the name of their file. */
  train: { count: number; things: string; file: string };
  /** Scores on other examples; null without. */
  scores: { metrics: Metrics; file: string; count: number } | null;
}

/** The first line of the text, by which a card of this engine is known. */
export const CARD_MARK = '<!-- written by dawngrad; change it and delete this line to keep your text -->';

/** YAML reads JSON's strings. */
const yaml = (text: string): string => JSON.stringify(text);

/** Scores by name, without times; the loss first. */
function scoreEntries(metrics: Metrics): [string, number][] {
  return Object.entries(metrics).flatMap(([name, value]): [string, number][] => {
    const score = name.replace(/^eval_/, '');
    return typeof value === 'number' && !isTiming(score) ? [[score, value]] : [];
  });
}

function frontMatter({ name, task, model, base, dataset, scores }: CardContent): string[] {
  const found = scores === null ? [] : scoreEntries(scores.metrics).filter(([score]) => score !== 'loss');
  const index =
    scores === null || found.length === 0
      ? []
      : [
          'metrics:',
          ...found.map(([score]) => `- ${yaml(score)}`),
          'model-index:',
          `- name: ${yaml(name)}`,
          '  results:',
          '  - task:',
          `      type: ${task}`,
          '    dataset:',
          `      name: ${yaml(scores.file)}`,
          `      type: ${yaml(scores.file)}`,
          '    metrics:',
          ...found.flatMap(([score, value]) => [`    - type: ${yaml(score)}`, `      value: ${value}`]),
        ];
  return [
    '---',
    `library_name: ${task === 'sentence-similarity' || model instanceof SetFitModel ? 'sentence-transformers' : 'transformers'}`,
    `pipeline_tag: ${task}`,
    ...(base === null ? [] : [`base_model: ${yaml(base)}`]),
    ...(dataset === null ? [] : ['datasets:', `- ${yaml(dataset)}`]),
    'tags:',
    '- dawngrad',
    ...index,
    '---',
  ];
}

/** Arguments that are told whatever they are; others if they were changed and say how a model learns. */
const told: readonly (keyof TrainingArguments)[] = [
  'optim',
  'learningRate',
  'perDeviceTrainBatchSize',
  'gradientAccumulationSteps',
  'numTrainEpochs',
  'lrSchedulerType',
  'warmupSteps',
  'weightDecay',
  'maxGradNorm',
  'fp16',
  'freezeEncoderEpochs',
  'unfreezeLayersPerEpoch',
  'seed',
];

function settings(args: TrainingArguments): string[] {
  const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  const changed = argumentNames.filter(
    (name) =>
      !told.includes(name) &&
      argumentTable[name].resume !== 'free' &&
      shown(args[name]) !== shown(argumentTable[name].default),
  );
  const rows = [...told, ...changed].map((name) => `| ${snakeCase(name)} | ${shown(args[name])} |`);
  return ['| argument | value |', '| --- | --- |', ...rows];
}

/** Tasks that Python's and transformers.js' pipelines know. */
const piped = ['text-classification', 'token-classification', 'question-answering', 'fill-mask'];

function loading({ task, model }: CardContent, folder: string): string[] {
  if (model instanceof SetFitModel)
    return [
      'The last module gives a number for each class, of which the largest is the answer:',
      '',
      '```python',
      'from sentence_transformers import SentenceTransformer',
      `classes = ${JSON.stringify(namesOf(model.config))}`,
      `[logits] = SentenceTransformer("${folder}").encode(["a text"])`,
      'print(classes[logits.argmax()])',
      '```',
      '',
      '```js',
      "import { SetFitModel } from 'dawngrad';",
      `const model = await SetFitModel.fromPretrained('${folder}');`,
      "const [answer] = await model.predict(['a text']);",
      '```',
    ];
  if (task === 'sentence-similarity')
    return [
      '```python',
      'from sentence_transformers import SentenceTransformer',
      `vectors = SentenceTransformer("${folder}").encode(["a text"])`,
      '```',
      '',
      '```js',
      "import { SentenceTransformer } from 'dawngrad';",
      `const model = await SentenceTransformer.fromPretrained('${folder}');`,
      "const vectors = await model.encode(['a text']);",
      '```',
    ];
  const Auto = `AutoModel${model.architecture.slice(model.architecture.search(/For|$/))}`;
  const python = piped.includes(task)
    ? ['from transformers import pipeline', `pipe = pipeline("${task}", "${folder}")`]
    : [
        `from transformers import ${Auto}, AutoTokenizer`,
        `model = ${Auto}.from_pretrained("${folder}")`,
        `tokenizer = AutoTokenizer.from_pretrained("${folder}")`,
      ];
  const javascript = [
    `import { ${Auto}, AutoTokenizer } from 'dawngrad';`,
    `const model = await ${Auto}.fromPretrained('${folder}');`,
    `const tokenizer = await AutoTokenizer.fromPretrained('${folder}');`,
  ];
  const onnx = [
    `After \`npx dawngrad export --onnx ${folder}\`, transformers.js runs it too:`,
    '',
    '```js',
    "import { pipeline } from '@huggingface/transformers';",
    `const pipe = await pipeline('${task}', '${folder}', { dtype: 'fp32' });`,
    '```',
    '',
  ];
  return [
    '```python',
    ...python,
    '```',
    '',
    '```js',
    ...javascript,
    '```',
    '',
    ...(piped.includes(task) ? onnx : []),
  ];
}

/** The card's text, in Markdown with YAML before it. */
export function modelCard(content: CardContent): string {
  const { name, task, model, base, args, train, scores } = content;
  const origin = base === null ? '' : ` from [${base}](https://huggingface.co/${base})`;
  const fewShot = model instanceof SetFitModel;
  const classes = model.classLayer === null && !fewShot ? [] : namesOf(model.config);
  const table =
    scores === null
      ? ['The model was not evaluated.']
      : [
          `On ${scores.count} ${train.things} of \`${scores.file}\`:`,
          '',
          '| metric | value |',
          '| --- | --- |',
          ...scoreEntries(scores.metrics).map(
            ([score, value]) => `| ${score} | ${Number(value.toPrecision(5))} |`,
          ),
        ];
  const lines = [
    ...frontMatter(content),
    '',
    CARD_MARK,
    '',
    `# ${name}`,
    '',
    `${model.architecture} for ${task}${fewShot ? ' (few-shot, as SetFit)' : ''}, fine-tuned${origin} on ${train.count} ${train.things} of`,
    `\`${train.file}\` with dawngrad.`,
    '',
    ...(classes.length === 0 ? [] : [`Classes: ${classes.map((one) => `\`${one}\``).join(', ')}`, '']),
    '## Scores',
    '',
    ...table,
    '',
    '## Settings',
    '',
    'Names and meanings are those of transformers.',
    '',
    ...settings(args),
    '',
    '## Use',
    '',
    ...loading(content, name),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}
