/**
 * Reads the only slide of a folder as the service does: by its metadata, its header, and the header of its derived
 * image. Runs as a separate process with a limited heap, and prints what it found.
 */

import { loadConfig } from '../../server/src/config.ts';
import { deriveLevel } from '../../server/src/derived/derived-series.ts';
import { writeDataSet } from '../../server/src/dicom/dataset-writer.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { dicomJsonPieces } from '../../server/src/dicom/to-json.ts';
import { inspectSeries } from '../../server/src/pipeline/inspect-series.ts';
import { describeSlide } from '../../server/src/slide/describe.ts';
import { openArchiveLocation } from '../../server/src/wiring/archive-location.ts';
import { record } from '../derived/derive-for-tests.ts';

const config = loadConfig({ env: {} });
const { signal } = new AbortController();
await using archive = await openArchiveLocation(process.argv[2]!, config, { create: false });
const source = archive.client;
const [found] = await source.searchSeries({}, signal);
const studyInstanceUid = textOf(found!, '0020000D')!;
const seriesInstanceUid = textOf(found!, '0020000E')!;
const access = { source, limits: config.limits };
const slide = await inspectSeries({ studyInstanceUid, seriesInstanceUid }, access, signal);
const { sopInstanceUid } = slide.levels[0]!.instances[0]!;
const listed = slide.levels[0]!.frames.length;
const header = await source.retrieveHeader(studyInstanceUid, seriesInstanceUid, sopInstanceUid, signal);
const level = describeSlide([header.dataSet], config.limits).levels[0]!;
const derived = deriveLevel({
  level,
  derivation: record(),
  instanceNumber: 1,
  sopInstanceUid,
  lossyRatio: 1,
  sourceIsLossy: true,
});
let characters = 0;
for (const piece of dicomJsonPieces(derived)) characters += piece.length;
console.log(
  JSON.stringify({ listed, described: level.frames.length, characters, bytes: writeDataSet(derived).length }),
);
