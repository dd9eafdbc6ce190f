/** A real service for benchmarks, in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Place } from './bench-run.ts';
import { START } from './start-product.ts';

export interface BenchService {
  readonly url: string;
  stop(): Promise<void>;
}

/** @param settings as environment variables, in addition to folders of its own */
export async function startService(
  place: Place,
  settings: Readonly<Record<string, string>>,
): Promise<BenchService> {
  const service = spawn(process.execPath, [...START, 'serve'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      STAIN_SERVER_PORT: '0',
      STAIN_VIEWER_ENABLED: 'false',
      STAIN_LOG_LEVEL: 'silent',
      STAIN_SPOOL_DIRECTORY: join(place.folder, 'serve-spool'),
      STAIN_DATABASE_DIRECTORY: join(place.folder, 'database'),
      STAIN_TEMPLATES_DIRECTORY: join(place.folder, 'templates'),
      ...settings,
    },
  });
  const url = await new Promise<string>((resolve, reject) => {
    let told = '';
    service.once('exit', () => reject(new Error(told)));
    service.stderr.on('data', (chunk) => {
      told += chunk;
      const found = /service\s+(http:\S+)/.exec(told)?.[1];
      if (found) resolve(found);
    });
  });
  return {
    url,
    async stop() {
      service.kill('SIGTERM');
      await once(service, 'exit');
    },
  };
}

/** A quantile. @param sorted ascending @param part 0 to 1 */
export function at(sorted: readonly number[], part: number): number {
  return sorted[Math.floor((sorted.length - 1) * part)]!;
}
