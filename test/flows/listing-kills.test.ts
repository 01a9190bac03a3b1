import { expect, onTestFinished, test } from 'vitest';
import { installAudit, readAudit } from '../support/audit.ts';
import { graphql } from '../support/graphql.ts';
import { createInstallation, gone } from '../support/installation.ts';
import { findEmbeddedDatabase } from '../support/process.ts';
import { openRows } from '../support/rows.ts';
import { startS3 } from '../support/s3.ts';
import { waitFor } from '../support/wait.ts';
import { makeContents, sha256 } from './file-origin.ts';
import { allOf, bucketAt, createObjectImporter, tally } from './object-imports.ts';

const OBJECTS = 20_000;
const TASKS = graphql(`
  query KilledListing($id: ID!) { import(id: $id) { tasks(first: 10) { nodes { sourceKey status video { sha256 } } } } }
`);

const keyOf = (n: number) => `videos/${String(n).padStart(6, '0')}.mp4`;

test('an import of a large bucket goes on through SIGKILLs between its pages, and loses and repeats nothing', async () => {
  const s3 = await startS3();
  onTestFinished(() => s3.stop());
  s3.createBucket('library');
  // Of one in a hundred it takes a look to tell that it is no video.
  s3.fill('library', OBJECTS, (n) =>
    n % 100 === 50 ? { key: keyOf(n), size: 8, contentType: 'text/plain' } : { key: keyOf(n), size: 0 },
  );
  const freshContent = await makeContents();
  const clips = new Map([70, 17_777].map((n) => [keyOf(n), freshContent()]));
  for (const [key, bytes] of clips) s3.put('library', key, bytes);

  const installation = await createInstallation();
  let { server, client } = await installation.start();
  const audited = await openRows((await findEmbeddedDatabase(installation.dataDir)).url);
  await installAudit(audited);
  await audited.close();
  const integration = await createObjectImporter(client).integrate(bucketAt(s3, 'library'));
  s3.requests.length = 0;
  s3.latencyMs = 60;
  const { id } = await createObjectImporter(client).start(allOf(integration));
  const pages = () => s3.requests.filter(({ operation }) => operation === 'ListObjectsV2').length;
  for (const count of [5, 12]) {
    await waitFor(() => pages() >= count, { what: `page ${count}` });
    await installation.end(server, 'SIGKILL');
    ({ server, client } = await installation.start());
  }
  s3.latencyMs = 0;
  const state = await createObjectImporter(client).end(id);
  expect(state).toMatchObject({
    state: 'SUCCEEDED',
    error: null,
    counts: { found: OBJECTS, undecided: 0, ready: 2, rejected: OBJECTS - 2 },
  });

  const rows = await openRows((await findEmbeddedDatabase(installation.dataDir)).url);
  const expected = Array.from({ length: OBJECTS }, (_, n) => keyOf(n));
  const entries = await rows.all<{ key: string; verdict: string }>(
    `select input ->> 'key' as key, verdict from import_entries order by ordinal`,
  );
  expect(entries.map(({ key }) => key)).toEqual(expected);
  expect(tally(entries.map(({ verdict }) => verdict))).toEqual({ TASK: 2, REJECTED: OBJECTS - 2 });
  const rejected = await rows.all<{ key: string }>(
    'select source_key as key from failed_files order by ordinal',
  );
  expect(rejected.map(({ key }) => key)).toEqual(expected.filter((key) => !clips.has(key)));
  // A kill leaves a lease behind; so does a server that stands still for longer than that.
  const left = (await readAudit(rows)).filter(
    ({ kind }) => kind === 'lost lease' || kind === 'failure',
  ).length;
  await rows.close();
  const { import: found } = await client.query(TASKS, { id });
  expect(found?.tasks.nodes).toEqual(
    [...clips].map(([sourceKey, bytes]) => ({
      sourceKey,
      status: 'READY',
      video: { sha256: sha256(bytes) },
    })),
  );

  // Each start goes on where the last page that was stored ended.
  const beginnings = s3.requests.filter(
    ({ operation, query }) =>
      operation === 'ListObjectsV2' && !query.has('continuation-token') && !query.has('start-after'),
  );
  expect(beginnings).toHaveLength(1);
  // Each run that ended early, and the call of startImport that hands over to the job when its time is up: each costs at most
  // the page that was not stored yet and the one that was asked for ahead.
  expect(pages()).toBeLessThanOrEqual(20 + (left + 1) * 2);
  await installation.end(server, 'SIGTERM');
  await gone(installation.all, 'the end of everything that was started');
}, 300_000);
