import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { makeClip } from '../../src/demo/clips.ts';
import { box } from '../media/support/mp4-surgery.ts';
import { faultsOf, installAudit, pathsOf, readAudit } from '../support/audit.ts';
import type { TestClient } from '../support/client.ts';
import { graphql } from '../support/graphql.ts';
import { createInstallation, gone } from '../support/installation.ts';
import { type PacedOrigin, type Sending, startPacedOrigin } from '../support/paced-origin.ts';
import { findEmbeddedDatabase } from '../support/process.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';

const MIB = 1024 * 1024;
const FILE_BYTES = 8 * MIB;
const RATE = 3 * MIB;
/** What a kill may cost a transfer: the batch that is gathered and the one that is being written, a MiB each, and what is on its way, of which a busy server has more. */
const LOSS = 4 * MIB;

const IMPORT = graphql(`
  mutation KilledImport($input: StartImportInput!) {
    startImport(input: $input) { __typename ... on StartImportSuccess { import { id state } } }
  }
`);
const STATUS = graphql(`
  query KilledStatus($id: ID!) {
    import(id: $id) {
      state finished finishedAt hasFailures
      counts { found undecided rejected ready skipped failed }
      failedFiles(first: 10) { nodes { externalId error { code } } }
      tasks(first: 20) { nodes { externalId status outcome skipReason attempts videoId error { code } } }
    }
  }
`);

let clip: Buffer;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-killed-'));
  await makeClip({}, join(folder, 'clip.mp4'));
  clip = await readFile(join(folder, 'clip.mp4'));
  await rm(folder, { recursive: true });
});

/** A sound video of a size, unlike any other: players pass over a box that is called free. */
const videoOf = (number: number) => Buffer.concat([clip, box('free', Buffer.alloc(FILE_BYTES, number + 1))]);

/** Connects to the database of an installation, past the server. */
async function openAudited(
  dataDir: string,
): Promise<Rows & { readonly pid: number; readonly seen: string[] }> {
  const { url, pid } = await findEmbeddedDatabase(dataDir);
  const rows = await openRows(url);
  const seen: string[] = [];
  rows.client.on('error', () => {}).on('notification', ({ payload = '' }) => seen.push(payload));
  onTestFinished(() => rows.close().catch(() => {}));
  await rows.all('listen audit');
  return { ...rows, pid, seen };
}

const entryOf = (origin: PacedOrigin, name: string, sha256?: string) => ({
  externalId: name,
  url: origin.url(name),
  fileName: 'video.mp4',
  ...(sha256 === undefined ? {} : { sha256 }),
});

/** Transfers that began further back than what had come before allows. */
function wasteful(sendings: readonly Sending[], loss: number): string[] {
  const reached = new Map<string, number>();
  return sendings.flatMap(({ name, kind, start, sent }) => {
    if (kind === 'look') return [];
    const before = reached.get(name) ?? 0;
    reached.set(name, start + sent);
    return start >= before - loss ? [] : [`${name} from ${start}, though ${before} bytes had been sent`];
  });
}

const transfersOf = ({ sendings }: PacedOrigin) => sendings.filter(({ kind }) => kind === 'transfer');

async function serve(files: ReadonlyMap<string, Buffer>): Promise<PacedOrigin> {
  const origin = await startPacedOrigin(files, RATE);
  onTestFinished(() => origin.close());
  return origin;
}

function untilFinished(client: TestClient, id: string) {
  const read = async () => {
    const { import: found } = await client.query(STATUS, { id });
    return found?.finished === true && found;
  };
  return waitFor(read, { what: 'the end of the import', timeout: 90_000 });
}

/** The index holds these videos and no others, and each of their files is whole. */
async function expectStored(
  rows: Rows,
  expected: { dataDir: string; files: readonly Buffer[] },
): Promise<void> {
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const videos = await rows.all<{ sha256: string; storage_key: string }>(
    'select sha256, storage_key from videos',
  );
  expect(videos.map((video) => video.sha256).sort()).toEqual(expected.files.map(sha256).sort());
  for (const video of videos) {
    expect(sha256(await readFile(join(expected.dataDir, 'media', video.storage_key)))).toBe(video.sha256);
  }
}

test('an import goes on through five SIGKILLs of the server, and each video ends once and right', async () => {
  const good = ['v0', 'v1', 'v2', 'v3', 'v4', 'v5', 'v6'];
  const files = new Map([...good, 'altered'].map((name, number) => [name, videoOf(number)]));
  files.set('again', files.get('v0') ?? Buffer.alloc(0));
  const origin = await serve(files);
  const installation = await createInstallation();
  let { server, client } = await installation.start();
  const rows = await openAudited(installation.dataDir);
  await installAudit(rows);

  origin.held.add('v6');
  const videos = [
    ...[...good, 'again', 'missing'].map((name) => entryOf(origin, name)),
    entryOf(origin, 'altered', 'ab'.repeat(32)),
  ];
  const input = { from: { videos: { systemName: 'dam', videos } } };
  const { startImport } = await client.query(IMPORT, { input });
  if (startImport.__typename !== 'StartImportSuccess') throw new Error(startImport.__typename);
  const { id, state } = startImport.import;
  expect(state).toBe('PLANNING');

  const ended = () => rows.seen.filter((status) => ['READY', 'SKIPPED', 'FAILED'].includes(status)).length;
  const since = (status: string) => {
    const from = rows.seen.length;
    return () => rows.seen.slice(from).includes(status);
  };
  const resumed = () => {
    const from = origin.sendings.length;
    return () =>
      transfersOf(origin).some(
        (one) => origin.sendings.indexOf(one) >= from && one.start > 0 && one.sent > MIB,
      );
  };
  const moments: readonly (readonly [what: string, begin: () => () => boolean])[] = [
    ['bytes while planning goes on', () => () => transfersOf(origin).some(({ sent }) => sent > 3 * MIB)],
    ['bytes of a resumed transfer', resumed],
    ['a file being validated', () => since('VALIDATING')],
    ['a file on its way into the index', () => since('QUEUED')],
    ['the end of the last task', () => () => ended() === 9],
  ];
  for (const [what, begin] of moments) {
    const came = begin();
    await waitFor(came, { what });
    expect(await installation.end(server, 'SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
    // What is slow has been seen: the last of it may come at once.
    if (what.includes('index')) origin.rate = 50 * MIB;
    origin.held.clear();
    ({ server, client } = await installation.start());
    expect((await findEmbeddedDatabase(installation.dataDir)).pid).toBe(rows.pid);
    expect(server.stderr()).toContain('"adopted":true');
    await gone(installation.media, 'the end of what the killed server had started');
  }

  const over = await untilFinished(client, id);
  expect(over).toMatchObject({
    state: 'SUCCEEDED',
    hasFailures: true,
    counts: { found: 10, undecided: 0, rejected: 1, ready: 7, skipped: 1, failed: 1 },
    failedFiles: { nodes: [{ externalId: 'missing', error: { code: 'SOURCE_NOT_FOUND' } }] },
  });
  const outcome = new Map(over.tasks.nodes.map((task) => [task.externalId, task]));
  for (const name of good.slice(1)) {
    expect(outcome.get(name)).toMatchObject({ status: 'READY', outcome: 'CREATED', error: null });
  }
  expect(['v0', 'again'].map((name) => outcome.get(name)?.skipReason ?? null).sort()).toEqual(
    [null, 'SAME_CONTENT'].sort(),
  );
  expect(outcome.get('v0')?.videoId).toBe(outcome.get('again')?.videoId);
  expect(outcome.get('altered')).toMatchObject({ status: 'FAILED', error: { code: 'CHECKSUM_MISMATCH' } });

  const audit = await readAudit(rows);
  const paths = pathsOf(audit, 'task');
  expect(paths.size).toBe(9);
  expect(faultsOf(paths)).toEqual([]);
  expect([...pathsOf(audit, 'import').values()]).toEqual([['PLANNING', 'STARTED', 'SUCCEEDED']]);
  // The kills were noticed as such, and counted against nobody.
  expect(audit.filter(({ kind }) => kind === 'lost lease').length).toBeGreaterThan(4);
  expect(audit.filter(({ kind }) => kind === 'failure')).toEqual([]);
  expect(wasteful(origin.sendings, LOSS)).toEqual([]);
  expect(transfersOf(origin).filter(({ start }) => start > 0).length).toBeGreaterThan(3);
  await expectStored(rows, { dataDir: installation.dataDir, files: [...files.values()].slice(0, 7) });

  expect(installation.media.length).toBeGreaterThan(0);
  expect(await installation.end(server, 'SIGTERM')).toMatchObject({ code: 0, signal: null });
  await gone(installation.all, 'the end of everything that was started');
}, 300_000);

test('a SIGTERM in the middle hands the tasks back, and the next start goes on where they were', async () => {
  const names = ['v0', 'v1', 'v2'];
  const origin = await serve(new Map(names.map((name, number) => [name, videoOf(number)])));
  // No lease runs out here, however long the server stands still.
  const installation = await createInstallation({ SLUICE_LEASE_SECONDS: '30' });
  const first = await installation.start();
  let rows = await openAudited(installation.dataDir);
  await installAudit(rows);
  const input = {
    from: { videos: { systemName: 'dam', videos: names.map((name) => entryOf(origin, name)) } },
  };
  const { startImport } = await first.client.query(IMPORT, { input });
  if (startImport.__typename !== 'StartImportSuccess') throw new Error(startImport.__typename);

  await waitFor(() => transfersOf(origin).filter(({ sent }) => sent > MIB / 2).length === 3);
  // None of them comes to its end within the minute that a busy machine may take for all this.
  origin.rate = MIB / 16;
  // What was sent faster has come: a busy server may have more than that on its way.
  await waitFor(
    async () => {
      const [taken] = await rows.all<{ bytes: number }>(
        'select sum(bytes_done)::float8 as bytes from task_progress',
      );
      const sent = transfersOf(origin).reduce((sum, one) => sum + one.sent, 0);
      return (taken?.bytes ?? 0) > sent - MIB / 8;
    },
    { what: 'what was sent' },
  );
  const begun = performance.now();
  expect(await installation.end(first.server, 'SIGTERM')).toMatchObject({ code: 0, signal: null });
  // A second of grace, and what it takes to stop a database: it does not wait for the transfers.
  expect(performance.now() - begun).toBeLessThan(40_000);
  origin.rate = RATE;
  await gone(installation.all, 'the end of everything that was started');
  expect(transfersOf(origin).every(({ sent }) => sent < FILE_BYTES)).toBe(true);

  const before = origin.sendings.length;
  const second = await installation.start();
  const over = await untilFinished(second.client, startImport.import.id);
  expect(over).toMatchObject({ state: 'SUCCEEDED', hasFailures: false, counts: { ready: 3 } });
  expect(over.tasks.nodes.map(({ attempts }) => attempts)).toEqual([2, 2, 2]);
  rows = await openAudited(installation.dataDir);
  const audit = await readAudit(rows);
  const path = ['PENDING', 'UPLOADING', 'PENDING', 'UPLOADING', 'VALIDATING', 'QUEUED', 'INDEXING', 'READY'];
  expect([...pathsOf(audit, 'task').values()]).toEqual([path, path, path]);
  expect(audit.filter(({ kind }) => kind === 'failure' || kind === 'lost lease')).toEqual([]);
  // Nothing that had come was lost: only what was on its way comes again.
  expect(wasteful(origin.sendings, MIB / 4)).toEqual([]);
  expect(origin.sendings.slice(before).map(({ start }) => start > MIB / 4)).toEqual([true, true, true]);
  expect(await installation.end(second.server, 'SIGTERM')).toMatchObject({ code: 0, signal: null });
  await gone(installation.all, 'the end of everything that was started');
}, 300_000);
