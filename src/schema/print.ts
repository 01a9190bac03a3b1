import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { schema } from './index.ts';

/** The checked-in SDL; the same file from src/ and from dist/. */
const FILE = fileURLToPath(new URL('../../src/schema/schema.graphql', import.meta.url));

/** The public API as SDL, sorted, so that it is the same however the files are ordered. */
export function printedSchema(): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const printed = printedSchema();
  if (!process.argv.includes('--check')) writeFileSync(FILE, printed);
  else if (readFileSync(FILE, 'utf8') !== printed) {
    console.error('src/schema/schema.graphql is out of date: run npm run schema');
    process.exitCode = 1;
  }
}
