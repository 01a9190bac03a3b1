import { createHash } from 'node:crypto';
import { createReadStream, type Dirent, existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type pg from 'pg';

/** How an oracle looks at a storage: past the product. */
export interface StoredObjects {
  /** All keys, those of unfinished writes too. */
  list(): Promise<readonly string[]>;
  read(key: string): AsyncIterable<Uint8Array>;
}

/** A storage that is a folder: each file is an object, whatever its name. */
export function objectsIn(folder: string): StoredObjects {
  return {
    async list() {
      const entries = await readAll(folder);
      return entries
        .filter((entry) => !entry.isDirectory())
        .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'));
    },
    read: (key) => createReadStream(join(folder, key)),
  };
}

/** Reads again when a folder below goes while it is read: what is left must not be missed. */
async function readAll(folder: string): Promise<readonly Dirent[]> {
  for (;;) {
    try {
      return await readdir(folder, { recursive: true, withFileTypes: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // as Node's functions for files throw
      if (!existsSync(folder)) return [];
    }
  }
}

/** That the objects of a storage are those of the videos, whole, and no others. */
export async function objectFaults(client: pg.Client, objects: StoredObjects): Promise<readonly string[]> {
  const { rows } = await client.query<{ id: string; storage_key: string; sha256: string }>(
    'select id, storage_key, sha256 from videos',
  );
  const products = await readProducts(client);
  const keys = new Set(await objects.list());
  const faults: string[] = [];
  for (const { id, storage_key: key, sha256 } of rows) {
    if (!keys.delete(key)) faults.push(`video ${id}: its object ${key} is missing`);
    else if ((await digest(objects.read(key))) !== sha256)
      faults.push(`video ${id}: its object ${key} holds other bytes`);
  }
  for (const { id, files } of products)
    for (const file of files) if (!keys.has(file)) faults.push(`video ${id}: its file ${file} is missing`);
  for (const folder of products.flatMap(({ folders }) => folders))
    for (const key of [...keys]) if (key.startsWith(`${folder}/`)) keys.delete(key);
  return [...faults, ...[...keys].map((key) => `object ${key}: belongs to no video`)];
}

/** What was made of videos: the files that their rows name, and the folders that these lie in. */
async function readProducts(client: pg.Client) {
  const { rows } = await client.query<{ id: string; folders: string[]; files: string[] }>(`
    select id, product_folders as folders, array_remove(array[
        (pictures ->> 'prefix') || '/' || (pictures ->> 'poster'), (pictures ->> 'prefix') || '/' || (pictures ->> 'storyboard'),
        (stream ->> 'prefix') || '/' || (stream ->> 'playlist')]
      || array(select (scenes ->> 'prefix') || '/' || (s ->> 'thumbnail') from jsonb_array_elements(scenes -> 'scenes') s), null) as files
      from videos where product_folders is not null`);
  return rows;
}

async function digest(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of bytes) hash.update(chunk);
  return hash.digest('hex');
}
