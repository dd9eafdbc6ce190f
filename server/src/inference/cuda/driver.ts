/** What the kernel module of the NVIDIA driver reports: its version and the cards. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Driver {
  /** Such as "580.82.07"; undefined if no driver is loaded, or a container does not see it. */
  readonly version: string | undefined;
  /** Names of the cards. */
  readonly cards: readonly string[];
}

/** @param folder where the kernel module publishes its state */
export async function readDriver(folder = '/proc/driver/nvidia'): Promise<Driver> {
  const text = await readFile(join(folder, 'version'), 'utf8').catch(() => '');
  const cards = await readdir(join(folder, 'gpus')).catch(() => []);
  const names = await Promise.all(
    cards.map(async (card) => {
      const facts = await readFile(join(folder, 'gpus', card, 'information'), 'utf8').catch(() => '');
      return /^Model:\s*(.+)$/m.exec(facts)?.[1]?.trim() ?? card;
    }),
  );
  // "... x86_64 Kernel Module  580.82.07  Wed ..." or "... Open Kernel Module for x86_64  580.82.07  Release ..."
  const start = text.indexOf('Kernel Module');
  const version = start < 0 ? undefined : /\s(\d{1,9}\.[\d.]+)/.exec(text.slice(start))?.[1];
  return { version, cards: names };
}
