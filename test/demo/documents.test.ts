import { readFile } from 'node:fs/promises';
import { buildSchema, parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { IMPORT_PROGRESS, START_IMPORT } from '../../src/demo/documents.ts';

test.each([
  ['startImport', START_IMPORT],
  ['importProgress', IMPORT_PROGRESS],
])('what the demo asks of %s is in the schema', async (_, document) => {
  const path = new URL('../../src/schema/schema.graphql', import.meta.url);
  const schema = buildSchema(await readFile(path, 'utf8'));
  expect(validate(schema, parse(document))).toEqual([]);
});
