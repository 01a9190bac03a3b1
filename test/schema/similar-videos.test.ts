import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type DatabaseClient } from '../../src/db/client.ts';
import { transaction } from '../../src/db/transaction.ts';
import { storeFingerprint } from '../../src/services/fingerprints.ts';
import { graphql } from '../support/graphql.ts';
import {
  firstTeam,
  insertFinishedImport,
  insertTeam,
  openRows,
  type Rows,
  type TeamRows,
} from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const SIMILAR = graphql(`
  query Similar($id: ID!, $limit: Int! = 10, $minSimilarity: Float! = 0.8) {
    video(id: $id) {
      similar(limit: $limit, minSimilarity: $minSimilarity) {
        similarity
        video { id name index { id } tasks { nodes { id } } }
      }
    }
  }
`);
const DEFAULTS = graphql(`query SimilarDefaults($id: ID!) { video(id: $id) { similar { video { id } } } }`);
const DEEP = graphql(`
  query SimilarDeep {
    videos(first: 100) { nodes { similar(limit: 50) { video { similar(limit: 50) { similarity } } } } }
  }
`);
const PAGE = graphql(`
  query SimilarPage($minSimilarity: Float!) {
    videos(first: 100) { nodes { similar(limit: 1, minSimilarity: $minSimilarity) { similarity } } }
  }
`);
const NOTHING = graphql(`query SimilarNothing { viewer { keyName } }`);
const REMOVE = graphql(`mutation SimilarRemove($id: ID!) { deleteVideo(id: $id) { __typename } }`);

let server: TestServer;
let rows: Rows;
let client: DatabaseClient;
let team: TeamRows;
let other: TeamRows;
const unused = new Map<TeamRows, string[]>();

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  client = createDatabase({
    url: server.databaseUrl,
    log: pino({ level: 'silent' }),
    applicationName: 'test',
    max: 2,
  });
  team = await firstTeam(rows, server.key);
  other = await insertTeam(rows, 'Others');
  unused.set(team, await insertVideos(team, 100)).set(other, await insertVideos(other, 2));
});

afterAll(async () => {
  await client?.close();
  await rows?.close();
  await server?.stop();
});

/** Videos of which nothing is known but their rows. */
const takeVideos = (owner: TeamRows, count: number) => unused.get(owner)?.splice(0, count) ?? [];

async function insertVideos(owner: TeamRows, count: number): Promise<string[]> {
  const importId = await insertFinishedImport(rows, owner, { tasks: count });
  const found = await rows.all<{ id: string }>('select video_id as id from tasks where import_id = $1', [
    importId,
  ]);
  return found.map(({ id }) => id);
}

/** Numbers that look random and are the same each time. */
function* numbersFrom(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) >>> 0;
  }
}

/** A hash of 64 bits for every quarter of a second of a picture that nobody else has. */
function film(seed: number, count = 40): readonly bigint[] {
  const numbers = numbersFrom(seed);
  return Array.from(
    { length: count },
    () => (BigInt(numbers.next().value) << 32n) | BigInt(numbers.next().value),
  );
}

/** The same with so many bits of each picture changed. */
const changed = (hashes: readonly bigint[], bits: number) =>
  hashes.map((hash, at) =>
    Array.from({ length: bits }, (_, n) => 1n << BigInt((at * 7 + n * 11) % 64)).reduce(
      (a, b) => a ^ b,
      hash,
    ),
  );

function store(owner: TeamRows, id: string, hashes: readonly bigint[]): Promise<void> {
  const frames = hashes.map((hash, n) => ({ at: n * 0.25, hash: hash.toString(16).padStart(16, '0') }));
  return transaction(client.db, (tx) => storeFingerprint(tx, { id, teamId: owner.teamId }, { frames }));
}

interface Bounds {
  readonly limit?: number;
  readonly minSimilarity?: number;
}

async function similarTo(id: string, bounds: Bounds = {}) {
  const { video } = await server.query(SIMILAR, { id: `vid_${id}`, ...bounds });
  return (
    video?.similar?.map((found) => ({ id: found.video.id.slice(4), similarity: found.similarity })) ?? null
  );
}

const idsOf = (found: readonly { readonly id: string }[] | null) => found?.map(({ id }) => id);

test('videos that look the same come nearest first, and neither the video itself nor any that look otherwise', async () => {
  const [original = '', same = '', recoded = '', trimmed = '', unlike = ''] = takeVideos(team, 5);
  expect(await similarTo(original)).toBeNull();
  await store(team, original, film(1));
  expect(await similarTo(original)).toEqual([]);
  await store(team, same, film(1));
  await store(team, recoded, changed(film(1), 4));
  await store(team, trimmed, film(1).slice(4, -4));
  await store(team, unlike, film(2));
  const found = await similarTo(original);
  expect(idsOf(found)).toEqual([same, recoded, trimmed]);
  expect(found?.[0]?.similarity).toBe(1);
  expect(found?.[1]?.similarity).toBeCloseTo(1 - (4 / 32) ** 2, 5);
  expect(found?.[2]?.similarity).toBeCloseTo((2 * 32) / 72, 5);
  // Whichever of the two is asked for.
  for (const { id, similarity } of found ?? [])
    expect((await similarTo(id))?.find((one) => one.id === original)?.similarity).toBeCloseTo(similarity, 5);
  expect(idsOf(await similarTo(original, { minSimilarity: 0.9 }))).toEqual([same, recoded]);
  expect(idsOf(await similarTo(original, { limit: 1 }))).toEqual([same]);
  const { video } = await server.query(DEFAULTS, { id: `vid_${original}` });
  expect(video?.similar).toHaveLength(3);
});

test('a video of another team, or one that was deleted, is never there', async () => {
  const [mine = '', copy = ''] = takeVideos(team, 2);
  const [theirs = ''] = takeVideos(other, 1);
  for (const id of [mine, copy]) await store(team, id, film(3));
  await store(other, theirs, film(3));
  // A fingerprint under the id of another team is none of anybody.
  await store(other, mine, film(4));
  await store(team, mine, film(3));
  expect(idsOf(await similarTo(mine))).toEqual([copy]);
  expect((await server.send(SIMILAR, { id: `vid_${theirs}` })).data?.video).toBeNull();
  expect(await server.query(REMOVE, { id: `vid_${copy}` })).toMatchObject({
    deleteVideo: { __typename: 'DeleteVideoSuccess' },
  });
  expect(await similarTo(mine)).toEqual([]);
  expect(await rows.all('select from video_fingerprints where video_id = $1', [copy])).toEqual([]);
  expect(await rows.all('select from video_fingerprint_bands where video_id = $1', [copy])).toEqual([]);
  // Its analysis may end after it was deleted.
  await store(team, copy, film(3));
  expect(await similarTo(mine)).toEqual([]);
});

test('what a video looked like before its content was replaced counts no more', async () => {
  const [first = '', second = ''] = takeVideos(team, 2);
  await store(team, first, film(5));
  await store(team, second, film(5));
  await rows.all('update videos set sha256 = $2 where id = $1', [second, 'f'.repeat(64)]);
  expect(await similarTo(second)).toBeNull();
  expect(await similarTo(first)).toEqual([]);
  await store(team, second, film(6));
  expect(await similarTo(second)).toEqual([]);
  await store(team, second, film(5));
  expect(idsOf(await similarTo(second))).toEqual([first]);
});

test('a video in which there is nothing to see is like no other', async () => {
  const [blank = '', another = ''] = takeVideos(team, 2);
  await store(team, blank, []);
  await store(team, another, []);
  expect(await similarTo(blank, { minSimilarity: 0 })).toEqual([]);
});

test('of videos that are as near, the order stays; the limit holds', async () => {
  const videos = takeVideos(team, 60);
  for (const id of videos) await store(team, id, film(7));
  const [first = '', ...others] = [...videos].sort();
  expect(idsOf(await similarTo(first, { limit: 50 }))).toEqual(others.slice(0, 50));
});

test.each<[Bounds, string]>([
  [{ limit: 0 }, 'limit must be 1 to 50, not 0.'],
  [{ limit: -1 }, 'limit must be 1 to 50, not -1.'],
  [{ limit: 51 }, 'limit must be 1 to 50, not 51.'],
  [{ minSimilarity: -0.01 }, 'minSimilarity must be 0 to 1, not -0.01.'],
  [{ minSimilarity: 1.01 }, 'minSimilarity must be 0 to 1, not 1.01.'],
])('%o is refused', async (bounds, message) => {
  const [id = ''] = takeVideos(team, 1);
  const { errors } = await server.send(SIMILAR, { id: `vid_${id}`, ...bounds });
  expect(errors).toMatchObject([{ message, extensions: { code: 'BAD_USER_INPUT' } }]);
});

test('comparing all with all is too much for one operation', async () => {
  const { errors } = await server.send(DEEP);
  expect(errors?.[0]?.extensions?.code).toBe('QUERY_TOO_COMPLEX');
});

test('a page that asks it of each of its films leaves others their turns', async () => {
  const films = takeVideos(team, 30);
  for (const [at, id] of films.entries()) await store(team, id, film(9_000 + at, 2_000));
  const longestTurn = watchTurns();
  // On a slow machine it takes longer than an operation may.
  const page = server.query(PAGE, { minSimilarity: 0.5 }).catch(() => null);
  for (let asked = 0; asked < 20; asked += 1) {
    await server.query(NOTHING);
    await sleep(20);
  }
  // All of it at once would take seconds.
  expect(longestTurn()).toBeLessThan(2_500);
  await page;
});

/**
 * Watches for how long one turn of the event loop keeps the others waiting.
 * @returns ends that, and tells the most: in milliseconds of the processor, of which a busy machine takes nothing
 */
function watchTurns(): () => number {
  let before = process.cpuUsage();
  let longest = 0;
  const look = () => {
    const { user, system } = process.cpuUsage(before);
    before = process.cpuUsage();
    longest = Math.max(longest, (user + system) / 1_000);
  };
  const timer = setInterval(look, 5);
  return () => {
    clearInterval(timer);
    look();
    return longest;
  };
}
