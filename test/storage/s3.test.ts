import { inspect } from 'node:util';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { StorageError } from '../../src/storage/adapter.ts';
import { openStorage } from '../../src/storage/open.ts';
import type { Scripted } from '../support/s3.ts';
import { BUCKET, countOf, PREFIX, type Setup, setUp } from './s3-setup.ts';

let setup: Setup;
beforeEach(async () => {
  setup = await setUp();
});
afterEach(() => setup.close());

const answerAll = (reply: Scripted, operation?: string) =>
  setup.s3.script((request) =>
    operation === undefined || request.operation === operation ? reply : undefined,
  );

async function errorOf(work: Promise<unknown>): Promise<StorageError> {
  return await work.then(
    () => expect.unreachable('it worked'),
    (error: StorageError) => error,
  );
}

describe('deleting', () => {
  test('takes all pages of what is below, whatever its names are, and nothing beside it', async () => {
    const { s3, open } = setup;
    for (let index = 0; index < 2345; index++) s3.put(BUCKET, `${PREFIX}/tasks/1/${index}`, '');
    s3.put(BUCKET, `${PREFIX}/tasks/1`, '');
    s3.put(BUCKET, `${PREFIX}/tasks/1/a +%2F&<ä\u0001`, '');
    const others = [`${PREFIX}/tasks/10/1`, `${PREFIX}/tasks/1-`, 'tasks/1/1'];
    for (const other of others) s3.put(BUCKET, other, '');
    await open().delete('tasks/1/');
    expect(s3.keys(BUCKET).sort()).toEqual(others.sort());
    expect(countOf(s3, 'DeleteObjects')).toBe(3);
    expect(countOf(s3, 'DeleteObject')).toBe(1);
  });

  test.each<[string, Scripted]>([
    ['knows no request for many', { status: 501, code: 'NotImplemented' }],
    ['wants another checksum', { status: 400, code: 'MissingContentMD5' }],
  ])('goes one by one where the store %s', async (_, reply) => {
    const { s3, open } = setup;
    for (let index = 0; index < 5; index++) s3.put(BUCKET, `${PREFIX}/tasks/1/${index}`, '');
    answerAll(reply, 'DeleteObjects');
    await open().delete('tasks/1');
    expect(s3.keys(BUCKET)).toEqual([]);
  });

  test('fails when the store kept something', async () => {
    const { s3, open } = setup;
    s3.put(BUCKET, `${PREFIX}/tasks/1/original`, '');
    const body = '<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>';
    answerAll({ status: 200, body }, 'DeleteObjects');
    const error = await errorOf(open().delete('tasks/1'));
    expect(error).toMatchObject({ reason: 'UNAVAILABLE' });
    expect(error.message).toContain('AccessDenied');
  });
});

describe('a listing', () => {
  test('takes all pages, without what others put there', async () => {
    const { s3, open } = setup;
    s3.maxKeys = 7;
    for (let index = 100; index < 150; index++) s3.put(BUCKET, `${PREFIX}/tasks/${index}/original`, '');
    s3.put(BUCKET, `${PREFIX}/tasks/.hidden`, '');
    s3.put(BUCKET, `${PREFIX}/tasks/with space`, '');
    const keys: string[] = [];
    for await (const key of open().list('tasks')) keys.push(key);
    expect(keys).toHaveLength(50);
    expect(new Set(keys).size).toBe(50);
  });

  test('that never comes to an end is given up', async () => {
    const { s3, open } = setup;
    const body =
      '<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>';
    answerAll({ status: 200, body }, 'ListObjectsV2');
    const error = await errorOf(open().delete('tasks'));
    expect(error.message).toContain('the same page');
    expect(countOf(s3, 'ListObjectsV2')).toBe(2);
  });
});

describe('what is wrong is said in one sentence:', () => {
  test('no such bucket', async () => {
    const error = await errorOf(setup.open({ place: { bucket: 'absent' } }).checkWritable());
    expect(error.message).toMatch(/^There is no bucket "absent" at 127\.0\.0\.1:\d+; create it/);
  });

  test('another region', async () => {
    setup.s3.createBucket('far-away', { region: 'eu-west-1' });
    const error = await errorOf(setup.open({ place: { bucket: 'far-away' } }).checkWritable());
    expect(error.message).toBe('The bucket "far-away" is in another region, eu-west-1; correct the region.');
    await setup.open({ place: { bucket: 'far-away', region: 'eu-west-1' } }).checkWritable();
  });

  test.each([
    ['AWS_ACCESS_KEY_ID', 'AKIAWRONGWRONGWRONG0', 'InvalidAccessKeyId'],
    ['AWS_SECRET_ACCESS_KEY', 'canary-of-a-wrong-secret', 'SignatureDoesNotMatch'],
  ])('a wrong %s', async (name, value, code) => {
    vi.stubEnv(name, value);
    const error = await errorOf(setup.open().checkWritable());
    expect(error.message).toMatch(/^The AWS credentials are not valid at 127\.0\.0\.1:\d+ \(/);
    expect(error.message).toContain(code);
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(value);
  });

  test.each<[Scripted, RegExp]>([
    [{ status: 403, code: 'AccessDenied' }, /does not allow PutObject in the bucket "media"/],
    [{ status: 503, code: 'SlowDown' }, /is too busy for the bucket "media" \(SlowDown\)/],
    [{ status: 500, code: 'InternalError' }, /failed at PutObject in the bucket "media" \(InternalError\)/],
    [{ status: 200, body: 'x' }, /./],
    ['reset', /cannot be reached \(ECONNRESET\)/],
  ])('%j', async (reply, message) => {
    const { open } = setup;
    const allow = answerAll(reply);
    const error = await errorOf(open().checkWritable());
    expect(error).toMatchObject({ name: 'StorageError', reason: 'UNAVAILABLE' });
    expect(error.message).toMatch(message);
    allow();
    await open().checkWritable();
  });

  test.each([
    { status: 403, code: 'QuotaExceeded' },
    { status: 507, code: 'XMinioStorageFull' },
    { status: 507, code: 'InsufficientCapacity' },
  ])('no room: %j', async (reply) => {
    answerAll(reply, 'PutObject');
    expect(await errorOf(setup.open().checkWritable())).toMatchObject({ name: 'StorageFullError' });
  });

  test('a right that is missing only for listing uploads', async () => {
    answerAll({ status: 403, code: 'AccessDenied' }, 'ListMultipartUploads');
    const error = await errorOf(setup.open().checkWritable());
    expect(error.message).toContain('does not allow ListMultipartUploads');
    expect(setup.s3.keys(BUCKET)).toEqual([]);
  });

  test('nobody at the endpoint', async () => {
    // Nobody is given this port by chance, as one that was free a moment ago may be.
    const error = await errorOf(setup.open({ place: { endpoint: 'http://127.0.0.1:1' } }).stat('a'));
    expect(error.message).toBe(
      `127.0.0.1:1 cannot be reached (ECONNREFUSED); correct the endpoint, or see whether it runs.`,
    );
  });

  test('an expired session, without the token that the store repeats', async () => {
    const token = 'canary-of-a-session-token';
    const body = `<Error><Code>ExpiredToken</Code><Message>The token ${token} is old</Message><Token-0>${token}</Token-0></Error>`;
    answerAll({ status: 400, body });
    const error = await errorOf(setup.open().checkWritable());
    expect(error.message).toMatch(
      /^The AWS credentials are not valid at .* \(ExpiredToken\); correct or renew them\.$/,
    );
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(token);
    const lines: string[] = [];
    pino({}, { write: (line: string) => void lines.push(line) }).error({ err: error }, 'x');
    expect(lines.join()).not.toContain(token);
  });
});

describe('the URL of a storage', () => {
  const options = () => ({ tempDir: setup.tempDir, log: setup.log });

  test('names bucket, prefix, region, endpoint and style', async () => {
    const { s3 } = setup;
    s3.createBucket('far-away', { region: 'eu-west-1' });
    const endpoint = encodeURIComponent(s3.endpoint.replace('127.0.0.1', 'localhost'));
    const urls = [
      `s3://far-away/a/b/?region=eu-west-1&endpoint=${endpoint}`,
      `s3://far-away?region=eu-west-1&endpoint=${endpoint}&pathStyle=true`,
    ];
    for (const url of urls) {
      const writer = await openStorage(url, options()).create('x/original');
      await writer.commit();
    }
    expect(s3.keys('far-away')).toEqual(['a/b/x/original', 'x/original']);
    expect(s3.requests.every(({ headers }) => headers.host?.startsWith('localhost:'))).toBe(true);
  });

  test.each([
    'http://bucket/x',
    'file://host/x',
    's3://',
    's3:bucket',
    's3://Bucket_/x',
    's3://key:secret@bucket/x',
    's3://bucket:9000/x',
    's3://bucket/a//b',
    's3://bucket/../b/ä',
    's3://bucket/x?Region=eu-west-1',
    's3://bucket/x?endpoint=ftp://x',
    's3://bucket/x?endpoint=https://key:secret@x',
    's3://bucket/x?pathStyle=1',
    'nonsense',
  ])('%s is refused', (url) => {
    expect(() => openStorage(url, options())).toThrow('The URL of the storage is not right.');
    expect(() => openStorage(url, options())).not.toThrow('secret');
  });
});
