import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { answerFile, startOrigin } from '../sources/origin.ts';
import { faultsOf, installAudit, pathsOf, readAudit } from '../support/audit.ts';
import { waitFor } from '../support/wait.ts';
import { isLook, makeContents } from './file-origin.ts';
import { createSite, type RoleProcess } from './roles-site.ts';
import { createImporter } from './url-imports.ts';

const CLIPS = 300;
const RESTARTS = 20;
const GRACE_SECONDS = 1;
/** What it takes to stop, on a machine that is busy; what it holds in its hands would take for ever. */
const STOP_SECONDS = 40;

let freshContent: Awaited<ReturnType<typeof makeContents>>;
beforeAll(async () => {
  freshContent = await makeContents();
});

/** Serves different clips; lets no more of them be transferred than it is allowed, and keeps the others waiting. */
async function startMeteredOrigin() {
  const clips = Array.from({ length: CLIPS }, freshContent);
  const waiting: (() => void)[] = [];
  let allowed = 0;
  const letThrough = () => {
    for (; allowed > 0 && waiting.length > 0; allowed -= 1) waiting.shift()?.();
  };
  const origin = await startOrigin((request, response) => {
    const number = Number((request.url ?? '').slice(1));
    const bytes = clips[number];
    if (bytes === undefined) return void response.writeHead(404).end();
    const answer = () => answerFile(request, response, bytes, { etag: `"${number}"` });
    if (isLook(request)) return answer();
    waiting.push(answer);
    response.once('close', () => {
      if (waiting.includes(answer)) waiting.splice(waiting.indexOf(answer), 1);
    });
    letThrough();
  });
  onTestFinished(() => origin.close());
  return {
    waiting: () => waiting.length,
    videos: clips.map((_, n) => ({ externalId: `v${n}`, url: `${origin.url.origin}/${n}` })),
    allow(more: number) {
      allowed += more;
      letThrough();
    },
  };
}

test('twenty restarts of two APIs and two workers in the middle of an import cost no try, and every video comes in once', async () => {
  const origin = await startMeteredOrigin();
  const site = await createSite({
    SLUICE_GRACE_SECONDS: String(GRACE_SECONDS),
    SLUICE_PLAN_SECONDS: '1',
  });
  await installAudit(site.rows);
  const slots = {
    api: await Promise.all([site.start('api'), site.start('api')]),
    worker: await Promise.all([site.start('worker'), site.start('worker')]),
  };
  const { id } = await createImporter(slots.api[0].client).start({
    systemName: 'rolling',
    videos: origin.videos,
  });

  const exits: { readonly code: number | null; readonly signal: string | null; readonly late: boolean }[] =
    [];
  const restart = async (role: 'api' | 'worker', slot: 0 | 1): Promise<void> => {
    const { ms, ...exit } = await timed(slots[role][slot]);
    exits.push({ ...exit, late: ms > (GRACE_SECONDS + STOP_SECONDS) * 1000 });
    // Each restart lets in its share, so that the last comes before the end of the import.
    origin.allow(Math.floor(CLIPS / (RESTARTS + 1)));
    slots[role][slot] = await site.start(role);
  };
  // One of each role at a time: the other goes on.
  const roll = async (role: 'api' | 'worker') => {
    for (let n = 0; n < RESTARTS / 2; n += 1) {
      if (role === 'worker') await waitFor(() => origin.waiting() > 0, { what: 'a transfer that runs' });
      await restart(role, n % 2 === 0 ? 0 : 1);
    }
  };
  await Promise.all([roll('api'), roll('worker')]);
  origin.allow(CLIPS);
  const end = await createImporter(slots.api[1].client).end(id);

  expect(exits).toEqual(Array.from({ length: RESTARTS }, () => ({ code: 0, signal: null, late: false })));
  expect(end).toMatchObject({
    state: 'SUCCEEDED',
    counts: { found: CLIPS, ready: CLIPS, failed: 0, skipped: 0, rejected: 0 },
  });
  const audit = await readAudit(site.rows);
  expect(audit.filter(({ kind }) => kind === 'failure' || kind === 'lost lease')).toEqual([]);
  const paths = pathsOf(audit, 'task');
  expect(faultsOf(paths)).toEqual([]);
  expect([...paths.values()].map((path) => path.filter((status) => status === 'READY').length)).toEqual(
    Array.from({ length: CLIPS }, () => 1),
  );
  // Work was taken out of hands that had begun it: otherwise nothing was tried here.
  expect(
    [...paths.values()].filter((path) => path.filter((status) => status === 'UPLOADING').length > 1),
  ).not.toHaveLength(0);
  expect(await site.rows.count('videos')).toBe(CLIPS);
}, 300_000);

async function timed(process: RoleProcess) {
  const began = performance.now();
  const { code, signal, stderr } = await process.end('SIGTERM');
  expect(stderr).not.toMatch(/"level":[56]0/);
  return { code, signal, ms: performance.now() - began };
}
