import { fromPublicId, toPublicId } from '../services/public-ids.ts';
import { uploadKey } from '../services/upload-rows.ts';

const KEY = /^uploads\/([0-9a-f-]{36})\/original$/;

/** The row id of an upload behind its key in the storage. */
export function idOfKey(key: string): string {
  const [, id] = KEY.exec(key) ?? [];
  if (id === undefined) throw new Error('this is no key of an upload');
  return id;
}

/** The key in the storage behind the last segment of an upload's URL; undefined for what is no id of an upload. */
export function keyOfSegment(segment: string | undefined): string | undefined {
  const id = segment === undefined ? null : fromPublicId('Upload', segment);
  return id === null ? undefined : uploadKey(id);
}

/** The last segment of an upload's URL, which is its id in the API too. */
export const segmentOfKey = (key: string): string => toPublicId('Upload', idOfKey(key));
