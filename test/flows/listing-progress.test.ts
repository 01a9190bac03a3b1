import { expect, onTestFinished, test } from 'vitest';
import { graphql, type ResultOf } from '../support/graphql.ts';
import { startS3 } from '../support/s3.ts';
import { startTestServer } from '../support/server.ts';
import { makeContents } from './file-origin.ts';
import { allOf, bucketAt, createObjectImporter, expectSum, tally } from './object-imports.ts';

const PROGRESS = graphql(`
  subscription ListingProgress($id: ID!) {
    importProgress(id: $id) {
      snapshot
      import {
        state finished
        counts { found undecided rejected pending uploading validating queued indexing ready skipped failed canceled }
      }
      changed { sourceKey status }
      rejected { sourceKey }
    }
  }
`);

const numbered = (count: number) =>
  Array.from({ length: count }, (_, n) => `${String(n).padStart(4, '0')}.mp4`);

test('progress shows the planning as it goes, and what was found is what became of it in every event', async () => {
  const s3 = await startS3();
  onTestFinished(() => s3.stop());
  const server = await startTestServer({ SLUICE_PLAN_SECONDS: '0.3' });
  onTestFinished(() => server.stop());
  const importer = createObjectImporter(server);
  const freshContent = await makeContents();
  const bucket = 'library';
  s3.createBucket(bucket);
  for (const key of numbered(400)) s3.put(bucket, `${key}.txt`, 'no video', { contentType: 'text/plain' });
  for (const key of numbered(200)) s3.put(bucket, key, '');
  const clips = ['0100.mp4', '0300.mp4.txt'];
  for (const key of clips) s3.put(bucket, key, freshContent());
  const integration = await importer.integrate(bucketAt(s3, bucket));
  s3.latencyMs = 300;
  s3.maxKeys = 60;

  const { id, state } = await importer.start(allOf(integration));
  expect(state).toBe('PLANNING');
  const events: ResultOf<typeof PROGRESS>['importProgress'][] = [];
  for await (const { importProgress } of server.overWebSocket(PROGRESS, { id })) {
    events.push(importProgress);
    // It goes slowly until enough of it was told.
    if (FIGURES.every(([name, least]) => differentWhilePlanning(events, name) >= least)) s3.latencyMs = 0;
  }
  expectGrowth(events);
  const rejected = events.flatMap((event) => event.rejected.map(({ sourceKey }) => sourceKey));
  expect(rejected).toHaveLength(598);
  expect(new Set(rejected).size).toBe(598);
  const changed = events.flatMap((event) => event.changed);
  expect(new Set(changed.map(({ sourceKey }) => sourceKey))).toEqual(new Set(clips));
  expect((await importer.end(id)).counts).toMatchObject({ found: 600, ready: 2, rejected: 598 });
});

interface Event {
  readonly import: { readonly state: string; readonly finished: boolean; readonly counts: Counts };
}
type Counts = Parameters<typeof expectSum>[0];

/** How many different values of a count have to be told of, at least, while the import is being planned. */
const FIGURES = [
  ['found', 3],
  ['rejected', 3],
  ['undecided', 2],
] as const;

const whilePlanning = (events: readonly Event[], name: keyof Counts) =>
  events.filter((event) => event.import.state === 'PLANNING').map((event) => event.import.counts[name]);
const differentWhilePlanning = (events: readonly Event[], name: keyof Counts) =>
  new Set(whilePlanning(events, name)).size;

function expectGrowth(events: readonly Event[]): void {
  for (const event of events) expectSum(event.import.counts);
  for (const [name, least] of FIGURES)
    expect(differentWhilePlanning(events, name), name).toBeGreaterThanOrEqual(least);
  for (const name of ['found', 'rejected'] as const) {
    const figures = whilePlanning(events, name);
    expect(figures).toEqual([...figures].sort((a, b) => a - b));
  }
  expect(Math.max(...whilePlanning(events, 'undecided'))).toBeGreaterThan(0);
  const states = Object.keys(tally(events.map((event) => event.import.state)));
  expect(states.at(0)).toBe('PLANNING');
  expect(events.at(-1)?.import).toMatchObject({ finished: true, state: 'SUCCEEDED', counts: { found: 600 } });
}
