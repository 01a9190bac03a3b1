import { randomBytes } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { openCredentials } from '../../src/services/integration-credentials.ts';
import { createSecretBox } from '../../src/services/secret-box.ts';
import { createSecretServers, type SecretServers } from './secret-servers.ts';

const SECRET = randomBytes(32);
const SLUICE_SECRET_KEY = SECRET.toString('base64');

let world: SecretServers;

beforeEach(async () => {
  world = await createSecretServers();
});

test('credentials are in no answer, no line of the log and no row, whatever becomes of a call', async () => {
  const server = await world.start({ SLUICE_LOG_LEVEL: 'trace', SLUICE_SECRET_KEY });
  const canary = `canary${randomBytes(12).toString('hex')}`;
  const given = { accessKeyId: `AK${canary}`, secretAccessKey: `sk${canary}`, sessionToken: `st${canary}` };
  const answers: unknown[] = [];
  const create = async (changes: object = {}) => {
    const result = await server.create({
      name: 'Clips',
      location: { s3: world.bucket({ credentials: given, ...changes }) },
    });
    answers.push(result);
    return result;
  };
  // Let in without looking at the signature, refused with it, refused before, not answered at all.
  const allow = world.s3.script(({ operation }) =>
    operation === 'ListObjectsV2'
      ? {
          status: 200,
          body: '<?xml version="1.0"?><ListBucketResult><Name>clips</Name></ListBucketResult>',
        }
      : undefined,
  );
  const { integration } = await create();
  expect(integration?.s3).toMatchObject({ accessKeyHint: canary.slice(-3) });
  await create({ prefix: 'x' });
  answers.push(
    await server.update({
      id: integration?.id,
      location: { s3: world.bucket({ credentials: given, prefix: 'a' }) },
    }),
  );
  answers.push(
    await server.update({ id: integration?.id, location: { s3: world.bucket({ credentials: undefined }) } }),
  );
  allow();
  expect(await create()).toMatchObject({ code: 'SOURCE_NOT_AUTHORIZED' });
  expect(await create({ bucket: '..' })).toMatchObject({ __typename: 'InvalidInputError' });
  expect(await create({ endpoint: 'http://127.0.0.2:1' })).toMatchObject({
    code: 'SOURCE_FORBIDDEN_ADDRESS',
  });
  expect(await create({ endpoint: 'http://127.0.0.1:1' })).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  const reset = world.s3.script(() => 'reset');
  expect(await create()).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  reset();
  // Of the wrong shape, unreadable in the database, refused by the database.
  const mutation = 'mutation ($i: CreateIntegrationInput!) { createIntegration(input: $i) { __typename } }';
  answers.push(
    await server.ask(mutation, { i: { name: 1, location: { s3: world.bucket({ credentials: given }) } } }),
  );
  await world.rows.all(`alter table integrations add constraint refusal check (name <> 'refused')`);
  const scripted = world.s3.script(() => ({ status: 200, body: '<ListBucketResult/>' }));
  answers.push(
    await server.ask(mutation, {
      i: { name: 'refused', location: { s3: world.bucket({ credentials: given }) } },
    }),
  );
  await world.rows.all(`update integrations set credentials = credentials || 'A'`);
  answers.push(
    await server.ask(
      'mutation ($i: UpdateIntegrationInput!) { updateIntegration(input: $i) { __typename } }',
      {
        i: { id: integration?.id, location: { s3: world.bucket({ credentials: undefined }) } },
      },
    ),
  );
  scripted();
  answers.push(await server.ask('{ integrations { nodes { location s3 { accessKeyHint bucket } } } }'));
  expect(JSON.stringify(answers.slice(-3))).toContain('INTERNAL_SERVER_ERROR');
  await server.stop();

  const sent = world.s3.requests.flatMap(({ headers }) => Object.values(headers)).join(' ');
  expect(sent).toContain(given.sessionToken); // the canary was in use
  expect(server.log()).toContain('"level":20');
  expect(server.log()).toContain('"level":50');
  for (const [where, text] of [
    ['an answer', JSON.stringify(answers)],
    ['the log', server.log()],
    ['the database', await dump()],
  ] as const) {
    for (const secret of [...Object.values(given), canary]) expect(text, where).not.toContain(secret);
  }
});

/** Every row of every table as text. */
async function dump(): Promise<string> {
  const tables = await world.rows.all<{ name: string }>(
    `select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public'`,
  );
  expect(tables.length).toBeGreaterThan(10);
  const texts: string[] = [];
  for (const { name } of tables) {
    texts.push(
      ...(await world.rows.all<{ text: string }>(`select t::text as text from ${name} t`)).map(
        ({ text }) => text,
      ),
    );
  }
  expect(texts.join('\n')).toContain('clips');
  return texts.join('\n');
}

test('credentials swapped between two rows open for neither', async () => {
  const server = await world.start({ SLUICE_SECRET_KEY });
  for (const name of ['a', 'b']) await server.create({ name, location: { s3: world.bucket() } });
  const [a, b] = await world.rows.all('select id, team_id as "teamId", credentials from integrations');
  if (!a || !b) throw new Error('there are two');
  const box = createSecretBox({ current: SECRET, previous: [] });
  expect(openCredentials(box, a as never, a.credentials)).toEqual({
    accessKeyId: world.s3.accessKeyId,
    secretAccessKey: world.s3.secretAccessKey,
  });
  await world.rows.all(
    'update integrations i set credentials = o.credentials from integrations o where o.id <> i.id',
  );
  world.s3.requests.length = 0;
  const { errors } = await server.ask(
    'mutation ($i: UpdateIntegrationInput!) { updateIntegration(input: $i) { __typename } }',
    { i: { id: `int_${a.id}`, location: { s3: world.bucket({ credentials: undefined }) } } },
  );
  expect(errors?.[0]?.extensions?.code).toBe('INTERNAL_SERVER_ERROR');
  expect(world.s3.requests).toEqual([]);
});
