/** Which series is meant where nobody named one. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import { loadConfig } from '../../server/src/config.ts';
import { MANUFACTURER, MODEL_NAME } from '../../server/src/derived/equipment.ts';
import { openArchiveLocation } from '../../server/src/wiring/archive-location.ts';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { copySample } from '../support/copy-slide.ts';

const signal = new AbortController().signal;
const slide = await copySample('a slide', [3], () => ({}));
const result = await copySample('its result', [3], () => ({
  Manufacturer: MANUFACTURER,
  ManufacturerModelName: MODEL_NAME,
}));

async function chosen(files: readonly Uint8Array[], wanted = {}) {
  await using folder = await temporaryFolder();
  const root = folder.file('slides');
  await mkdir(root);
  for (const [i, file] of files.entries()) await writeFile(join(root, `${i}.dcm`), file);
  await using source = await openArchiveLocation(root, loadConfig({ env: {} }), { create: false });
  return await chooseSeries(source, wanted, signal);
}

it('a result beside its slide is no other slide', async () => {
  const { studyInstanceUid, seriesInstanceUid } = slide;
  expect(await chosen([...slide.files, ...result.files])).toMatchObject({
    studyInstanceUid,
    seriesInstanceUid,
  });
});

it('a result is chosen if it is alone, or named', async () => {
  const { studyInstanceUid, seriesInstanceUid } = result;
  expect(await chosen(result.files)).toMatchObject({ studyInstanceUid, seriesInstanceUid });
  expect(await chosen([...slide.files, ...result.files], { series: seriesInstanceUid })).toMatchObject({
    seriesInstanceUid,
  });
});

it('of two slides none is chosen', async () => {
  const other = await copySample('another slide', [3], () => ({}));
  await expect(chosen([...slide.files, ...other.files, ...result.files])).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    data: { series: [expect.anything(), expect.anything()] },
  });
});
