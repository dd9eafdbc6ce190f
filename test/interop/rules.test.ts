/** Rules of a whole service over real archives: slides arrive, some in parts, and nobody asks for anything. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { RulesResult } from '../../server/src/cli/rules-command.ts';
import { ARCHIVES } from '../faults/archives.ts';
import { orthancMissing, startOrthanc } from '../support/orthanc.ts';
import { repository } from '../support/peers.ts';
import { startRulesSite, TODAY, wholeSlide } from '../support/rules-site.ts';

const TEMPLATE = 'he-pink-violet';
const RULES = [
  { name: 'shown', match: { StationName: 'SCANNER-1', StudyDate: '20200101-' }, template: TEMPLATE },
  {
    name: 'stored',
    match: { StationName: 'SCANNER-*', InstitutionalDepartmentName: 'Dermatology' },
    template: TEMPLATE,
    outcome: 'store',
  },
];
const slide = (name: string, station: string, levels: readonly number[], department = 'Surgery') =>
  wholeSlide(name, levels, {
    StudyDate: TODAY,
    StationName: station,
    InstitutionalDepartmentName: department,
  });

describe.each(ARCHIVES)('rules over $name', ({ missing, start }) => {
  it.skipIf(missing)('take up what matches, once, and leave the rest alone', async () => {
    await using archive = await start();
    const old = await slide('rules old', 'SCANNER-1', [3]);
    await archive.put(old.files);
    await using site = await startRulesSite(archive.url, RULES);
    await expect.poll(async () => (await site.rules()).search.isSurveyed, { timeout: 60_000 }).toBe(true);

    const fitted = await slide('rules fitted', 'SCANNER-1', [3]);
    const stored = await slide('rules stored', 'SCANNER-2', [2, 3], 'Dermatology');
    const other = await slide('rules other', 'SCANNER-3', [3]);
    // The coarser level first: without the base level it is no slide yet.
    await archive.put([...fitted.files, stored.files[1]!, ...other.files]);
    await site.untilCounts('shown', { FITTED: 1 });
    await archive.put([stored.files[0]!]);
    await site.untilCounts('stored', { COMPLETED: 1 });

    // Nothing more comes of what was made, though a search that counted its parts on their way looks at it again.
    await site.searched();
    await site.untilCounts('stored', { COMPLETED: 1 });
    expect((await site.rules()).rules.map(({ counts }) => counts)).toEqual([{ FITTED: 1 }, { COMPLETED: 1 }]);
    expect(await site.derived(stored)).toHaveLength(1);
    for (const one of [old, fitted, other]) expect(await site.derived(one)).toEqual([]);
    const [line] = await site.series('stored');
    expect(line).toMatchObject({ seriesInstanceUid: stored.seriesInstanceUid, state: 'COMPLETED' });
    const job = (await (await site.get(`/api/normalizations/${line!.job}`)).json()) as {
      result: { instances: unknown[] };
    };
    expect(job.result.instances).toHaveLength(2);

    // The fit is there: the normalised archive lists the slide.
    const listed = await site.get(
      `/normalized/${TEMPLATE}/dicom-web/studies/${fitted.studyInstanceUid}/series`,
    );
    expect(await listed.json()).toHaveLength(1);
    const metrics = await (await site.get('/metrics')).text();
    expect(metrics).toContain('stain_rule_series{rule="stored",state="COMPLETED"} 1');
    expect(metrics).toContain('stain_rule_series_seen_total{rule="shown"} 1');
    expect(metrics).toContain('stain_rule_series_done_total{rule="shown",outcome="refused"} 0');
    expect(metrics).toMatch(/^stain_rules_sweep_age_seconds \d/m);

    // Dry: what is there, with the reason why the rest would not be taken up.
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [join(repository, 'server/src/main.ts'), '--json', 'rules', '--dry-run'],
      { env: { ...process.env, ...site.environment, STAIN_DEVICE: 'cpu' } },
    );
    const { series } = JSON.parse(stdout) as RulesResult;
    const dry = (uid: string) => series!.find(({ seriesInstanceUid }) => seriesInstanceUid === uid);
    expect(series).toHaveLength(4);
    expect(dry(stored.seriesInstanceUid)).toMatchObject({
      rules: ['stored'],
      differs: { shown: 'StationName' },
    });
    expect(dry(fitted.seriesInstanceUid)).toMatchObject({
      rules: ['shown'],
      differs: { stored: 'InstitutionalDepartmentName' },
    });
    expect(dry(other.seriesInstanceUid)).toMatchObject({ rules: [] });
  });
});

it.skipIf(orthancMissing)("Orthanc's changes name what no search by date would find", async () => {
  await using orthanc = await startOrthanc();
  await using site = await startRulesSite(orthanc.url, [{ name: 'all', match: {}, template: TEMPLATE }], {
    STAIN_RULES_ORTHANC_URL: orthanc.url.replace('/dicom-web', ''),
  });
  await expect.poll(async () => (await site.rules()).search.isSurveyed, { timeout: 60_000 }).toBe(true);
  const ancient = await wholeSlide('rules ancient', [3], { StudyDate: '19990101' });
  for (const body of ancient.files)
    await fetch(`${orthanc.url.replace('/dicom-web', '')}/instances`, {
      method: 'POST',
      body: new Uint8Array(body),
    });
  await site.untilCounts('all', { FITTED: 1 });
});

it.skipIf(orthancMissing)('an address that is no Orthanc is reported, and searches go on', async () => {
  await using orthanc = await startOrthanc();
  await using site = await startRulesSite(orthanc.url, [{ name: 'all', match: {}, template: TEMPLATE }], {
    STAIN_RULES_ORTHANC_URL: `${orthanc.url}/nothing`,
  });
  await expect
    .poll(async () => (await site.rules()).search.code, { timeout: 60_000 })
    .toBe('ARCHIVE_PROTOCOL');
});
