/** The archive as seen by an independent client: Python's dicomweb-client. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { python, runPython, sharedSlide } from '../support/peers.ts';
import { serveArchive } from '../support/serve-archive.ts';
import { storableSlide } from '../support/storable.ts';

const SCRIPT = 'archive-python-client.py';
const highdicom = sharedSlide('highdicom_sm_image.dcm');

describe("the archive through Python's dicomweb-client", () => {
  it.skipIf(python.missing)(`stores and reads a compressed slide${python.note}`, async () => {
    await using archive = await serveArchive();
    const slide = storableSlide('python');
    const path = join(archive.folder, '.sent.dcm');
    await writeFile(path, slide.bytes);
    expect(await runPython(SCRIPT, archive.url, path, String(slide.frames.length))).toBe('ok\n');
  });

  it.skipIf(python.missing || highdicom.missing)(
    `stores and reads a slide made by highdicom${python.note}${highdicom.note}`,
    async () => {
      await using archive = await serveArchive();
      expect(await runPython(SCRIPT, archive.url, highdicom.path, '25')).toBe('ok\n');
    },
  );
});
