import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type DatabaseClient } from '../../src/db/client.ts';
import { type Cursors, createCursors } from '../../src/services/cursors.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let client: DatabaseClient;
let cursors: Cursors;

beforeAll(async () => {
  database = await createTestDatabase();
  client = createDatabase({ url: database.url, log: pino({ level: 'silent' }), applicationName: 'test' });
  cursors = await createCursors(client.db);
});

afterAll(async () => {
  await client?.close();
  await database?.drop();
});

const ID = '0190a000-0000-7000-8000-000000000001';
const recode = (cursor: string, change: (parts: unknown[]) => unknown) =>
  Buffer.from(
    JSON.stringify(change(JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[])), // as encode wrote it
  ).toString('base64url');

test.each([
  { xmin: '1', ordinal: null },
  { xmin: '18446744073709551615', ordinal: -1 },
  { xmin: '744', ordinal: 9_999 },
])('a position is read as it was written: %j', (position) => {
  expect(cursors.decode(ID, cursors.encode(ID, position))).toEqual(position);
});

test('a cursor goes through a URL and a shell as it is', () => {
  expect(cursors.encode(ID, { xmin: '744', ordinal: 5 })).toMatch(/^[A-Za-z0-9_-]+$/);
});

test('a cursor of another import or of another database is none', () => {
  const cursor = cursors.encode(ID, { xmin: '744', ordinal: null });
  expect(cursors.decode(ID.replace('1', '2'), cursor)).toBeNull();
  expect(
    cursors.decode(
      ID,
      recode(cursor, ([, ...rest]) => ['7000000000000000000', ...rest]),
    ),
  ).toBeNull();
});

test.each([
  ['', 'nothing'],
  ['x', 'text'],
  ['\0', 'U+0000'],
  ['A'.repeat(401), 'long text'],
  [Buffer.from('null').toString('base64url'), 'null'],
  [Buffer.from('{}').toString('base64url'), 'an object'],
  [Buffer.from('[1,2,3,4]').toString('base64url'), 'numbers'],
])('%j is no cursor', (cursor) => {
  expect(cursors.decode(ID, cursor)).toBeNull();
});

test.each<[string, (parts: unknown[]) => unknown]>([
  ['a number for the transaction', ([system, id, , ordinal]) => [system, id, 744, ordinal]],
  ['a negative transaction', ([system, id, , ordinal]) => [system, id, '-1', ordinal]],
  ['SQL for the transaction', ([system, id, , ordinal]) => [system, id, "1' or 1", ordinal]],
  ['a transaction past 64 bits', ([system, id, , ordinal]) => [system, id, '99999999999999999999', ordinal]],
  ['a text for the ordinal', ([system, id, xmin]) => [system, id, xmin, '5']],
  ['a fraction for the ordinal', ([system, id, xmin]) => [system, id, xmin, 1.5]],
  ['an ordinal below the first', ([system, id, xmin]) => [system, id, xmin, -2]],
  ['an ordinal past 32 bits', ([system, id, xmin]) => [system, id, xmin, 2 ** 31]],
  ['a part less', (parts) => parts.slice(0, 3)],
  ['a part more', (parts) => [...parts, 1]],
])('%s makes it none', (_, change) => {
  const cursor = cursors.encode(ID, { xmin: '744', ordinal: 5 });
  expect(
    cursors.decode(
      ID,
      recode(cursor, (parts) => parts),
    ),
  ).toEqual({ xmin: '744', ordinal: 5 });
  expect(cursors.decode(ID, recode(cursor, change))).toBeNull();
});
