/** What leaves this host with a template, and where it goes. */
import { describe, expect, it } from 'vitest';
import { sendTemplate } from '../../server/src/cli/send-template.ts';
import { startFaultServer } from '../support/fault-server.ts';
import { templateOf } from '../support/template.ts';

const { signal } = new AbortController();
const send = (to: string, token?: string): Promise<string> =>
  sendTemplate(templateOf('one'), { to, token, replace: false }, signal);

describe('a template is sent nowhere', () => {
  it.each([
    ['over http to another host with a token', 'http://stain.example', 't'],
    ['with a password in the address', 'https://me:secret@stain.example', undefined],
    ['to a file', 'file:///etc', undefined],
    ['to a malformed address', 'stain.example', undefined],
  ])('%s', async (_what, to, token) => {
    await expect(send(to, token)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

it('a token does not follow a redirect to another host', async () => {
  await using thief = await startFaultServer((_request, response) => void response.end('{}'));
  await using service = await startFaultServer((_request, response) => {
    response.writeHead(307, { Location: thief.url }).end();
  });
  await expect(send(service.url, 'secret')).rejects.toMatchObject({ code: 'SERVICE_UNREACHABLE' });
  expect(service.requests).toEqual(['PUT /dicom-web/api/templates/one']);
  expect(thief.requests).toEqual([]);
});

it('a server that is not this service is reported, without its text', async () => {
  await using page = await startFaultServer((_request, response) => {
    response.writeHead(404, { 'Content-Type': 'text/html' }).end('<h1>secret page</h1>');
  });
  await expect(send(`${page.url}/stain/`)).rejects.toMatchObject({
    code: 'SERVICE_UNREACHABLE',
    message: `${page.url}/stain answered 404, but not like this service.`,
  });
  expect(page.requests).toEqual(['PUT /dicom-web/stain/api/templates/one']);
});
