import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { hashApiKey } from '../../src/services/viewer.ts';
import { post } from '../support/raw.ts';
import { insertTeam } from '../support/rows.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';

const PER_MINUTE = 4;
let ground: ProvingGround;

beforeAll(async () => {
  ground = await startProvingGround({
    servers: 2,
    settings: { SLUICE_RATE_CALLS_PER_MINUTE: String(PER_MINUTE) },
  });
});
afterAll(() => ground?.stop());

const newKey = async () => (await insertTeam(ground.rows, 'Hasty team')).key;
const CREATE = `mutation ($input: CreateTaskInput!) {
  createTask(input: $input) { __typename ... on RateLimitedError { message retryAfterSeconds } }
}`;
const START = `mutation ($input: StartImportInput!) {
  startImport(input: $input) { __typename ... on RateLimitedError { message retryAfterSeconds } }
}`;
const none = { integrationId: 'int_0', key: 'x' };
const calls = [
  { query: CREATE, variables: { input: { from: { object: none } } } },
  { query: START, variables: { input: { from: { integration: { integrationId: 'int_0' } } } } },
] as const;
const send = (url: string, key: string, body: object) => post({ url, key, body: JSON.stringify(body) });

test('a key may start so many imports and tasks a minute, whatever server it asks', async () => {
  const key = await newKey();
  const answers = await Promise.all(
    Array.from({ length: 3 * PER_MINUTE }, (_, n) =>
      send(n % 2 === 0 ? ground.url : ground.otherUrl, key, calls[n % 3 === 0 ? 1 : 0]),
    ),
  );
  const limited = answers.filter(({ text }) => text.includes('RateLimitedError'));
  expect(limited).toHaveLength(2 * PER_MINUTE);
  expect(answers.filter(({ text }) => text.includes('NotFoundError'))).toHaveLength(PER_MINUTE);
  for (const { status, headers, text } of answers) {
    expect(status).toBe(200);
    const [result] = Object.values<{ retryAfterSeconds?: number; message?: string }>(JSON.parse(text).data);
    expect(headers.get('retry-after')).toBe(result?.retryAfterSeconds?.toString() ?? null);
    if (result?.retryAfterSeconds === undefined) continue;
    // One more a quarter of a minute from the first on.
    expect(result.retryAfterSeconds).toBeLessThanOrEqual(60 / PER_MINUTE);
    expect(result.message).toContain(`Try again in ${result.retryAfterSeconds} seconds.`);
  }
});

test('who is refused is told so over WebSocket, too; whatever else the key does, and other keys, goes on', async () => {
  const key = await newKey();
  for (let n = 0; n < PER_MINUTE; n += 1) await send(ground.url, key, calls[0]);
  const client = createClient({
    url: `${ground.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${key}` },
  });
  const { value } = await client.iterate(calls[0]).next();
  await client.dispose();
  expect(value).toMatchObject({ data: { createTask: { __typename: 'RateLimitedError' } } });
  const cancel = await send(ground.url, key, { query: 'mutation { cancelTask(id: "x") { __typename } }' });
  expect(cancel.text).toBe('{"data":{"cancelTask":{"__typename":"NotFoundError"}}}');
  expect((await send(ground.url, await newKey(), calls[0])).text).toContain('NotFoundError');
});

test('calls come again as time goes by; one that was refused is not counted', async () => {
  const key = await newKey();
  for (let n = 0; n < PER_MINUTE + 3; n += 1) await send(ground.url, key, calls[0]);
  // A quarter of a minute goes by for this key.
  await ground.rows.all(
    `update rate_limits set spent_until = spent_until - interval '15 s'
      where key_id = (select id from api_keys where hash = $1)`,
    [hashApiKey(key)],
  );
  const kinds: string[] = [];
  for (let n = 0; n < 3; n += 1) {
    const { text } = await send(ground.url, key, calls[0]);
    kinds.push(JSON.parse(text).data.createTask.__typename);
  }
  expect(kinds).toEqual(['NotFoundError', 'RateLimitedError', 'RateLimitedError']);
});
