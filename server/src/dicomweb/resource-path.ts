/**
 * Paths of studies, series and instances below the root of an archive (PS3.18 table 8.2-1). UIDs come from requests and
 * from archives: only what is a UID becomes a part of an address.
 */
import { isUid } from '../dicom/uid.ts';
import { StainError } from '../errors.ts';

export interface InstanceAddress {
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
}

/** @throws REQUEST_INVALID, as all of these */
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
  throw new StainError('REQUEST_INVALID', `The ${level} Instance UID is no UID.`);
}
