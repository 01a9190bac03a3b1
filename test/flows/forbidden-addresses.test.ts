import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Origin, startOrigin, startVictim } from '../sources/origin.ts';
import { graphql } from '../support/graphql.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const IMPORT = graphql(`
  mutation ForbiddenImport($input: StartImportInput!) {
    startImport(input: $input) {
      __typename
      ... on StartImportSuccess {
        import {
          id
          tasks(first: 50) { nodes { id } }
          failedFiles(first: 50) { nodes { externalId error { code message retryable } } }
        }
      }
      ... on InvalidInputError { message issues { path code message } }
    }
  }
`);
const TASKS = graphql(`
  query ForbiddenTasks($id: ID!) {
    import(id: $id) { finished state tasks(first: 50) { nodes { status attempts error { code message } } } }
  }
`);

let server: TestServer;
let rows: Rows;
let origin: Origin;
let victim: Awaited<ReturnType<typeof startVictim>>;
/** What the origin answers a request with: how often this path was asked for, from 0, and a status and a place. */
let redirect: (path: string, times: number) => readonly [status: number, location?: string] = () => [404];

beforeAll(async () => {
  const asked = new Map<string, number>();
  origin = await startOrigin((request, response) => {
    const path = request.url ?? '';
    const times = asked.get(path) ?? 0;
    asked.set(path, times + 1);
    const [status, location] = redirect(path, times);
    response.writeHead(status, location === undefined ? {} : { location }).end();
  });
  victim = await startVictim('127.0.0.1');
  server = await startTestServer({ SLUICE_ALLOW_ADDRESSES: origin.allow, SLUICE_PLAN_SECONDS: '20' });
  rows = await openRows(server.databaseUrl);
});

afterAll(async () => {
  await rows.close();
  await server.stop();
  await victim.close();
  await origin.close();
});

const inputOf = (urls: readonly string[], more: { readonly idempotencyKey?: string } = {}) => ({
  from: {
    videos: {
      systemName: 'dam',
      videos: urls.map((url) => ({ externalId: url.slice(0, 255), url, fileName: 'video.mp4' })),
    },
  },
  ...more,
});

async function startImport(urls: readonly string[]) {
  const { startImport: result } = await server.query(IMPORT, { input: inputOf(urls) });
  if (result.__typename !== 'StartImportSuccess') throw new Error(JSON.stringify(result));
  return result.import;
}

/** Hosts that are this machine, its network or the cloud around it, however they are written. */
const HOSTS = [
  '127.0.0.1',
  '127.0.0.2',
  '127.1',
  '0x7f.1',
  '0x7f000001',
  '2130706433',
  '017700000001',
  '①②⑦.⓪.⓪.①',
  '%31%32%37.0.0.1',
  '127.0.0.1.',
  '0.0.0.0',
  '0',
  '[::1]',
  '[::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::]',
  '[2001:0:7f00:1::]',
  '[fe80::1]',
  '[fd00::1]',
  '[ff02::1]',
  '169.254.169.254',
  '[fd00:ec2::254]',
  '10.0.0.1',
  '172.16.0.1',
  '192.168.0.1',
  '100.64.0.1',
  '192.0.0.1',
  '198.18.0.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  'localhost',
  'localhost.',
  'LOCALHOST',
  'video.localhost',
];

describe('an import from an address that nobody allowed', () => {
  test('is rejected in the answer of startImport, and nobody connects there', async () => {
    // Without a port it is the address alone that speaks against it; with one, a connection would be seen.
    const urls = HOSTS.flatMap((host) => [`http://${host}/`, `http://${host}:${victim.port}/video.mp4`]);
    const { failedFiles, tasks } = await startImport(urls.slice(0, 50));
    const more = await startImport(urls.slice(50));
    expect([...tasks.nodes, ...more.tasks.nodes]).toEqual([]);
    const rejected = [...failedFiles.nodes, ...more.failedFiles.nodes];
    expect(new Map(rejected.map(({ externalId, error }) => [externalId, error.code]))).toEqual(
      new Map(urls.map((url) => [url, 'SOURCE_FORBIDDEN_ADDRESS'])),
    );
    // One sentence for all: it must not tell what is there.
    expect(new Set(rejected.map(({ error }) => error.message)).size).toBe(1);
    expect(rejected.every(({ error }) => !error.retryable)).toBe(true);
    expect(victim.connections()).toBe(0);
  });

  test('is rejected as well at a port that is not for videos, and at another port of an allowed address', async () => {
    const urls = [
      'http://192.0.9.1:25/video.mp4',
      'http://[2600::1]:6379/',
      `http://127.0.0.1:${victim.port}/`,
    ];
    const { failedFiles } = await startImport(urls);
    expect(failedFiles.nodes.map(({ error }) => error.code)).toEqual(
      Array(3).fill('SOURCE_FORBIDDEN_ADDRESS'),
    );
    expect(victim.connections()).toBe(0);
  });

  test('is rejected when an allowed origin redirects there', async () => {
    const targets = [
      `http://127.0.0.1:${victim.port}/video.mp4`,
      `//127.0.0.1:${victim.port}/video.mp4`,
      `http://0x7f.1:${victim.port}/`,
      `http://[::ffff:127.0.0.1]:${victim.port}/`,
      `http://localhost:${victim.port}/`,
      'http://127.0.0.1/',
      'http://169.254.169.254/latest/meta-data/',
    ];
    redirect = (path) => {
      const [, first, ...rest] = path.split('/');
      // The last but one step is taken within the origin, as a redirect that looks harmless.
      return first === 'step' ? [307, `/to/${rest.join('/')}`] : [302, targets[Number(rest[0])] ?? ''];
    };
    const urls = targets.flatMap((_, index) => [
      `http://127.0.0.1:${origin.port}/to/${index}`,
      `http://127.0.0.1:${origin.port}/step/${index}`,
    ]);
    const { failedFiles, tasks } = await startImport(urls);
    expect(tasks.nodes).toEqual([]);
    expect(new Map(failedFiles.nodes.map(({ externalId, error }) => [externalId, error.code]))).toEqual(
      new Map(urls.map((url) => [url, 'SOURCE_FORBIDDEN_ADDRESS'])),
    );
    expect(victim.connections()).toBe(0);
  });

  test('fails for good when the redirect comes only with the transfer', async () => {
    redirect = (_path, times) => (times === 0 ? [503] : [302, `http://127.0.0.1:${victim.port}/video.mp4`]);
    const { id, failedFiles } = await startImport([`http://127.0.0.1:${origin.port}/late`]);
    expect(failedFiles.nodes).toEqual([]);
    const ended = await waitFor(async () => {
      const { import: found } = await server.query(TASKS, { id });
      return found?.finished === true && found;
    });
    expect(ended).toMatchObject({
      state: 'FAILED',
      tasks: { nodes: [{ status: 'FAILED', attempts: 1, error: { code: 'SOURCE_FORBIDDEN_ADDRESS' } }] },
    });
    expect(victim.connections()).toBe(0);
  });
});

describe('an import from what is no plain http or https URL', () => {
  const BAD = [
    'file:///etc/passwd',
    'ftp://example.com/video.mp4',
    'data:video/mp4;base64,AAAA',
    'gopher://example.com/',
    'javascript:alert(1)',
    'concat:a.mp4|b.mp4',
    's3://bucket/video.mp4',
    '/etc/passwd',
    'http://',
    '',
    'http://user:pass-word-1@example.com/video.mp4',
    'http://pass-word-2@example.com/video.mp4',
    `http://a:pass-word-3@127.0.0.1/${'x'.repeat(9000)}`,
  ];
  // Without those that a server always has, which plan themselves anew.
  const IMPORT_JOBS = `jobs where kind in ('plan-import', 'transfer-video', 'index-video', 'process-video')`;
  const TABLES = ['imports', 'import_entries', 'tasks', 'failed_files', 'idempotency_keys', IMPORT_JOBS];
  const counts = async () => {
    const found: number[] = [];
    for (const table of TABLES) found.push(await rows.count(table));
    return found;
  };

  test('is refused with the place of each of them, and nothing of it is stored', async () => {
    // A task of another test that still ends would change the counts.
    await waitFor(async () => (await rows.count(IMPORT_JOBS)) === 0);
    const before = await counts();
    const urls = ['http://example.com/good.mp4', ...BAD];
    const input = inputOf(urls, { idempotencyKey: 'refused' });
    for (const entry of input.from.videos.videos) entry.externalId ||= 'empty';
    const { startImport: result } = await server.query(IMPORT, { input });
    if (result.__typename !== 'InvalidInputError') throw new Error(JSON.stringify(result));
    expect(result.issues.map(({ path }) => path)).toEqual(
      BAD.map((_, index) => ['input', 'from', 'videos', 'videos', String(index + 1), 'url']),
    );
    expect(result.issues.every(({ code }) => code === 'INVALID')).toBe(true);
    expect(JSON.stringify(result)).not.toContain('pass-word');
    expect(await counts()).toEqual(before);
  });
});
