/** `dawngrad push`, and the options by which a training pushes its model to the hub. */
import type { Command } from 'commander';
import { DawngradError, UsageError } from '../errors.ts';
import { pushFolder, pushTarget } from '../models/files/push.ts';
import { baseName } from './card.ts';
import { inCommandNames } from './names.ts';
import { shellCommand } from './options.ts';

/** transformers' names. */
export interface PushCommandOptions {
  hubToken?: string;
  hubPrivateRepo?: boolean;
}

export interface TrainingPushOptions extends PushCommandOptions {
  pushToHub?: string | true;
  hubModelId?: string;
}

function addAccess(command: Command): Command {
  return command
    .option('--hub-token <token>', 'token that may write (default: HF_TOKEN, or that of a log-in)')
    .option('--hub-private-repo', 'make the repository private, if it is new');
}

export function addPushOptions(command: Command): Command {
  return addAccess(
    command
      .option(
        '--push-to-hub [owner/name]',
        'push the finished model to the hub (default: named as the output folder)',
      )
      .option('--hub-model-id <owner/name>', 'where to push to'),
  );
}

const accessOf = ({ hubToken }: PushCommandOptions) => (hubToken === undefined ? {} : { token: hubToken });

/**
 * The id that a training is to be pushed to, or null. Throws as `pushTarget` does, so that a push which
 * cannot succeed is known before the training, and `UsageError` for options without a push.
 */
export async function trainingTarget(options: TrainingPushOptions, output: string): Promise<string | null> {
  const { pushToHub, hubModelId, hubToken, hubPrivateRepo } = options;
  if (pushToHub === undefined) {
    const others = {
      '--hub-model-id': hubModelId,
      '--hub-token': hubToken,
      '--hub-private-repo': hubPrivateRepo,
    };
    for (const [name, value] of Object.entries(others))
      if (value !== undefined)
        throw new UsageError(`${name}: nothing is pushed`, { remedy: 'pass --push-to-hub too' });
    return null;
  }
  if (pushToHub !== true && hubModelId !== undefined && pushToHub !== hubModelId)
    throw new UsageError(`there are --push-to-hub ${pushToHub} and --hub-model-id ${hubModelId}`, {
      remedy: 'name the model once',
    });
  const id = hubModelId ?? (pushToHub === true ? baseName(output) : pushToHub);
  return pushTarget(id, accessOf(options));
}

async function push(folder: string, id: string, options: PushCommandOptions): Promise<void> {
  console.error(`pushing '${folder}' to ${id}`);
  const { url } = await pushFolder(folder, id, {
    ...accessOf(options),
    ...(options.hubPrivateRepo === true && { private: true }),
  });
  console.log(`pushed to ${url}`);
}

/** Pushes a finished training. If that fails, says how to push it again and sets the exit code. */
export async function pushTraining(folder: string, id: string, options: PushCommandOptions): Promise<void> {
  try {
    await push(folder, id, options);
  } catch (error) {
    if (!(error instanceof DawngradError)) throw error;
    const again = ['push', folder, id, ...(options.hubPrivateRepo === true ? ['--hub-private-repo'] : [])];
    console.error(
      `error: ${inCommandNames(error.message)}\nthe model is in '${folder}'; push it again with:\n\n  ${shellCommand(again)}\n`,
    );
    process.exitCode = 1;
  }
}

export function addPush(program: Command): void {
  const command = program
    .command('push')
    .description("push a model's folder to the hub, without the checkpoints of its training")
    .argument('<folder>', 'folder of the model')
    .argument('[owner/name]', 'where to push to (default: named as the folder)');
  addAccess(command).action((folder: string, id: string | undefined, options: PushCommandOptions) =>
    push(folder, id ?? baseName(folder), options),
  );
}
