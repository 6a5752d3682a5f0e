/**
 * Names those who write files, so that another page, or the same one after a reload, knows whether what it
 * finds unfinished is still being written. A page or worker holds a lock for as long as it lives.
 */
let page: Promise<string> | null = null;
let count = 0;
const inUse = new Set<string>();

const lockName = (id: string): string => `dawngrad writer ${id}`;

/** Not all browsers have locks; those that keep files have. */
const locks = (): LockManager | undefined => globalThis.navigator?.locks;

function takeLock(): Promise<string> {
  const id = crypto.randomUUID().slice(0, 8);
  return new Promise((resolve) => {
    const manager = locks();
    if (manager === undefined) return resolve(id);
    const forever = new Promise<never>(() => {});
    manager
      .request(lockName(id), () => {
        resolve(id);
        return forever;
      })
      // In a sandboxed frame, which keeps no files either.
      .catch(() => resolve(id));
  });
}

/** A new writer's name. Call `end` when all is written. */
export async function begin(): Promise<string> {
  page ??= takeLock();
  count += 1;
  const writer = `${await page}-${count}`;
  inUse.add(writer);
  return writer;
}

export function end(writer: string): void {
  inUse.delete(writer);
}

/** Whether a writer is gone for good. */
export async function isAbandoned(writer: string): Promise<boolean> {
  if (inUse.has(writer)) return false;
  const [id] = writer.split('-');
  if (page !== null && id === (await page)) return true;
  const { held = [] } = (await locks()?.query()) ?? {};
  return !held.some(({ name }) => name === lockName(id!));
}
