import { randomUUID } from 'node:crypto';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { waitFor } from '../support/wait.ts';
import { type IntegrationTest, startIntegrationTest } from './integration-setup.ts';

let world: IntegrationTest;

beforeAll(async () => {
  world = await startIntegrationTest();
});

afterAll(() => world?.stop());

beforeEach(() => world.clear());

const credentialsOf = ({ s3: { accessKeyId, secretAccessKey } }: IntegrationTest) => ({
  accessKeyId,
  secretAccessKey,
});

describe('a bucket', () => {
  test('is listed with its credentials and stored without them in plain', async () => {
    const { integration } = await world.client.create(world.clips({ prefix: 'a/b', region: 'us-east-1' }));
    expect(integration).toMatchObject({
      id: expect.stringMatching(/^int_[0-9a-f-]{36}$/),
      name: 'Clips',
      kind: 'S3',
      location: 's3://clips/a/b',
      team: { id: `team_${world.team.teamId}` },
      s3: {
        bucket: 'clips',
        prefix: 'a/b',
        region: 'us-east-1',
        endpoint: world.s3.endpoint,
        forcePathStyle: true,
        accessKeyHint: world.s3.accessKeyId.slice(-3),
      },
      folder: null,
      runningImport: null,
    });
    expect(world.s3.requests.map(({ operation, signed }) => ({ operation, signed }))).toContainEqual({
      operation: 'ListObjectsV2',
      signed: true,
    });
    const { text } = await world.rows.one<{ text: string }>('select i::text as text from integrations i');
    expect(text).toContain('v1.');
    expect(text).not.toContain(world.s3.secretAccessKey);
    expect(text).not.toContain(world.s3.accessKeyId);
  });

  test('that is public needs no credentials, and no prefix', async () => {
    const { integration } = await world.client.create(
      world.clips({ bucket: 'open', prefix: '', credentials: null }),
    );
    expect(integration).toMatchObject({
      location: 's3://open',
      s3: { bucket: 'open', prefix: null, region: null, accessKeyHint: null },
    });
    expect(world.s3.requests.map(({ signed }) => signed)).not.toContain(true);
  });

  test('keeps the path of its endpoint, without the slash at the end', async () => {
    await world.client.create(world.clips({ endpoint: `${world.s3.endpoint}/` }));
    const { endpoint } = await world.rows.one<{ endpoint: string }>(
      `select s3 ->> 'endpoint' as endpoint from integrations`,
    );
    expect(endpoint).toBe(world.s3.endpoint);
  });

  test.each([
    ['that is not there', { bucket: 'nowhere' }, 'SOURCE_NOT_FOUND', /bucket/],
    ['that wants credentials', { credentials: null }, 'SOURCE_NOT_AUTHORIZED', /s3:ListBucket/],
    ['whose secret is another', { credentials: { secretAccessKey: 'x' } }, 'SOURCE_NOT_AUTHORIZED', /./],
    [
      'whose access key is unknown',
      { credentials: { accessKeyId: 'AKIANOBODY' } },
      'SOURCE_NOT_AUTHORIZED',
      /./,
    ],
    ['in another region', { bucket: 'far' }, 'SOURCE_UNAVAILABLE', /eu-west-1/],
    ['where nobody listens', { endpoint: 'http://127.0.0.1:1' }, 'SOURCE_UNAVAILABLE', /./],
    ['at a forbidden address', { endpoint: 'http://127.0.0.2:9000' }, 'SOURCE_FORBIDDEN_ADDRESS', /operator/],
    ['at the address of metadata', { endpoint: 'http://169.254.169.254' }, 'SOURCE_FORBIDDEN_ADDRESS', /./],
  ])('%s is refused with a code and advice, and nothing is stored', async (_what, changes, code, advice) => {
    const given = 'credentials' in changes && changes.credentials !== null;
    const input = world.clips(
      given ? { credentials: { ...credentialsOf(world), ...changes.credentials } } : changes,
    );
    const result = await world.client.create(input);
    expect(result).toMatchObject({ __typename: 'SourceUnavailableError', code });
    expect(result.message).toMatch(advice);
    expect(result.message).not.toContain(world.s3.secretAccessKey);
    expect(await world.rows.count('integrations')).toBe(0);
  });

  test('holds no connection to the database while it is tested, and is given up after the time limit', async () => {
    const unscript = world.s3.script(() => ({ hang: true }));
    try {
      const answers = Array.from({ length: 20 }, () => world.client.create(world.clips()));
      let isAnswered = false;
      void Promise.race(answers).then(() => {
        isAnswered = true;
      });
      await waitFor(() => world.s3.requests.length >= 20, { what: 'the tests' });
      // There are fewer connections than tests under way, and one is free all the same.
      expect(await world.client.remove(`int_${randomUUID()}`)).toMatchObject({ __typename: 'NotFoundError' });
      // What the server does by itself is between two statements now and then.
      const held = `select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`;
      await waitFor(async () => (await world.rows.all(held)).length === 0, { what: 'a moment without any' });
      expect(isAnswered).toBe(false);
      for (const result of await Promise.all(answers)) {
        expect(result).toMatchObject({ __typename: 'SourceUnavailableError', code: 'SOURCE_UNAVAILABLE' });
      }
    } finally {
      unscript();
    }
    expect(await world.rows.count('integrations')).toBe(0);
  });
});

describe('a folder', () => {
  test('is stored by its real path', async () => {
    await symlink(join(world.root, 'allowed', 'videos'), join(world.root, 'allowed', 'link'));
    const { integration } = await world.client.create(world.folder(join(world.root, 'allowed', 'link')));
    const path = join(world.root, 'allowed', 'videos');
    expect(integration).toMatchObject({
      kind: 'FOLDER',
      location: `file://${path}`,
      folder: { path },
      s3: null,
    });
  });

  test('outside of those that are allowed is refused alike, whether it is there or not', async () => {
    await symlink(join(world.root, 'elsewhere'), join(world.root, 'allowed', 'out'));
    const paths = [
      join(world.root, 'elsewhere'),
      join(world.root, 'missing'),
      `${world.root}/allowed/../elsewhere`,
      `${world.root}/allowed-not`,
      join(world.root, 'allowed', 'out'),
      '/etc',
      '/',
    ];
    const results = await Promise.all(paths.map((path) => world.client.create(world.folder(path))));
    for (const result of results) {
      expect(result).toEqual(results[0]);
      expect(result).toMatchObject({
        __typename: 'InvalidInputError',
        issues: [{ path: ['input', 'location', 'folder', 'path'], code: 'FORBIDDEN_FOLDER' }],
      });
    }
    expect(await world.rows.count('integrations')).toBe(0);
  });

  test('that is not there is told so, below an allowed one', async () => {
    const result = await world.client.create(world.folder(join(world.root, 'allowed', 'missing')));
    expect(result).toMatchObject({ __typename: 'SourceUnavailableError', code: 'SOURCE_NOT_FOUND' });
    expect(await world.rows.count('integrations')).toBe(0);
  });
});
