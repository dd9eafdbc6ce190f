/**
 * Comes before every archive, even the embedded one: parses the request as a DICOMweb request, so that what follows
 * sees an address rebuilt from its parts. OPTIONS is answered here.
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
  // Media types have one place (PS3.18 8.3.3.1). Character sets are pointless: DICOM JSON is UTF-8.
  const accept = parameters.find(([name]) => name === 'accept')?.[1];
  // An unencoded plus is a space in a query; between two words of a media type it was meant literally.
  if (accept) request.headers.accept = accept.replaceAll(/(?<=\w) (?=\w)/g, '+');
  const passed = parameters.filter(([name]) => name !== 'accept' && name !== 'charset');
  request.url = targetOf({ resource, parameters: passed });
  if ('study' in resource) setSubject(response, { studyInstanceUid: resource.study });
  response.locals['resource'] = resource;
  next();
};

/** The resource of a request that passed `archiveTarget`; undefined for any other request. */
export function resourceOf(response: Response): DicomWebResource | undefined {
  return response.locals['resource'];
}
