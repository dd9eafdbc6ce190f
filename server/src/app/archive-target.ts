/**
 * What stands before every archive, the embedded one too: the request is parsed as one of DICOMweb, and what comes next
 * sees an address that was written from what was understood. OPTIONS is answered here.
 */
import type { RequestHandler, Response } from 'express';
import { type DicomWebResource, methodsOf, parseTarget, targetOf } from '../dicomweb/resource.ts';
import { setSubject } from './audited.ts';

/** Problems: TARGET_REFUSED */
export const archiveTarget: RequestHandler = (request, response, next) => {
  const isQuestion = request.method === 'OPTIONS';
  const { resource, parameters } = parseTarget(isQuestion ? 'GET' : request.method, request.url);
  if (isQuestion) {
    response.status(204).set('Allow', methodsOf(resource).join(', ')).end();
    return;
  }
  // Media types have one place (PS3.18 8.3.3.1); character sets have no use: DICOM JSON is in UTF-8.
  const accept = parameters.find(([name]) => name === 'accept')?.[1];
  // A plus that is not encoded is a blank in a query; between two words of a media type it was meant as it stands.
  if (accept) request.headers.accept = accept.replaceAll(/(?<=\w) (?=\w)/g, '+');
  const passed = parameters.filter(([name]) => name !== 'accept' && name !== 'charset');
  request.url = targetOf({ resource, parameters: passed });
  if ('study' in resource) setSubject(response, { studyInstanceUid: resource.study });
  response.locals['resource'] = resource;
  next();
};

/** Of a request that `archiveTarget` has let pass; undefined for any other. */
export function resourceOf(response: Response): DicomWebResource | undefined {
  return response.locals['resource'];
}
