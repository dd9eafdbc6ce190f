import type { FileHandle } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { FileWindow } from '../../server/src/dicom/file-window.ts';

/** A file in memory that counts how often it is read. */
function fileOf(bytes: Uint8Array): { file: FileHandle; reads: () => number } {
  let reads = 0;
  const read: unknown = async (into: Uint8Array, at: number, length: number, position: number) => {
    reads++;
    const part = bytes.subarray(position, position + length);
    into.set(part, at);
    return { bytesRead: part.length, buffer: into };
  };
  return { file: { read } as FileHandle, reads: () => reads };
}

const CONTENT = Uint8Array.from({ length: 16 * 1024 * 1024 }, (_, i) => (i * 31) % 251);

describe('looking into a file', () => {
  test('shows the bytes of any place, in any order', async () => {
    const window = new FileWindow(fileOf(CONTENT).file, CONTENT.length);
    const places = [0, 70_000, 140_000, 5, 9_000_000, 9_200_000, 9_600_000, 200_000, CONTENT.length - 8];
    for (const place of places) {
      const seen = await window.peek(place, 8);
      expect([...seen]).toEqual([...CONTENT.subarray(place, place + 8)]);
    }
    window.forget();
    expect([...(await window.peek(9_600_000, 8))]).toEqual([...CONTENT.subarray(9_600_000, 9_600_008)]);
  });

  test('takes few reads for item headers from the first to the last', async () => {
    const { file, reads } = fileOf(CONTENT);
    const window = new FileWindow(file, CONTENT.length);
    for (let at = 0; at < CONTENT.length - 8; at += 12_000) await window.peek(at, 8);
    expect(reads()).toBeLessThan(24);
  });

  test('does not read what lies between headers that are far apart', async () => {
    let most = 0;
    const { file } = fileOf(CONTENT);
    const counting = {
      read: (into: Uint8Array, at: number, length: number, position: number) => {
        most = Math.max(most, length);
        return file.read(into, at, length, position);
      },
    } as FileHandle;
    const window = new FileWindow(counting, CONTENT.length);
    for (let at = 0; at < CONTENT.length - 8; at += 2_000_000) await window.peek(at, 8);
    expect(most).toBeLessThanOrEqual(64 * 1024);
  });

  test('refuses what lies beyond the end, and still shows the rest', async () => {
    const window = new FileWindow(fileOf(CONTENT).file, CONTENT.length);
    await window.peek(0, 8);
    await expect(window.peek(CONTENT.length - 4, 8)).rejects.toMatchObject({ code: 'DICOM_INVALID' });
    expect([...(await window.peek(8, 8))]).toEqual([...CONTENT.subarray(8, 16)]);
  });
});
