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
    import(id: $id) { finished state webhook { state attempts { statusCode } } }
    viewer { defaultTeam { webhookSecret } }
  }
`);

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
  const receiver = await startReceiver(replyTo);
  try {
    return await orAborted(importAndCheck(run, fleet, receiver), signal);
  } finally {
    await fleet.abandon();
    await receiver.close();
  }
}

async function importAndCheck(run: WebhookRun, fleet: Fleet, receiver: Receiver): Promise<WebhookResult> {
  const { databaseUrl, folder, imports, kills } = run;
  await fleet.startApi();
  await installOracle(databaseUrl);
  await fleet.startWorkers(2);
  const ids: string[] = [];
  for (let number = 0; number < imports; number += 1) {
    ids.push(await start(fleet, run, { number, receiver: receiver.url }));
    const killed = Math.floor((number * kills) / imports);
    if (Math.floor(((number + 1) * kills) / imports) > killed)
      await fleet.kill(killed % 2 === 0 ? 'worker' : 'api', 0.9);
  }
  const faults: string[] = [];
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
async function start(
  fleet: Fleet,
  { videos }: WebhookRun,
  { number, receiver }: { readonly number: number; readonly receiver: string },
): Promise<string> {
  const url = number % 2 === 0 ? videos.url(number) : `${videos.url(number)}/missing`;
  const entries = [{ externalId: 'one', url, fileName: 'one.mp4' }];
  const from = { videos: { systemName: `told-${number}`, videos: entries } };
  const webhook = { url: `${receiver}/${number}` };
  const input = { from, webhook, context: { number }, idempotencyKey: `told-${number}` };
  return await persist(fleet, async (client) => {
    const { startImport: result } = await client.query(START, { input });
    if (result.__typename === 'StartImportSuccess') return result.import.id;
    throw new Error(`${result.__typename}: ${'message' in result ? result.message : ''}`);
  });
}

interface Delivered {
  readonly id: string;
  readonly state: string;
  readonly secret: string;
}

/** Asks until the message about an import has arrived. */
async function delivered(fleet: Fleet, id: string): Promise<Delivered> {
  return await persist(fleet, async (client) => {
    const { import: found, viewer } = await client.query(LOOK, { id });
    const isOver = found?.finished === true && found.webhook?.state === 'DELIVERED';
    const secret = viewer.defaultTeam.webhookSecret;
    return isOver && secret !== null && { id, state: found.state, secret };
  });
}

/** What is wrong with the messages about one import: there is one, however often it came. */
function faultsOf({ id, state, secret }: Delivered, messages: readonly Received[]): readonly string[] {
  const about = `import ${id}`;
  const faults = messages.flatMap((message) => {
    try {
      const { data } = verified(message, secret);
      return data.id === id && data.state === state
        ? []
        : [`${about}: its message tells of ${String(data.id)}, ${String(data.state)}`];
    } catch {
      return [`${about}: no signature of its message is right`];
    }
  });
  const different = new Set(messages.map((message) => `${idOf(message)} ${message.body}`)).size;
  return different === 1 ? faults : [...faults, `${about}: was told of by ${different} messages`];
}
