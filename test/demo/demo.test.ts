import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DemoOptions } from '../../src/demo/demo.ts';
import { importDemoClips, runDemo } from '../../src/demo/demo.ts';
import type { DemoClip } from '../../src/demo/demo-clips.ts';
import { DEMO_CLIPS } from '../../src/demo/demo-clips.ts';
import type { Origin } from '../../src/demo/origin.ts';
import { startOrigin } from '../../src/demo/origin.ts';
import { startFakeServer } from './fake-server.ts';
import { event, failedFile, importState, task } from './fixtures.ts';

const KEY = 'slc_0123456789abcdef0123456789abcdef';
let folder = '';
let origin: Origin;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
  origin = await startOrigin(folder);
});
afterAll(async () => {
  await origin.close();
  await rm(folder, { recursive: true, force: true });
});

/** The event that a server would send when each clip ends as it should. */
const asItShould = (clips: readonly DemoClip[]) =>
  event({
    cursor: 'c2',
    import: importState(true),
    changed: clips.flatMap(({ fileName, expected }) => {
      if (expected.end === 'out') return [];
      const same = expected.end === 'one-of-two' && expected.twin < fileName;
      return [task(fileName, same ? { status: 'SKIPPED', skipReason: 'SAME_CONTENT' } : { status: 'READY' })];
    }),
    rejected: clips.flatMap(({ fileName, expected }) =>
      expected.end === 'out' ? [failedFile(fileName, expected.code)] : [],
    ),
  });

/** Runs the demo against a server that ends these clips as they should, and says nothing of the others. */
const run = async (clips: readonly DemoClip[], demo: (options: DemoOptions) => Promise<boolean>) => {
  const statuses = new Map<string, number>();
  const server = await startFakeServer({
    apiKey: KEY,
    startImport: async (input) => {
      const { from } = input as { from: { videos: { videos: { fileName: string; url: string }[] } } }; // as the schema says
      for (const { fileName, url } of from.videos.videos) {
        statuses.set(fileName, (await fetch(url, { method: 'HEAD' })).status);
      }
      const [tasks, failedFiles] = [{ nodes: [] }, { nodes: [] }];
      return { __typename: 'StartImportSuccess', import: { ...importState(), tasks, failedFiles } };
    },
    importProgress: () => [event({ cursor: 'c1', snapshot: true }), asItShould(clips)],
  });
  const written: string[] = [];
  const out = { write: (text: string) => written.push(text), isTTY: true, columns: 100, rows: 40 };
  const { signal } = new AbortController();
  const graphiqlUrl = `${server.endpoint}#key=${KEY}`;
  try {
    const met = await demo({ endpoint: server.endpoint, apiKey: KEY, origin, out, signal, graphiqlUrl });
    return { met, statuses, text: stripVTControlCharacters(written.join('')) };
  } finally {
    await server.close();
  }
};

test('every clip is there for the server to fetch, and the demo tells that all ended as expected', async () => {
  const { met, statuses, text } = await run(DEMO_CLIPS, runDemo);
  expect(Object.fromEntries(statuses)).toEqual(
    Object.fromEntries(DEMO_CLIPS.map(({ fileName }) => [fileName, fileName === 'gone.mp4' ? 404 : 200])),
  );
  expect(text).toContain(`All ${DEMO_CLIPS.length} clips ended as expected.`);
  for (const { fileName } of DEMO_CLIPS) expect(text).toContain(fileName);
  expect(text).toMatch(/GraphiQL: http:\/\/127\.0\.0\.1:\d+\/graphql#key=slc_/);
  expect(met).toBe(true);
});

test('a clip that does not end as expected is named, and the demo has failed', async () => {
  const withoutPhone = DEMO_CLIPS.filter(({ fileName }) => fileName !== 'phone.mov');
  const { met, text } = await run(withoutPhone, (options) => importDemoClips('demo', options));
  expect(met).toBe(false);
  expect(text).toContain('expected: READY; it is WAITING');
  expect(text).toContain(`1 of ${DEMO_CLIPS.length} clips did not end as expected.`);
});
