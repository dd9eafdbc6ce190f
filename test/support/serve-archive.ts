/** The embedded archive on a free port, over a folder of its own. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { type Archive, type ArchiveOptions, createArchive } from '../../server/src/archive/archive.ts';
import { createTemporarySpool } from '../../server/src/spool/spool.ts';

export interface ServedArchive extends AsyncDisposable {
  readonly archive: Archive;
  readonly folder: string;
  /** Folder for inflated files. */
  readonly spool: string;
  /** Root of its DICOMweb service. */
  readonly url: string;
}

export async function serveArchive(options: Partial<ArchiveOptions> = {}): Promise<ServedArchive> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'archive-test-')));
  const spool = await mkdtemp(join(tmpdir(), 'archive-test-spool-'));
  const archive = await createArchive({
    maxInstanceBytes: 2e9,
    makeFolder: () => createTemporarySpool({ directory: spool }),
    ...options,
    folder,
  });
  const server = express().use('/dicom-web', archive.router).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    archive,
    folder,
    spool,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/dicom-web`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await archive.close();
      await rm(spool, { recursive: true });
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}
