import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { guarded } from './file-errors.ts';
import { eachOf, filesBelow, withPlainFile, writeAll } from './plain-files.ts';
import { openS3Writer, type S3WriterOptions } from './s3-writer.ts';
import { assertKey } from './secure-path.ts';

/** What goes up in one request, in bytes. */
const MAX_PUT_BYTES = 8 * 1024 * 1024;

type Place = Omit<S3WriterOptions, 'key'>;

/**
 * Makes a local file the object at a key, and removes the file.
 * @throws {StorageError}
 */
export async function adoptObject(place: Place, file: string, key: string): Promise<void> {
  assertKey(key);
  await guarded(() => adopt(place, file, key));
}

/**
 * As `adoptObject`, for all files below a folder.
 * @throws {StorageError}
 */
export async function adoptObjects(place: Place, folder: string, prefix: string): Promise<void> {
  await guarded(async () => {
    const files = (await filesBelow(folder)).map(({ path, name }) => ({ path, key: join(prefix, name) }));
    for (const { key } of files) assertKey(key);
    await eachOf(files, ({ path, key }) => adopt(place, path, key));
  });
}

async function adopt(place: Place, file: string, key: string): Promise<void> {
  await withPlainFile(file, async (opened) => {
    // A store is asked as little as can be: there may be a thousand pictures.
    if (opened.size <= MAX_PUT_BYTES) await place.objects.put(key, await readFile(opened.handle));
    else await writeAll(await openS3Writer({ ...place, key }), opened);
  });
  await rm(file);
}
