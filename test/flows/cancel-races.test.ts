import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Canceler, Looked } from './cancel-retry.ts';
import { sha256 } from './file-origin.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';

const ROUNDS = 5;
/** Past what an import of two clips takes. */
const SPAN_MS = 2_000;
const SEED = Date.now() % 2 ** 31;

let ground: ProvingGround;

beforeAll(async () => {
  ground = await startProvingGround({ servers: 2, settings: { SLUICE_PLAN_SECONDS: '1' } });
});

afterAll(async () => {
  await ground?.stop();
});

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const KINDS = ['cancel', 'cancel', 'retry', 'retry', 'cancelTask'] as const;

interface Action {
  readonly atMs: number;
  readonly kind: (typeof KINDS)[number];
  /** Which server is asked, which import it is about, and which of its tasks: 0 or 1. */
  readonly server: number;
  readonly of: number;
  readonly task: number;
}

function planActions(random: () => number): readonly Action[] {
  const pick = (count: number) => Math.floor(random() * count);
  return Array.from({ length: 3 + pick(5) }, () => ({
    atMs: Math.floor(random() * SPAN_MS),
    kind: KINDS[pick(KINDS.length)] ?? 'cancel',
    server: pick(2),
    of: pick(2),
    task: pick(2),
  }));
}

async function act(canceler: Canceler, id: string, { kind, task }: Action): Promise<void> {
  if (kind === 'cancel') {
    expect((await canceler.cancel(id)).__typename).toBe('CancelImportSuccess');
  } else if (kind === 'retry') {
    const { __typename } = await canceler.retry(id);
    expect(['RetryImportSuccess', 'ImportCannotBeRetriedError']).toContain(__typename);
  } else {
    const found = (await canceler.look(id)).tasks.nodes[task];
    if (found) expect((await canceler.cancelTask(found.id)).__typename).toBe('CancelTaskSuccess');
  }
}

const hasOpenEnds = ({ counts }: Looked) => counts.failed + counts.canceled > 0;

/** Two imports that have a content in common; they are canceled and tried again by two servers at random moments. */
async function playRound(round: number, actions: readonly Action[]): Promise<void> {
  const [shared, left, right] = [ground.freshContent(), ground.freshContent(), ground.freshContent()];
  const ids: string[] = [];
  for (const [side, own] of [left, right].entries()) {
    const videos = [shared, own].map((bytes, n) => ({
      externalId: `v${n}`,
      url: ground.origin.put({ bytes, etag: '"1"' }),
    }));
    ids.push((await ground.canceler.start({ systemName: `round-${round}-${side}`, videos })).id);
  }
  const playing = actions.map(async (action) => {
    await sleep(action.atMs);
    const [canceler, id] = [ground.cancelers[action.server], ids[action.of]];
    if (canceler && id !== undefined) await act(canceler, id, action);
  });
  await Promise.all(playing);
  for (const id of ids) {
    const over = await ground.canceler.end(id);
    if (!hasOpenEnds(over)) continue;
    expect(await ground.canceler.retry(id)).toMatchObject({ __typename: 'RetryImportSuccess' });
    const again = await ground.canceler.end(id);
    expect(again).toMatchObject({ state: 'SUCCEEDED', counts: { failed: 0, canceled: 0 } });
  }
  for (const bytes of [shared, left, right]) {
    const videos = await ground.rows.all('select from videos where sha256 = $1', [sha256(bytes)]);
    expect(videos).toHaveLength(1);
  }
}

test('canceled and tried again at any moment, by any server: each video ends once, and each content is there once', async () => {
  const random = randomFrom(SEED);
  let told = `seed ${SEED}`;
  try {
    await ground.prove(async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const actions = planActions(random);
        told = `seed ${SEED}, round ${round}: ${JSON.stringify(actions)}`;
        await playRound(round, actions);
        await ground.expectGreenSoFar();
      }
    });
  } catch (error) {
    throw new Error(told, { cause: error });
  }
}, 600_000);
