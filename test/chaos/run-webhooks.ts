import { join } from 'node:path';
import { graphql } from '../support/graphql.ts';
import { finishDeletions } from '../support/oracle/deletions.ts';
import { checkOracle, installOracle } from '../support/oracle.ts';
import {
  idOf,
  type Received,
  type Receiver,
  type Reply,
  reset,
  startReceiver,
  verified,
} from '../support/receiver.ts';
import { createFleet, type Fleet } from './fleet.ts';
import { persist } from './import-calls.ts';
import { orAborted } from './run-import.ts';
import type { SmallVideos } from './small-videos.ts';

const START = graphql(`
  mutation ChaosTold($input: StartImportInput!) {
    startImport(input: $input) { __typename ... on Error { message } ... on StartImportSuccess { import { id } } }
  }
`);
const LOOK = graphql(`
  query ChaosToldLook($id: ID!) {
    import(id: $id) { finished state webhook { state } }
  }
`);
const SECRET = graphql(`query ChaosToldSecret { viewer { defaultTeam { webhookSecret } } }`);

/** Imports that tell somebody of their end while processes are killed. */
export interface WebhookRun {
  readonly databaseUrl: string;
  readonly folder: string;
  readonly videos: SmallVideos;
  readonly imports: number;
  /** SIGKILLs, of a worker and of the API by turns; spread over the imports. */
  readonly kills: number;
  readonly signal: AbortSignal;
}

/** What came of it. */
export interface WebhookResult {
  /** Every promise that was not kept, a sentence each. */
  readonly violations: readonly string[];
  /** How many messages came in, those that came again too. */
  readonly messages: number;
}

/**
 * Starts imports of one video each, of which every second is not there, with processes of their own; receivers fail at first
 * now and then. Everything that it started has ended when it settles.
 * @throws Error when an import or its message does not come to its end; the signal's reason when that is aborted
 */
export async function runWebhooks(run: WebhookRun): Promise<WebhookResult> {
  const { databaseUrl, folder, signal } = run;
  const settings = { SLUICE_RETRY_BASE_SECONDS: '0.01', SLUICE_WEBHOOK_TIMEOUT_SECONDS: '2' };
  const fleet = createFleet({ databaseUrl, folder, settings });
  const told: { receiver: Receiver | null } = { receiver: null };
  const work = async () => {
    await fleet.startApi();
    const faults: string[] = [];
    told.receiver = await startVerifyingReceiver(await secretOf(fleet), faults);
    return await importAndCheck({ ...run, fleet, faults, receiver: told.receiver });
  };
  try {
    return await orAborted(work(), signal);
  } finally {
    await fleet.abandon();
    await told.receiver?.close();
  }
}

/** Each message is verified as it comes, for a signature holds for some minutes only. */
function startVerifyingReceiver(secret: string, faults: string[]): Promise<Receiver> {
  return startReceiver((message, nth) => {
    try {
      verified(message, secret);
    } catch (error) {
      faults.push(`message ${idOf(message)}: is not signed as it should be: ${String(error)}`);
    }
    return replyTo(message, nth);
  });
}

interface RunningWebhooks extends WebhookRun {
  readonly fleet: Fleet;
  readonly receiver: Receiver;
  /** Those that were seen so far. */
  readonly faults: string[];
}

async function importAndCheck(run: RunningWebhooks): Promise<WebhookResult> {
  const { databaseUrl, folder, imports, kills, fleet, receiver, faults } = run;
  await installOracle(databaseUrl);
  await fleet.startWorkers(2);
  const ids: string[] = [];
  for (let number = 0; number < imports; number += 1) {
    const started = start(run, number);
    started.catch(() => {}); // Is waited for below, unless the kill fails.
    const killed = Math.floor((number * kills) / imports);
    const isKilled = Math.floor(((number + 1) * kills) / imports) > killed;
    // In the middle of the call, of planning and of deliveries.
    if (isKilled) await fleet.kill(killed % 2 === 0 ? 'worker' : 'api', 0.9);
    ids.push(await started);
  }
  for (const [number, id] of ids.entries())
    faults.push(...faultsOf(await delivered(fleet, id), receiver.at(`/${number}`)));
  await finishDeletions(databaseUrl);
  await fleet.stop();
  const checked = { databaseUrl, storage: join(folder, 'media'), accepted: { imports: ids } };
  const violations = [...fleet.faults, ...faults, ...(await checkOracle(checked))];
  return { violations, messages: receiver.received.length };
}

function replyTo({ path }: Received, nth: number): Reply {
  const number = Number(path.slice(1));
  if (nth > 0 || number % 3 === 0) return 200;
  return number % 3 === 1 ? 500 : reset;
}

/** Starts one as a client does that repeats what was not answered, with the same key. */
async function start({ fleet, videos, receiver }: RunningWebhooks, number: number): Promise<string> {
  const url = number % 2 === 0 ? videos.url(number) : `${videos.url(number)}/missing`;
  const entries = [{ externalId: 'one', url, fileName: 'one.mp4' }];
  const from = { videos: { systemName: `told-${number}`, videos: entries } };
  const webhook = { url: `${receiver.url}/${number}` };
  const input = { from, webhook, context: { number }, idempotencyKey: `told-${number}` };
  return await persist(fleet, async (client) => {
    const { startImport: result } = await client.query(START, { input });
    if (result.__typename === 'StartImportSuccess') return result.import.id;
    throw new Error(`${result.__typename}: ${'message' in result ? result.message : ''}`);
  });
}

/** What signs the messages of its team. */
async function secretOf(fleet: Fleet): Promise<string> {
  return await persist(fleet, async (client) => {
    const { viewer } = await client.query(SECRET);
    return viewer.defaultTeam.webhookSecret ?? false;
  });
}

interface Delivered {
  readonly id: string;
  readonly state: string;
}

/** Asks until the message about an import has arrived. */
async function delivered(fleet: Fleet, id: string): Promise<Delivered> {
  return await persist(fleet, async (client) => {
    const { import: found } = await client.query(LOOK, { id });
    const isOver = found?.finished === true && found.webhook?.state === 'DELIVERED';
    return isOver && { id, state: found.state };
  });
}

/** What is wrong with the messages about one import: there is one, however often it came. */
function faultsOf({ id, state }: Delivered, messages: readonly Received[]): readonly string[] {
  const about = `import ${id}`;
  const different = [...new Set(messages.map((message) => `${idOf(message)} ${message.body}`))];
  const [only] = messages;
  if (different.length !== 1 || only === undefined)
    return [`${about}: was told of by ${different.length} messages`];
  const { data } = JSON.parse(only.body) as { data: Record<string, unknown> }; // verified as it came
  return data.id === id && data.state === state
    ? []
    : [`${about}: its message tells of ${String(data.id)}, ${String(data.state)}`];
}
