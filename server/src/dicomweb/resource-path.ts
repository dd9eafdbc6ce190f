/**
 * Paths of studies, series and instances below the root of an archive (PS3.18 table 8.2-1). UIDs come from requests and
 * from archives: only valid UIDs become part of a URL.
 */

import { StainError } from '../../../core/src/errors.ts';
import { isUid } from '../dicom/uid.ts';

export interface InstanceAddress {
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
}

/** @throws REQUEST_INVALID, like all functions here */
export function studyPath(studyUid: string): string[] {
  return ['studies', requireUid(studyUid, 'Study')];
}

export function seriesPath({ studyUid, seriesUid }: Omit<InstanceAddress, 'sopUid'>): string[] {
  return [...studyPath(studyUid), 'series', requireUid(seriesUid, 'Series')];
}

export function instancePath(address: InstanceAddress): string[] {
  return [...seriesPath(address), 'instances', requireUid(address.sopUid, 'SOP')];
}

function requireUid(uid: string, level: 'Study' | 'Series' | 'SOP'): string {
  if (isUid(uid)) return uid;
  throw new StainError('REQUEST_INVALID', `The ${level} Instance UID is not a valid UID.`);
}
