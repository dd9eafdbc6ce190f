/** `rules`: what a rule names must exist. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
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
  return checkWith({}, ...rules);
}

async function checkWith(settings: Record<string, string>, ...rules: object[]): Promise<RulesResult> {
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
  return rulesCommand({ dryRun: false, days: 7 }, composition, new AbortController().signal);
}

/** As somebody makes a template in the viewer. */
async function makeTemplate(id: string): Promise<void> {
  const opened = await openDatabase({ directory: database, heartbeatSeconds: 30, onError() {} });
  const { limits } = loadConfig({ env: {} });
  const templates = await TemplateService.open({ database: opened, shipped: [], limits });
  await templates.add(templateOf(id), null, { id: null, isAdministrator: true }, false);
  await opened.close();
}

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
  await expect(checkWith({ STAIN_RULES_ACCEPTANCE: join(folder, 'missing') }, RULE)).rejects.toThrow(
    /rules.acceptance: the file or folder cannot be read/,
  );
});
