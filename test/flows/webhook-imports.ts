import pg from 'pg';
import type { TestClient } from '../support/client.ts';
import { graphql, type ResultOf } from '../support/graphql.ts';
import { waitFor } from '../support/wait.ts';

const TOLD = graphql(`
  fragment Told on Import @_unmask {
    id state finished hasFailures runs context finishedAt
    webhook { url state nextAttemptAt attempts { at statusCode error durationMs } }
    counts {
      found undecided rejected uploading validating pending queued indexing ready skipped failed canceled
    }
  }
`);
const START = graphql(
  `mutation ToldStart($input: StartImportInput!) {
    startImport(input: $input) {
      __typename
      ... on InvalidInputError { message issues { path code message } }
      ... on StartImportSuccess { import { ...Told } }
    }
  }`,
  [TOLD],
);
const LOOK = graphql(`query ToldLook($id: ID!) { import(id: $id) { ...Told } }`, [TOLD]);
const REDELIVER = graphql(
  `mutation ToldAgain($id: ID!) {
    redeliverWebhook(importId: $id) {
      __typename
      ... on InvalidInputError { issues { path code } }
      ... on NotFoundError { path }
      ... on RedeliverWebhookSuccess { import { ...Told } }
    }
  }`,
  [TOLD],
);
const SECRET = graphql(`query ToldSecret { viewer { defaultTeam { webhookSecret } } }`);

/** An import, and where its webhook stands. */
export type Told = ResultOf<typeof TOLD>;

/** What an import is started with beside its one video, which is not there. */
interface ToldOptions {
  readonly url?: string;
  readonly context?: unknown;
  /** The URL of its video. */
  readonly video?: string;
  readonly idempotencyKey?: string;
}

/** Starts imports that tell somebody of their end, and looks at what became of that. */
export interface Teller {
  /** The whole answer. */
  ask(options: ToldOptions): Promise<ResultOf<typeof START>['startImport']>;
  /** Starts an import that fails in no time, unless its video is there. */
  start(options: ToldOptions): Promise<Told>;
  look(id: string): Promise<Told>;
  /** Asks until it is as wished; tries that are due are not left to the next look of the workers. */
  until(id: string, is: (told: Told) => boolean): Promise<Told>;
  /** From its start until its message has arrived or was given up. */
  over(options: ToldOptions): Promise<Told>;
  redeliver(id: string): Promise<ResultOf<typeof REDELIVER>['redeliverWebhook']>;
  secret(): Promise<string>;
}

let systems = 0;

/** Makes a teller over a server. @param missing the URL of a video that is not there */
export function createTeller(
  client: TestClient,
  { databaseUrl, missing }: { readonly databaseUrl: string; readonly missing: string },
): Teller {
  const teller: Teller = {
    async ask({ url, context, video = missing, ...options }) {
      systems += 1;
      const videos = [{ externalId: 'one', url: video, fileName: 'one.mp4' }];
      const from = { videos: { systemName: options.idempotencyKey ?? `told-${systems}`, videos } };
      const more = { ...(url === undefined ? {} : { webhook: { url } }), ...options };
      const input = { from, ...more, ...(context === undefined ? {} : { context }) };
      return (await client.query(START, { input })).startImport;
    },
    async start(options) {
      const answer = await teller.ask(options);
      if (answer.__typename !== 'StartImportSuccess') throw new Error(JSON.stringify(answer));
      return answer.import;
    },
    async look(id) {
      const { import: found } = await client.query(LOOK, { id });
      if (!found) throw new Error(`${id} is gone`);
      return found;
    },
    async until(id, is) {
      const poke = await openPoke(databaseUrl);
      const check = async () => {
        await poke.now();
        const told = await teller.look(id);
        return is(told) && told;
      };
      return await waitFor(check, { what: `the webhook of ${id}` }).finally(poke.close);
    },
    async over(options) {
      const { id } = await teller.start(options);
      return await teller.until(id, isOver);
    },
    redeliver: async (id) => (await client.query(REDELIVER, { id })).redeliverWebhook,
    async secret() {
      const { webhookSecret } = (await client.query(SECRET)).viewer.defaultTeam;
      if (webhookSecret === null) throw new Error('the key may not see the secret');
      return webhookSecret;
    },
  };
  return teller;
}

/** Nothing more is sent. */
export const isOver = ({ webhook }: Told): boolean =>
  webhook?.state === 'DELIVERED' || webhook?.state === 'GAVE_UP';

/** Has workers look for deliveries at once. */
async function openPoke(databaseUrl: string) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  return {
    now: () => client.query(`select pg_notify('sluice_jobs', 'deliver-webhook')`),
    close: () => client.end(),
  };
}
