/**
 * The main job on the sample slide, from nothing: an embedded archive with the sample, one normalisation over
 * DICOMweb, the derived series verified in the archive, a before/after picture, and the viewer on both.
 */

import { once } from 'node:events';
import { cp, mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { DEFAULT_MODEL } from '../core/src/contract/default-model.ts';
import { toStainError } from '../core/src/errors.ts';
import { type Raster, WHITE } from '../core/src/image/raster.ts';
import { DEFAULT_TRANSFER } from '../core/src/stain/transfer-name.ts';
import { describeOutcomes, isFailed, normalizeCommand } from '../server/src/cli/normalize-command.ts';
import { serveCommand } from '../server/src/cli/serve-command.ts';
import { type Config, loadConfig } from '../server/src/config.ts';
import { openSeries } from '../server/src/pipeline/open-series.ts';
import { ProgressTracker } from '../server/src/pipeline/progress.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { compose } from '../server/src/wiring/composition.ts';
import { readArguments } from './arguments.ts';
import { writeComparison } from './comparison-picture.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const sample = join(root, 'scripts/sample');
const output = join(root, 'demo-output');
const archive = join(output, 'archive');

const { values } = readArguments({
  usage: 'npm run demo --',
  about: `Normalises the sample slide over DICOMweb, verifies the derived series, writes demo-output/before-after.png and
opens the viewer on original and result.`,
  options: {
    template: {
      type: 'string',
      default: 'he-pink-violet',
      value: 'ID',
      help: 'template with the target stain; "npm run cli -- info" lists them',
    },
    once: { type: 'boolean', default: false, help: 'exit after the picture, without the viewer' },
  },
});
const signal = AbortSignal.timeout(30 * 60_000);

await rm(output, { recursive: true, force: true });
await mkdir(archive, { recursive: true });
await cp(sample, join(archive, 'sample'), { recursive: true, filter: (path) => !path.endsWith('.md') });

const config = loadConfig({ env: process.env });
const folders = {
  database: { directory: join(output, 'database') },
  spool: { ...config.spool, directory: join(output, 'spool') },
};
await using composition = compose({
  ...config,
  ...folders,
  server: { ...config.server, port: await portOrAny(config.server) },
  archive: { folder: archive, sample: false },
});
console.log('Sample slide: CMU-1-Small-Region (H&E, CC0), in an embedded DICOMweb archive.');
const arguments_ = {
  source: archive,
  destination: archive,
  template: values.template,
  model: DEFAULT_MODEL,
  transfer: DEFAULT_TRANSFER,
} as const;
// The sample has one slide.
const [result] = await normalizeCommand(arguments_, composition, signal).catch((error: unknown) => {
  const { code, message, remedy } = toStainError(error);
  console.error(`${code}: ${message}\n${remedy}`);
  process.exit(1);
});
if (!result || isFailed(result)) process.exit(1);
const { studyInstanceUid, seriesInstanceUid, sourceSeriesInstanceUid } = result;
console.log(describeOutcomes([result]));

const before = await overviewOf(sourceSeriesInstanceUid);
const after = await overviewOf(seriesInstanceUid);
const picture = join(output, 'before-after.png');
await writeComparison(picture, {
  original: before,
  normalized: after,
  template: await composition.templates.get(values.template),
});
console.log(`\nBefore and after: ${pathToFileURL(picture)}`);
console.log(`The archive with both series: ${archive}`);

if (!values.once) {
  const stop = new AbortController();
  for (const end of ['SIGINT', 'SIGTERM'] as const) process.once(end, () => stop.abort());
  await serveCommand(composition, stop.signal, (viewer) => {
    const comparison = `stain?StudyInstanceUIDs=${studyInstanceUid}&compare=${seriesInstanceUid}`;
    if (viewer) console.log(`\nOriginal and normalised, side by side: ${viewer}${comparison}`);
    console.log('Ctrl-C ends.');
  });
}

/** The configured port, or 0 for a free one if another program uses it, such as another service. */
async function portOrAny({ host, port }: Config['server']): Promise<number> {
  const probe = createServer().listen(port, host);
  try {
    await once(probe, 'listening');
    return port;
  } catch {
    return 0;
  } finally {
    probe.close();
  }
}

/** The slide at about 1000 pixels, read from the archive as any viewer does. */
async function overviewOf(series: string): Promise<Raster> {
  await using location = await openArchiveLocation(archive, composition.config, { create: false });
  const environment = composition.environment({ source: location.client, destination: location.client });
  const reference = { studyInstanceUid, seriesInstanceUid: series };
  await using open = await openSeries(reference, environment, new ProgressTracker(() => {}), signal);
  const pixels = open.base(WHITE);
  return pixels.read({ x: 0, y: 0, width: pixels.width, height: pixels.height }, signal);
}
