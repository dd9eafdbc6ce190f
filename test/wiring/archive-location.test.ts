/** A folder that the command line serves to itself. */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it, vi } from 'vitest';
import { loadConfig } from '../../server/src/config.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { openArchiveLocation } from '../../server/src/wiring/archive-location.ts';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { repository } from '../support/peers.ts';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

it('reports a slide whose files have disappeared as an error, without a stack on the terminal', async () => {
  // Outside of tests, express prints unhandled errors.
  vi.stubEnv('NODE_ENV', 'production');
  const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
  await using folder = await temporaryFolder();
  const slide = folder.file('slide');
  await cp(join(repository, 'scripts/sample'), slide, { recursive: true });
  {
    await using archive = await openArchiveLocation(slide, loadConfig({ env: {} }), { create: false });
    const signal = AbortSignal.timeout(30_000);
    const [series] = await archive.client.searchSeries({}, signal);
    const [study, uid] = ['0020000D', '0020000E'].map((tag) => textOf(series!, tag)!);
    await rm(slide, { recursive: true });
    await expect(archive.client.seriesMetadata(study!, uid!, signal)).rejects.toMatchObject({
      code: 'SERIES_NOT_FOUND',
    });
  }
  // Once the server is closed nothing more is printed.
  expect(printed).not.toHaveBeenCalled();
});

it('names the archives of the configuration if a name is mistyped', async () => {
  const config = loadConfig({ env: { STAIN_ARCHIVES: '{"research": {"url": "https://research.example"}}' } });
  await expect(openArchiveLocation('reserach', config, { create: false })).rejects.toThrow(
    '"reserach" is neither a folder, an http(s) URL nor an archive of the configuration (default, research).',
  );
});

it('asks for the folder if a file is named', async () => {
  const file = fileURLToPath(import.meta.url);
  await expect(openArchiveLocation(file, loadConfig({ env: {} }), { create: false })).rejects.toThrow(
    /is a file; name the folder with all files of the slide\.$/,
  );
});
