import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { makeClips } from '../../src/demo/clips.ts';
import { answerFile, type Origin, startOrigin } from '../sources/origin.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { isLook, sha256 } from './file-origin.ts';
import { pathsIn } from './stored-files.ts';
import { createImporter, type Importer, one, taskOf } from './url-imports.ts';

/** How far a transfer comes before it is cut. */
const CUT = 150_000;

let clip: Buffer;
let origin: Origin;
let server: TestServer;
let importer: Importer;
let rows: Rows;
/** Answers a transfer; `times` counts those of the test, from 1. Who looks ahead is always answered well. */
let transfer: (request: IncomingMessage, response: ServerResponse, times: number) => void = () => {};

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-partials-'));
  const paths = await makeClips([{ name: 'clip', bitrate: 1_600_000 }], folder);
  clip = await readFile(paths.get('clip') ?? '');
  await rm(folder, { recursive: true });
  origin = await startOrigin((request, response) => {
    if (isLook(request)) answerFile(request, response, clip, { etag: '"clip"' });
    else transfer(request, response, transfers().length);
  });
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '20' });
  importer = createImporter(server);
  rows = await openRows(server.databaseUrl);
  await rows.all('create table notes (at serial, status text, key text, version text)');
  await rows.all(`create function note() returns trigger language plpgsql as $$
                  begin
                    insert into notes (status, key, version) values (new.status, new.partial ->> 'key', new.partial ->> 'version');
                    return null;
                  end $$`);
  await rows.all(`create trigger note after update on tasks for each row
                  when (new.partial is not null and new.partial is distinct from old.partial) execute function note()`);
});

beforeEach(async () => {
  await rows.all('truncate notes');
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await origin?.close();
});

const transfers = () => origin.requests.filter((request) => !isLook(request));
/** What lies on the disk of transfers that have not come to their end. */
const partials = () => pathsIn(server.dataDir).filter((path) => path.endsWith('.part'));

type Turn = 'CUT' | 'BUSY' | 'WELL';

/** Imports from an origin that answers in turns, well at last; counts the partial files whenever it is asked for the file. */
async function bringByTurns(system: string, turns: readonly Turn[], version: { readonly etag?: string }) {
  origin.requests.length = 0;
  const earlier = new Set(partials());
  const counts: number[] = [];
  transfer = (request, response, times) => {
    counts.push(partials().filter((path) => !earlier.has(path)).length);
    const turn = turns[times - 1] ?? 'WELL';
    if (turn === 'BUSY') response.writeHead(503).end();
    else answerFile(request, response, clip, turn === 'CUT' ? { ...version, cutAfter: CUT } : version);
  };
  const state = await importer.bring(
    one(system, { url: `${origin.url.origin}/${system}` }, { incremental: false }),
  );
  const starts = transfers().map(({ headers }) => Number(/\d+/.exec(headers.range ?? '')?.[0] ?? 0));
  return { task: taskOf(state, 'one'), counts, starts };
}

test('a transfer that is cut and then refused again and again keeps one partial file, and goes on from it', async () => {
  const turns: Turn[] = ['CUT', 'BUSY', 'CUT', 'BUSY', 'BUSY', 'BUSY'];
  const { task, counts, starts } = await bringByTurns('again', turns, { etag: '"clip"' });
  expect(task).toMatchObject({ status: 'READY', attempts: 5, video: { sha256: sha256(clip) } });
  expect(starts).toEqual([0, CUT, CUT, 2 * CUT, 2 * CUT, 2 * CUT, 2 * CUT]);
  expect(counts).toEqual(counts.map(() => 1));
});

test('attempts that were refused before the first byte leave no file to the one that goes on', async () => {
  const turns: Turn[] = ['BUSY', 'BUSY', 'CUT', 'BUSY'];
  const { task, counts, starts } = await bringByTurns('refused', turns, { etag: '"clip"' });
  expect(task).toMatchObject({ status: 'READY', attempts: 4, video: { sha256: sha256(clip) } });
  expect(starts).toEqual([0, 0, 0, CUT, CUT]);
  expect(counts).toEqual(counts.map(() => 1));
});

test('what was copied of a file without a version is not kept: no later attempt can go on from it', async () => {
  const { task, counts, starts } = await bringByTurns('unversioned', ['CUT', 'CUT', 'CUT'], {});
  expect(task).toMatchObject({ status: 'READY', attempts: 4, video: { sha256: sha256(clip) } });
  expect(starts).toEqual([0, 0, 0, 0]);
  expect(counts).toEqual(counts.map(() => 1));
});

/** What was noted for later attempts, in its order. */
const notes = () =>
  rows.all<{ status: string; key: string; version: string }>(
    'select status, key, version from notes order by at',
  );

/** Imports from an origin that does not end its answer by itself. */
function bringBit(system: string, etags: readonly string[]) {
  origin.requests.length = 0;
  const answers: ServerResponse[] = [];
  transfer = (_request, response, times) => {
    const etag = etags[times - 1] ?? etags.at(-1) ?? '';
    response.writeHead(200, { 'content-length': clip.length, 'content-type': 'video/mp4', etag });
    response.write(clip.subarray(0, CUT));
    answers.push(response);
  };
  const videos = { url: `${origin.url.origin}/${system}` };
  return { answers, done: importer.bring(one(system, videos, { incremental: false })) };
}

/** Sends a little more of an answer each time that it looks, until there are so many notes. */
async function trickleUntil(response: ServerResponse, count: number): Promise<number> {
  let sent = CUT;
  await waitFor(
    async () => {
      response.write(clip.subarray(sent, sent + 100));
      sent += 100;
      return (await notes()).length >= count;
    },
    { what: `${count} notes` },
  );
  return sent;
}

test('a copy that is soon complete is noted when it is; one that takes long is noted on its way', async () => {
  await bringByTurns('soon', [], { etag: '"clip"' });
  expect(await notes()).toMatchObject([{ version: '"clip"' }]);
  await rows.all('truncate notes');
  const { answers, done } = bringBit('slow', ['"clip"']);
  await waitFor(() => answers.length === 1, { what: 'the request' });
  const [answer] = answers;
  if (!answer) throw new Error('no answer');
  const sent = await trickleUntil(answer, 1);
  answer.end(clip.subarray(sent));
  expect(taskOf(await done, 'one')).toMatchObject({ status: 'READY', video: { sha256: sha256(clip) } });
  // It stays what it is when the copy is complete.
  expect(await notes()).toMatchObject([{ status: 'UPLOADING', version: '"clip"' }]);
});

test('the note of a copy that is begun anew tells of the other version at once', async () => {
  const { answers, done } = bringBit('replaced', ['"old"', '"new"']);
  await waitFor(() => answers.length === 1, { what: 'the request' });
  const [first] = answers;
  if (!first) throw new Error('no answer');
  await trickleUntil(first, 1);
  first.destroy();
  await waitFor(() => answers.length === 2, { what: 'the second request' });
  // Nothing more comes before the note.
  await waitFor(async () => (await notes()).length === 2, { what: 'the second note' });
  answers[1]?.end(clip.subarray(CUT));
  expect(taskOf(await done, 'one')).toMatchObject({ status: 'READY', video: { sha256: sha256(clip) } });
  const [old, other] = await notes();
  expect([old?.version, other?.version]).toEqual(['"old"', '"new"']);
  expect(other?.key).toBe(old?.key);
});
