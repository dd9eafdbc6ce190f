/** Templates as files, as the command line keeps them. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Template } from '../../core/src/stain/template-document.ts';
import { createTemplateFolder, type TemplateFolder } from '../../server/src/templates/template-folder.ts';
import { templateOf } from '../support/template.ts';

let root: string;
let folder: TemplateFolder;
const ignored: string[] = [];
const write = (place: string, template: Template) =>
  writeFile(join(root, place, `${template.id}.json`), JSON.stringify(template));

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'stain-template-folder-'));
  await mkdir(join(root, 'shipped'));
  await mkdir(join(root, 'own'));
  await write('shipped', templateOf('he', 0));
  await write('own', templateOf('he', 1, { name: 'A shadow' }));
  folder = createTemplateFolder({
    shipped: join(root, 'shipped'),
    own: join(root, 'own'),
    onIgnored: (file, why) => void ignored.push(file, why),
  });
});
afterAll(() => rm(root, { recursive: true }));

it('a file that would hide a template of the product is ignored, and reported', async () => {
  expect((await folder.list()).map(({ name }) => name)).toEqual(['Template he']);
  expect((await folder.get('he')).classes).toEqual(templateOf('he').classes);
  expect(ignored.slice(0, 2)).toEqual([
    join(root, 'own', 'he.json'),
    expect.stringContaining('template "he" comes with the product'),
  ]);
  for (const replace of [false, true])
    await expect(folder.add(templateOf('he', 2), { replace })).rejects.toMatchObject({
      code: 'TEMPLATE_SHIPPED',
    });
});

it('a file that changes meanwhile is not used for a job that began with other content', async () => {
  await folder.add(templateOf('lab', 3), { replace: false });
  const { sha256 } = await folder.version('lab');
  expect(await folder.version('lab', sha256)).toMatchObject({ id: 'lab', sha256 });
  await expect(folder.add(templateOf('lab', 4), { replace: false })).rejects.toMatchObject({
    code: 'TEMPLATE_EXISTS',
  });
  await folder.add(templateOf('lab', 4), { replace: true });
  await expect(folder.version('lab', sha256)).rejects.toMatchObject({ code: 'TEMPLATE_CHANGED' });
  await expect(folder.version('nowhere')).rejects.toMatchObject({ code: 'TEMPLATE_NOT_FOUND' });
  expect((await readdir(join(root, 'own'))).toSorted()).toEqual(['he.json', 'lab.json']);
});

it('files that are no templates, and copies, stop nobody but whoever asks for them', async () => {
  const own = join(root, 'mixed');
  await mkdir(join(own, 'folder.json'), { recursive: true });
  await writeFile(join(own, 'broken.json'), '{');
  await write('mixed', templateOf('lab', 3));
  await writeFile(join(own, 'lab-copy.json'), JSON.stringify(templateOf('lab', 4)));
  const told: string[] = [];
  const mixed = createTemplateFolder({
    shipped: join(root, 'shipped'),
    own,
    onIgnored: (file) => void told.push(basename(file)),
  });
  expect((await mixed.list()).map(({ id }) => id)).toEqual(['he', 'lab']);
  expect(told).toEqual(['broken.json', 'folder.json', 'lab-copy.json']);
  expect((await mixed.get('lab')).classes).toEqual(templateOf('lab', 3).classes);
  for (const id of ['broken', 'folder'])
    await expect(mixed.get(id)).rejects.toMatchObject({ code: 'TEMPLATE_INVALID' });
  await expect(mixed.get('none')).rejects.toMatchObject({ code: 'TEMPLATE_NOT_FOUND' });
  const noFolder = createTemplateFolder({ shipped: join(root, 'shipped'), own: join(own, 'broken.json') });
  await expect(noFolder.list()).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
});

it("the product's own folder can be rebuilt", async () => {
  const both = join(root, 'shipped');
  const making = createTemplateFolder({ shipped: both, own: both });
  await making.add(templateOf('he', 9), { replace: true });
  expect((await making.get('he')).classes).toEqual(templateOf('he', 9).classes);
});
