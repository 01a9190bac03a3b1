import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { residentMemory } from '../../src/media/resident-memory.ts';
import { makeHostileFiles } from '../media/support/hostile-imports.ts';
import { answerFile, startOrigin, startVictim } from '../sources/origin.ts';
import { createTestClient, type TestClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { graphql, type ResultOf } from '../support/graphql.ts';
import { createDataDir, descendantsOf, startServer } from '../support/process.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const MIB = 1024 * 1024;
const IMPORT = graphql(`
  mutation HostileImport($input: StartImportInput!) {
    startImport(input: $input) { __typename ... on StartImportSuccess { import { id } } }
  }
`);
const OUTCOMES = graphql(`
  query HostileOutcomes($id: ID!) {
    import(id: $id) {
      finished
      tasks(first: 50) {
        nodes { externalId status attempts error { code message } systemMetadata { duration width height } }
      }
      failedFiles(first: 50) { nodes { externalId error { code message } } }
    }
  }
`);
const OTHER = graphql(
  `query HostileOther { imports(first: 5) { totalCount } videos(first: 5) { totalCount } }`,
);

/** Asks for other things all the time, and tells how long the slowest answer took, in milliseconds. */
function keepAsking(client: TestClient) {
  let [going, slowest, answers] = [true, 0, 0];
  const asking = (async () => {
    for (; going; await sleep(10)) {
      const begun = performance.now();
      await client.query(OTHER);
      slowest = Math.max(slowest, performance.now() - begun);
      answers += 1;
    }
  })();
  return async () => {
    going = false;
    await asking;
    return { slowest, answers };
  };
}

/** Looks at a process's memory all the time, and tells the most that it held. */
function watchMemory(pid: number) {
  let most = 0;
  const timer = setInterval(
    () =>
      void residentMemory(pid).then((bytes) => {
        most = Math.max(most, bytes);
      }),
    50,
  );
  return () => {
    clearInterval(timer);
    return most;
  };
}

type Outcomes = NonNullable<ResultOf<typeof OUTCOMES>['import']>;

async function importAll(client: TestClient, urls: ReadonlyMap<string, string>): Promise<Outcomes> {
  const videos = [...urls].map(([name, url]) => ({ externalId: name, url, fileName: 'video.mp4' }));
  // Each way in is judged on its own: nothing may be known from the other.
  const input = { from: { videos: { systemName: `dam-${urls.size}`, videos } }, incremental: false };
  const { startImport } = await client.query(IMPORT, { input });
  if (startImport.__typename !== 'StartImportSuccess') throw new Error(startImport.__typename);
  const { id } = startImport.import;
  return await waitFor(
    async () => {
      const { import: found } = await client.query(OUTCOMES, { id });
      return found?.finished === true && found;
    },
    { timeout: 120_000, what: 'the end of the import' },
  );
}

function outcomesOf({ tasks, failedFiles }: Outcomes): Record<string, string> {
  const ended = tasks.nodes.map(({ externalId, status, error }) => [externalId, error?.code ?? status]);
  const rejected = failedFiles.nodes.map(({ externalId, error }) => [externalId, error.code]);
  return Object.fromEntries([...ended, ...rejected]);
}

test('hostile files end with their codes, judged ahead or after their transfer, and cost nobody else anything', async () => {
  const victim = await startVictim('127.0.0.1');
  const target = `http://127.0.0.1:${victim.port}/video.mp4`;
  const files = await makeHostileFiles(target);
  const origin = await startOrigin((request, response) => {
    const [, way, name = ''] = (request.url ?? '').split('/');
    const bytes = files[name]?.bytes;
    // Who asks for a part looks ahead of the transfer: where that is refused for now, it takes the transfer to tell.
    if (way === 'whole' && request.headers.range !== undefined) response.writeHead(503).end();
    else if (bytes === undefined) response.writeHead(404).end();
    else answerFile(request, response, bytes, { etag: `"${name}"` });
  });
  const database = await createTestDatabase();
  const server = await startServer({
    ...serverSettings({ databaseUrl: database.url, dataDir: await createDataDir() }),
    SLUICE_LOG_LEVEL: 'info',
  });
  const client = createTestClient({ url: server.url, key: TEST_KEY });
  const urlsOf = (way: string, names: readonly string[]) =>
    new Map(names.map((name) => [name, `${origin.url.origin}/${way}/${name}`]));
  // One of each kind that is sound, so that children run and caches are warm before anything is measured.
  await importAll(client, urlsOf('ranges', ['good.mp4', 'good.webm']));

  const before = await residentMemory(server.pid);
  const mostMemory = watchMemory(server.pid);
  const stopAsking = keepAsking(client);
  const names = Object.keys(files);
  const ahead = await importAll(client, urlsOf('ranges', names));
  const after = await importAll(client, urlsOf('whole', [...names, 'missing.mp4']));
  const { slowest, answers } = await stopAsking();

  const expected = Object.fromEntries(names.map((name) => [name, files[name]?.expected]));
  expect(outcomesOf(ahead)).toEqual(expected);
  expect(outcomesOf(after)).toEqual({ ...expected, 'missing.mp4': 'SOURCE_NOT_FOUND' });
  // Ahead, what is broken becomes no task; afterwards it is one that failed at its first attempt.
  expect(ahead.tasks.nodes.map(({ externalId }) => externalId).sort()).toEqual(['good.mp4', 'good.webm']);
  expect(after.failedFiles.nodes).toEqual([]);
  expect(after.tasks.nodes.filter(({ attempts }) => attempts !== 1)).toEqual([]);
  expect(JSON.stringify([ahead, after])).not.toMatch(/\/etc\/passwd|sluice-process-|127\.0\.0\.1:/);
  expect(victim.connections()).toBe(0);

  expect(answers).toBeGreaterThan(10);
  // Nobody waits for that work, which takes longer; a busy machine may stand still for some seconds.
  expect(slowest).toBeLessThan(10_000);
  expect(mostMemory() - before).toBeLessThan(80 * MIB);
  // The same process all along, and it has not lost its children either.
  expect((await fetch(`${server.url}/health/ready`)).status).toBe(200);
  expect((await descendantsOf(server.pid)).length).toBeGreaterThan(0);
  const { code, stderr } = await server.end('SIGTERM');
  expect(code).toBe(0);
  expect(stderr).not.toMatch(/"level":[56]0/);
  await Promise.all([origin.close(), victim.close(), database.drop()]);
}, 240_000);
