/** `rules`: what a rule names must exist. */
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeRules, type RulesResult, rulesCommand } from '../../server/src/cli/rules-command.ts';
import { loadConfig } from '../../server/src/config.ts';
import { openDatabase } from '../../server/src/jobs/database.ts';
import { TemplateService } from '../../server/src/templates/template-service.ts';
import { compose } from '../../server/src/wiring/composition.ts';
import { templateOf } from '../support/template.ts';

let folder: string;
let database: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rules-command-'));
  database = join(folder, 'database');
});
afterEach(() => rm(folder, { recursive: true }));

const RULE = { name: 'skin', match: {}, template: 'he-pink-violet' };

async function check(...rules: object[]): Promise<RulesResult> {
  return checkWith({}, false, ...rules);
}

async function checkWith(
  settings: Record<string, string>,
  dryRun: boolean,
  ...rules: object[]
): Promise<RulesResult> {
  const file = join(folder, 'rules.json');
  await writeFile(file, JSON.stringify({ rules }));
  await using composition = compose(
    loadConfig({
      env: {
        STAIN_RULES_FILE: file,
        STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
        STAIN_DATABASE_DIRECTORY: database,
        ...settings,
      },
    }),
  );
  return rulesCommand({ dryRun, days: 7 }, composition, new AbortController().signal);
}

/** As somebody makes a template in the viewer. */
async function makeTemplate(id: string): Promise<void> {
  const opened = await openDatabase({ directory: database, heartbeatSeconds: 30, onError() {} });
  const { limits } = loadConfig({ env: {} });
  const templates = await TemplateService.open({ database: opened, shipped: [], limits });
  await templates.add(templateOf(id), null, { id: null, isAdministrator: true }, false);
  await opened.close();
}

it('a dry run goes on after a series whose header cannot be read', async () => {
  const row = (uid: string, station: object = {}) => ({
    '0020000D': { vr: 'UI', Value: ['1.2'] },
    '0020000E': { vr: 'UI', Value: [uid] },
    ...station,
  });
  const named = { '00081010': { vr: 'SH', Value: ['scanner'] } };
  // What has been deleted since it was listed has no instances.
  const archive = createServer(({ url }, response) => {
    const found = url!.startsWith('/series') ? [row('1.2.3'), row('1.2.4', named)] : [];
    response.setHeader('Content-Type', 'application/dicom+json').end(JSON.stringify(found));
  }).listen(0, '127.0.0.1');
  await once(archive, 'listening');
  try {
    const { port } = archive.address() as AddressInfo;
    const settings = { STAIN_DICOMWEB_URL: `http://127.0.0.1:${port}` };
    const result = await checkWith(settings, true, { ...RULE, match: { StationName: 'scanner' } });
    expect(result.series).toMatchObject([
      { seriesInstanceUid: '1.2.3', rules: [], unread: 'SERIES_NOT_FOUND' },
      { seriesInstanceUid: '1.2.4', rules: ['skin'] },
    ]);
    expect(describeRules(result)).toContain('header cannot be read (SERIES_NOT_FOUND)');
  } finally {
    archive.close();
  }
});

it('calls rules valid whose templates and models exist', async () => {
  expect(describeRules(await check(RULE))).toContain('1 rules, all valid.');
});

it('names the rule whose template does not exist, and the templates', async () => {
  await expect(check(RULE, { ...RULE, name: 'other', template: 'he-pink-violett' })).rejects.toMatchObject({
    code: 'CONFIGURATION_INVALID',
    message: expect.stringMatching(
      /rule "other": there is no template "he-pink-violett".* there are: .*he-pink-violet/i,
    ),
  });
});

it('names the rule whose model does not exist, and the models', async () => {
  await expect(check({ ...RULE, outcome: 'store', model: 'fats' })).rejects.toMatchObject({
    code: 'CONFIGURATION_INVALID',
    message: expect.stringMatching(/rule "skin": there is no model "fats".* there are: .*fast/i),
  });
});

it('knows the templates of the service', async () => {
  await makeTemplate('made-in-viewer');
  const rules = ['made-in-viewer', 'removed'].map((template) => ({ ...RULE, name: template, template }));
  await expect(check(...rules)).rejects.toThrow(
    /rule "removed": there is no template "removed".*made-in-viewer/,
  );
});

it('says what it cannot check while a service has the database open', async () => {
  await mkdir(database);
  await writeFile(`${database}.lock`, String(process.ppid));
  const said = describeRules(await check(RULE, { ...RULE, name: 'other', template: 'made-in-viewer' }));
  expect(said).not.toContain('all valid');
  expect(said).toMatch(/template "made-in-viewer" of rule "other".*GET \/api\/rules/);
});

it('misses the acceptances without which a service does not start', async () => {
  await expect(checkWith({ STAIN_RULES_ACCEPTANCE: join(folder, 'missing') }, false, RULE)).rejects.toThrow(
    /rules.acceptance: the file or folder cannot be read/,
  );
});
