/** Writes the model card beside a fine-tuned model. */
import { platform } from '#platform';
import { CARD_MARK, type CardContent, modelCard } from '../tasks/model-card.ts';

const CARD_NAME = 'README.md';

export const baseName = (path: string): string => path.split(/[\\/]/).findLast((part) => part !== '') ?? path;

/** How a card calls data: splits of a data set as they are, files without their folder. */
export const shownName = (path: string, dataset: string | null): string =>
  dataset !== null && path.startsWith(`${dataset} (`) ? path : baseName(path);

/** The checkpoint's id on the hub; null if it is a folder, or not named. */
export async function hubId(model: string | undefined): Promise<string | null> {
  return model === undefined || (await platform.isFolder(model)) ? null : model;
}

/** Writes the card, unless somebody else's is there. `id`: where the model goes on the hub. */
export async function writeCard(
  output: string,
  id: string | null,
  content: Omit<CardContent, 'name'>,
): Promise<void> {
  const path = platform.joinPath(output, CARD_NAME);
  if ((await platform.exists(path)) && !(await platform.readText(path)).includes(CARD_MARK)) {
    console.error(`'${path}' is not this command's: it stays as it is`);
    return;
  }
  const text = modelCard({ ...content, name: id ?? baseName(output) });
  await platform.writeFolder(output, 'merge', (folder) => folder.writeText(CARD_NAME, text));
}
