import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openRows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';
import { type IntegrationTest, rowId, startIntegrationTest } from './integration-setup.ts';

let world: IntegrationTest;

beforeAll(async () => {
  world = await startIntegrationTest();
});

afterAll(() => world?.stop());

beforeEach(() => world.clear());

describe('a change', () => {
  test('of the name alone asks the source nothing, and keeps all else', async () => {
    const id = await world.created(world.clips({ prefix: 'a' }));
    const before = await world.rows.one('select * from integrations');
    world.s3.requests.length = 0;
    const { integration } = await world.client.update({ id, name: 'New name' });
    expect(integration).toMatchObject({ id, name: 'New name', location: 's3://clips/a' });
    expect(world.s3.requests).toEqual([]);
    const { name: _, updated_at: changedAt, ...after } = await world.rows.one('select * from integrations');
    expect(before).toMatchObject(after);
    expect(changedAt.getTime()).toBeGreaterThan(before.updated_at.getTime());
  });

  test('of the location replaces all of it, and keeps the credentials for the same bucket', async () => {
    const id = await world.created(world.clips({ prefix: 'a', region: 'us-east-1' }));
    world.s3.requests.length = 0;
    const { integration } = await world.client.update({
      id,
      location: { s3: world.bucket({ credentials: undefined }) },
    });
    expect(integration?.s3).toMatchObject({
      prefix: null,
      region: null,
      accessKeyHint: world.s3.accessKeyId.slice(-3),
    });
    expect(world.s3.requests.every(({ signed }) => signed)).toBe(true);
    expect(world.s3.requests).not.toEqual([]);
  });

  test.each([
    ['another bucket', () => ({ bucket: 'more-clips', credentials: undefined })],
    ['another endpoint', () => ({ endpoint: `${world.s3.endpoint}/path`, credentials: undefined })],
    ['null', () => ({ credentials: null })],
  ])('to %s takes no credentials along', async (_what, changes) => {
    const id = await world.created(world.clips());
    world.s3.requests.length = 0;
    const result = await world.client.update({ id, location: { s3: world.bucket(changes()) } });
    expect(result).toMatchObject({ __typename: 'SourceUnavailableError' });
    expect(world.s3.requests.map(({ signed }) => signed)).not.toContain(true);
    const { hint } = await world.rows.one('select access_key_hint as hint from integrations');
    expect(hint).toBe(world.s3.accessKeyId.slice(-3));
  });

  test('to null makes a public bucket of one with credentials', async () => {
    const id = await world.created(world.clips({ bucket: 'open' }));
    await world.client.update({ id, location: { s3: world.bucket({ bucket: 'open', credentials: null }) } });
    expect(await world.rows.one('select credentials, access_key_hint from integrations')).toEqual({
      credentials: null,
      access_key_hint: null,
    });
  });

  test('that cannot be listed changes nothing', async () => {
    const id = await world.created(world.clips());
    const before = await world.rows.one('select * from integrations');
    expect(
      await world.client.update({ id, name: 'New', location: { s3: world.bucket({ bucket: 'nowhere' }) } }),
    ).toMatchObject({ __typename: 'SourceUnavailableError', code: 'SOURCE_NOT_FOUND' });
    expect(await world.rows.one('select * from integrations')).toEqual(before);
  });

  test('to another kind is refused', async () => {
    const id = await world.created(world.clips());
    const path = join(world.root, 'allowed');
    expect(await world.client.update({ id, location: { folder: { path } } })).toMatchObject({
      __typename: 'InvalidInputError',
      issues: [{ path: ['input', 'location', 'folder'], code: 'INVALID' }],
    });
    const files = await world.created(world.folder(path));
    expect(await world.client.update({ id: files, location: { s3: world.bucket() } })).toMatchObject({
      issues: [{ path: ['input', 'location', 's3'], code: 'INVALID' }],
    });
  });

  test.each(['name', 'location'])('cannot clear the %s', async (field) => {
    const id = await world.created(world.clips());
    expect(await world.client.update({ id, [field]: null })).toMatchObject({
      __typename: 'InvalidInputError',
      issues: [{ path: ['input', field], code: 'REQUIRED' }],
    });
  });
});

describe('while an import runs', () => {
  test('the location cannot be changed, and the integration not be deleted', async () => {
    const id = await world.created(world.clips());
    const { publicId } = await world.runningImport(id);
    const refused = {
      __typename: 'ImportAlreadyRunningError',
      runningImport: { id: publicId, state: 'PLANNING' },
    };
    expect(
      await world.client.update({ id, location: { s3: world.bucket({ prefix: 'other' }) } }),
    ).toMatchObject(refused);
    expect(await world.client.remove(id)).toMatchObject(refused);
    expect(await world.rows.one(`select s3 ->> 'prefix' as prefix from integrations`)).toEqual({
      prefix: null,
    });
  });

  test('the name and the credentials can be changed', async () => {
    const id = await world.created(world.clips());
    await world.runningImport(id);
    const { credentials: before } = await world.rows.one('select credentials from integrations');
    const result = await world.client.update({ id, name: 'New', location: { s3: world.bucket() } });
    expect(result).toMatchObject({ __typename: 'UpdateIntegrationSuccess', integration: { name: 'New' } });
    expect((await world.rows.one('select credentials from integrations')).credentials).not.toBe(before);
  });

  test('it is shown: one of the whole integration before one of named objects', async () => {
    const id = await world.created(world.clips());
    const ofObjects = await world.runningImport(id, 'OBJECTS');
    const shown = async () => {
      const { data } = await world.client.ask(
        `query ($id: ID!) { integration(id: $id) { runningImport { id } } }`,
        { id },
      );
      return data?.integration?.runningImport;
    };
    expect(await shown()).toEqual({ id: ofObjects.publicId });
    const ofAll = await world.runningImport(id);
    expect(await shown()).toEqual({ id: ofAll.publicId });
    await world.rows.all(`update imports set state = 'SUCCEEDED', counts = '{}', finished_at = now()`);
    expect(await shown()).toBeNull();
  });

  test('that is about to be committed, a deletion waits for it and is refused', async () => {
    const id = await world.created(world.clips());
    await world.rows.all('begin');
    await world.rows.all('select 1 from integrations where id = $1 for share', [rowId(id)]);
    const deletion = world.client.remove(id);
    const watcher = await openRows(world.server.databaseUrl);
    const blocked = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    await waitFor(async () => (await watcher.all(blocked)).length > 0, { what: 'the deletion to wait' });
    const { publicId } = await world.runningImport(id);
    await world.rows.all('commit');
    expect(await deletion).toMatchObject({
      __typename: 'ImportAlreadyRunningError',
      runningImport: { id: publicId },
    });
    await watcher.close();
  });
});
