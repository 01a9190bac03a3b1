import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { startPacedOrigin } from '../support/paced-origin.ts';
import { firstTeam } from '../support/rows.ts';
import { TEST_KEY } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { createCanceler } from './cancel-retry.ts';
import { type FollowFeedOptions, followFeed, noTasks } from './feed.ts';
import { makeContents } from './file-origin.ts';
import { insertLargeImport } from './large-imports.ts';
import { expectAllKnown, follow, type Known, nothing, TRANSPORTS } from './live.ts';
import { createSite, type Site } from './roles-site.ts';
import { createImporter } from './url-imports.ts';

const NAMES = ['a', 'b', 'c'];
/** Bytes a second: at first so few that there is time to see how it goes. */
const RATES = { slow: 20_000, quick: 2_000_000 } as const;

let freshContent: Awaited<ReturnType<typeof makeContents>>;
beforeAll(async () => {
  freshContent = await makeContents();
});

type Api = Awaited<ReturnType<Site['start']>>;

/** Two processes that answer and run no jobs, and one that runs jobs and answers nobody. */
async function startSite() {
  const site = await createSite({ SLUICE_PLAN_SECONDS: '20' });
  const [one, other] = await Promise.all([site.start('api'), site.start('api'), site.start('worker')]);
  return { site, one, other };
}

/** Follows an import over every transport. */
function watch({ client }: Api, id: string) {
  return TRANSPORTS.map((transport) => {
    const known = nothing();
    return { known, over: follow(client, { transport, id, known }) };
  });
}

/** Follows tasks until so many of them have come to a status. @returns that, when it has begun */
async function watchTasks(
  { client }: Api,
  filter: NonNullable<FollowFeedOptions['filter']>,
  { status, count }: { readonly status: string; readonly count: number },
) {
  const known = noTasks();
  const isAll = () => [...known.tasks.values()].filter((task) => task.status === status).length === count;
  const over = followFeed(client, { transport: 'WebSocket', filter, known, until: isAll });
  await waitFor(() => known.events.length > 0, { what: 'the beginning of the feed' });
  return { over };
}

test('an import is followed to its end at either API, whichever started it', async () => {
  const { site, one, other } = await startSite();
  const origin = await startPacedOrigin(new Map(NAMES.map((name) => [name, freshContent()])), RATES.slow);
  onTestFinished(() => origin.close());
  const videos = [...NAMES, 'missing'].map((name) => ({ externalId: name, url: origin.url(name) }));
  for (const [systemName, starter] of Object.entries({ one, other })) {
    const ready = { status: 'READY', count: NAMES.length };
    origin.rate = RATES.slow;
    const feeds = await Promise.all([one, other].map((api) => watchTasks(api, { systemName }, ready)));
    const { id } = await createImporter(starter.client).start({ systemName, videos, incremental: false });
    const watching = [one, other].flatMap((api) => watch(api, id));
    // What the worker says on the way, and not only what comes of it.
    const figures = ({ events }: Known) => {
      const running = events.flatMap(({ changed }) => changed.filter(({ status }) => status === 'UPLOADING'));
      return new Set(running.map(({ progress }) => progress.fraction)).size;
    };
    await waitFor(() => watching.every(({ known }) => figures(known) > 2), { what: 'progress' });
    origin.rate = RATES.quick;
    await Promise.all([...watching, ...feeds].map(({ over }) => over));
    for (const { known } of watching) {
      await expectAllKnown(site.rows, id, known);
      expect(known.rejected).toEqual(['missing']);
    }
  }
});

test('what is canceled at one API is told at the other', async () => {
  const { site, one, other } = await startSite();
  const tasks = 250;
  const team = await firstTeam(site.rows, TEST_KEY);
  const id = await insertLargeImport(site.rows, team, { tasks, status: 'PENDING' });
  const feed = await watchTasks(other, { importId: id }, { status: 'CANCELED', count: tasks });
  const watching = watch(other, id);
  await waitFor(() => watching.every(({ known }) => known.tasks.size === tasks), { what: 'the snapshots' });
  await createCanceler(one.client).cancel(id);
  await Promise.all([...watching, feed].map(({ over }) => over));
  for (const { known } of watching) {
    expect(known.complete).toBe(true);
    expect(known.events.at(-1)?.import).toMatchObject({ state: 'CANCELED', finished: true });
    expect([...known.tasks.values()].filter(({ status }) => status === 'CANCELED')).toHaveLength(tasks);
  }
});
