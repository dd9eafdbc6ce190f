/** A problem as a page, for people who look at a page of the service in a browser. */
import type { Response } from 'express';
import type { StainError } from '../../../core/src/errors.ts';
import { html } from '../web/html.ts';
import { beginProblem, titleOf } from '../web/problem.ts';
import { requestIdOf } from './log.ts';
import { PAGE_POLICY, page } from './page.ts';

/** @param back address of the page that the request came from; undefined if it was for a page itself */
export function sendProblemPage(
  response: Response,
  error: StainError,
  status: number | undefined,
  back: string | undefined,
): void {
  const begun = beginProblem(response, error, status);
  if (!begun) return;
  const { code, message, remedy } = error;
  const reloadSeconds = back === undefined ? begun.retryAfterSeconds : undefined;
  const next =
    back !== undefined
      ? html`<p><a href="${back}">Back to the page</a></p>`
      : html`<p>${reloadSeconds === undefined ? '' : `This page loads again by itself every ${reloadSeconds} seconds. `}<a href="">Load again</a></p>`;
  const body = html`<h1>${titleOf(code)}</h1>
<p class="message fault" role="alert">${`${code}: ${message}`} <span>${remedy}</span></p>
${next}
<small>Request <code>${requestIdOf(response)}</code></small>`;
  response
    .set('Content-Security-Policy', PAGE_POLICY)
    .type('html')
    .send(page(titleOf(code), body, reloadSeconds));
}
