/** `template add` from pictures: one that cannot be used is named. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { templateAddCommand } from '../../server/src/cli/template-command.ts';
import { writeImage } from '../../server/src/codec/image-file.ts';
import { createWorkplace } from '../support/normalize.ts';
import { tissue } from '../support/tissue.ts';

it('names the picture that holds too little tissue', async () => {
  await using place = await createWorkplace();
  const [good, glass] = [join(place.folder, 'good.png'), join(place.folder, 'glass.png')];
  await writeImage(good, tissue(200, 200));
  await writeImage(glass, tissue(200, 200, { part: 0 }));
  const args = { id: 'mine', name: 'Ours', licence: 'own', model: 'fast', replace: false };
  const { signal } = new AbortController();
  const adding = templateAddCommand({ ...args, source: [good, glass] }, place.composition, signal);
  await expect(adding).rejects.toMatchObject({
    code: 'TOO_LITTLE_TISSUE',
    message: expect.stringMatching(/^glass\.png: Only \d+ pixels/),
  });
});
