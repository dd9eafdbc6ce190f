import { expect, it, vi } from 'vitest';
import { loadConfig } from '../../server/src/config.ts';
import { compose } from '../../server/src/wiring/composition.ts';

/** Names of this host, as modules request them that are loaded before this file runs. */
const host = vi.hoisted(() => ({ name: '' }));
vi.mock('node:os', async (original) => ({ ...(await original<object>()), hostname: () => host.name }));

/** Device Serial Number of results made on this host for this archive. */
async function serialNumber(on: string, url?: string): Promise<string> {
  host.name = on;
  await using composition = compose(
    loadConfig({ env: url === undefined ? {} : { STAIN_DICOMWEB_URL: url } }),
  );
  return composition.environment({ source: undefined!, destination: undefined! }).deviceSerialNumber;
}

it('workers on different hosts are one device for an archive, whatever its password', async () => {
  const url = 'https://pacs.example/dicom-web';
  const first = await serialNumber('worker-1', url);
  expect(await serialNumber('worker-2', url)).toBe(first);
  expect(await serialNumber('worker-2', 'https://stain:other@pacs.example/dicom-web')).toBe(first);
  expect(await serialNumber('worker-2', 'https://pacs.example/research/dicom-web')).not.toBe(first);
  expect(first).toMatch(/^[0-9a-f]{16}$/);
});

it('with an embedded archive each host is a device', async () => {
  expect(await serialNumber('one')).not.toBe(await serialNumber('two'));
});
