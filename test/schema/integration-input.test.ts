import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
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

describe('the input', () => {
  const long = (count: number) => 'x'.repeat(count);
  test.each([
    [['name'], 'TOO_SHORT', () => ({ name: '' })],
    [['name'], 'TOO_LONG', () => ({ name: long(256) })],
    [['name'], 'INVALID', () => ({ name: 'a\0' })],
    [['location', 's3', 'bucket'], 'INVALID', () => world.clips({ bucket: '' })],
    [['location', 's3', 'bucket'], 'INVALID', () => world.clips({ bucket: '..' })],
    [['location', 's3', 'bucket'], 'INVALID', () => world.clips({ bucket: 'a/b' })],
    [['location', 's3', 'prefix'], 'TOO_LONG', () => world.clips({ prefix: 'é'.repeat(513) })],
    [['location', 's3', 'prefix'], 'INVALID', () => world.clips({ prefix: '\0' })],
    [['location', 's3', 'region'], 'INVALID', () => world.clips({ region: 'eu.west' })],
    [['location', 's3', 'region'], 'INVALID', () => world.clips({ region: long(65) })],
    [['location', 's3', 'endpoint'], 'INVALID', () => world.clips({ endpoint: 'ftp://example.com' })],
    [
      ['location', 's3', 'endpoint'],
      'INVALID',
      () => world.clips({ endpoint: 'https://me:canary@example.com' }),
    ],
    [
      ['location', 's3', 'endpoint'],
      'INVALID',
      () => world.clips({ endpoint: 'https://example.com?a=canary' }),
    ],
    [
      ['location', 's3', 'endpoint'],
      'INVALID',
      () => world.clips({ endpoint: 'https://example.com/#canary' }),
    ],
    [['location', 's3', 'endpoint'], 'INVALID', () => world.clips({ endpoint: 'example.com' })],
    [
      ['location', 's3', 'credentials', 'accessKeyId'],
      'TOO_SHORT',
      () => world.clips({ credentials: { accessKeyId: '', secretAccessKey: 'canary' } }),
    ],
    [
      ['location', 's3', 'credentials', 'accessKeyId'],
      'INVALID',
      () => world.clips({ credentials: { accessKeyId: 'a b', secretAccessKey: 'canary' } }),
    ],
    [
      ['location', 's3', 'credentials', 'secretAccessKey'],
      'INVALID',
      () => world.clips({ credentials: { accessKeyId: 'a', secretAccessKey: 'canary\n' } }),
    ],
    [
      ['location', 's3', 'credentials', 'sessionToken'],
      'INVALID',
      () =>
        world.clips({ credentials: { accessKeyId: 'a', secretAccessKey: 'b', sessionToken: 'canary\r\n' } }),
    ],
    [['location', 'folder', 'path'], 'INVALID', () => world.folder('relative/path')],
    [['location', 'folder', 'path'], 'TOO_LONG', () => world.folder(`/${long(4096)}`)],
  ])('is checked before anything is asked or stored: %s %s (%#)', async (path, code, changes) => {
    const result = await world.client.create({ ...world.folder(join(world.root, 'allowed')), ...changes() });
    expect(result).toMatchObject({
      __typename: 'InvalidInputError',
      issues: [{ path: ['input', ...path], code }],
    });
    expect(JSON.stringify(result)).not.toContain('canary');
    expect(world.s3.requests).toEqual([]);
    expect(await world.rows.count('integrations')).toBe(0);
  });

  test('at its limits is taken', async () => {
    world.s3.createBucket(`Min_IO.${long(50)}`);
    const limits = { bucket: `Min_IO.${long(50)}`, prefix: 'é'.repeat(512) };
    expect(await world.client.create({ ...world.clips(limits), name: '😀'.repeat(255) })).toMatchObject({
      __typename: 'CreateIntegrationSuccess',
    });
  });

  test('of the wrong shape is refused without repeating what may be secret', async () => {
    const query =
      'mutation ($input: CreateIntegrationInput!) { createIntegration(input: $input) { __typename } }';
    const inputs = [
      world.clips({ credentials: { secretAccessKey: 'canary' } }),
      world.clips({ credentials: { ...credentialsOf(world), secretAccessKey: ['canary'] } }),
      world.clips({ credentials: { ...credentialsOf(world), token: 'canary' } }),
      world.clips({ credentials: 'canary' }),
      { name: 'x', location: { s3: 'canary' } },
      {
        ...world.clips(),
        location: { s3: { credentials: { secretAccessKey: 'canary' } }, folder: { path: 'canary' } },
      },
    ];
    for (const input of inputs) {
      const text = await world.client.text(query, { input });
      expect(JSON.parse(text).errors[0].extensions.code).toBe('BAD_USER_INPUT');
      expect(text).toMatch(/Variable \\"\$input\\" got an invalid value at \\"input\./);
      expect(text).not.toContain('canary');
    }
  });
});
