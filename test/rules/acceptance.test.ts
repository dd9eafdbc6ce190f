/** From a slide that a rule holds back to the signature that lets it go, with a whole service and the command line. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { repository } from '../support/peers.ts';
import { startRulesSite, TODAY, wholeSlide } from '../support/rules-site.ts';

const TEMPLATE = 'he-pink-violet';
const REASON = 'validation study 12';

it('a scanner is accepted, and its slides are taken up', { timeout: 300_000 }, async () => {
  await using cleanup = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'rules-acceptance-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  const [slides, signed, trail] = ['slides', 'signed', 'audit.ndjson'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const made of [slides, signed]) await mkdir(made);
  const site = cleanup.use(
    await startRulesSite(
      // The service reads a folder itself; nobody asks this address.
      'http://localhost/dicom-web',
      [
        { name: 'routine', match: { ManufacturerModelName: 'Alpha' }, template: TEMPLATE },
        { name: 'study', match: { StationName: 'LAB' }, template: TEMPLATE, withoutAcceptance: REASON },
      ],
      {
        STAIN_DICOMWEB_URL: '',
        STAIN_ARCHIVE_FOLDER: slides,
        STAIN_RULES_ACCEPTANCE: signed,
        STAIN_AUDIT_FILE: trail,
      },
    ),
  );
  await expect.poll(async () => (await site.rules()).search.isSurveyed, { timeout: 60_000 }).toBe(true);
  const { files } = await wholeSlide('accepted', [3], {
    StudyDate: TODAY,
    StationName: 'LAB',
    Manufacturer: 'Maker',
    ManufacturerModelName: 'Alpha',
    DeviceSerialNumber: '1',
    SoftwareVersions: ['2.0', '1.0'],
  });
  await writeFile(join(slides, 'slide.dcm'), files[0]!);

  await site.untilCounts('study', { FITTED: 1 });
  await site.untilCounts('routine', { WAITING: 1 });
  expect(await site.series('routine')).toMatchObject([{ state: 'WAITING', code: 'SCANNER_NOT_ACCEPTED' }]);
  await site.searched();
  const [routine] = (await site.rules()).rules;
  expect(routine!.notAccepted).toEqual([
    { scanner: 'Maker Alpha, serial number 1, software 1.0, 2.0', series: 1 },
  ]);
  const page = await (await site.get('/api/rules.html')).text();
  expect(page).toContain('1 waits for an acceptance of Maker Alpha');
  expect(page).toContain(REASON);
  expect(await readFile(trail, 'utf8')).toMatch(
    new RegExp(`acceptance-overridden.*"value":"study".*${REASON}`),
  );

  const run = (...args: string[]) =>
    promisify(execFile)(
      process.execPath,
      [join(repository, 'server/src/main.ts'), '--device', 'cpu', 'acceptance', ...args],
      { env: { ...process.env, STAIN_SPOOL_DIRECTORY: join(folder, 'own-spool') } },
    );
  const made = join(folder, 'made');
  await run(slides, '--template', TEMPLATE, '--out', made);
  const file = join(made, 'acceptance.json');
  await copyFile(file, join(signed, 'unsigned.json'));
  await site.searched();
  expect(await site.series('routine')).toMatchObject([{ state: 'WAITING' }]);
  await run('sign', file, '--name', 'Dr. Example', '--role', 'pathologist', '--decision', 'accepted');
  await copyFile(file, join(signed, 'alpha.json'));
  await site.untilCounts('routine', { FITTED: 1 });
  expect((await site.rules()).acceptances).toMatchObject({
    decisions: [{ decision: 'accepted', name: 'Dr. Example', template: TEMPLATE }],
    invalid: [],
  });
});
