import { describe, expect, test } from 'vitest';
import { errorOfNetwork, errorOfStatus, parseRetryAfter } from '../../src/sources/http-errors.ts';
import { isRefusedType, parseContentRange, versionOf } from '../../src/sources/http-headers.ts';

test.each([
  [404, 'SOURCE_NOT_FOUND', false],
  [410, 'SOURCE_NOT_FOUND', false],
  [401, 'SOURCE_NOT_AUTHORIZED', false],
  [403, 'SOURCE_NOT_AUTHORIZED', false],
  [400, 'SOURCE_UNAVAILABLE', false],
  [405, 'SOURCE_UNAVAILABLE', false],
  [451, 'SOURCE_UNAVAILABLE', false],
  [304, 'SOURCE_UNAVAILABLE', false],
  [408, 'SOURCE_UNAVAILABLE', true],
  [425, 'SOURCE_UNAVAILABLE', true],
  [429, 'SOURCE_UNAVAILABLE', true],
  [500, 'SOURCE_UNAVAILABLE', true],
  [503, 'SOURCE_UNAVAILABLE', true],
  [599, 'SOURCE_UNAVAILABLE', true],
] as const)('HTTP %d is %s, retryable: %s', (status, code, retryable) => {
  expect(errorOfStatus(status, 'video.test', undefined)).toMatchObject({ code, retryable });
});

test('Retry-After comes along, where trying again makes sense', () => {
  expect(errorOfStatus(429, 'video.test', '7').retryAfterSeconds).toBe(7);
  expect(errorOfStatus(503, 'video.test', '99999999').retryAfterSeconds).toBe(3600);
  expect(errorOfStatus(404, 'video.test', '7').retryAfterSeconds).toBeUndefined();
});

describe('Retry-After', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  test.each([
    ['0', 0],
    ['120', 120],
    ['3601', 3600],
    ['Thu, 01 Jan 2026 00:01:30 GMT', 90],
    ['Thu, 01 Jan 2026 12:00:00 GMT', 3600],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['soon', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j is %s seconds', (text, seconds) => {
    expect(parseRetryAfter(text, now)).toBe(seconds);
  });
});

test('the cause of a network error is found along the chain', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:80'), { code: 'ECONNREFUSED' });
  const wrapped = new Error('outer', { cause: new AggregateError([refused, refused]) });
  const error = errorOfNetwork(wrapped, 'video.test');
  expect(error).toMatchObject({
    code: 'SOURCE_UNAVAILABLE',
    retryable: true,
    message: 'video.test refused the connection.',
  });
  expect(errorOfNetwork(error, 'other.test')).toBe(error);
  expect(errorOfNetwork('no error at all', 'video.test').message).toBe(
    'The connection to video.test was cut.',
  );
});

test.each([
  ['bytes 0-65535/1234567', { start: 0, end: 65_535, total: 1_234_567 }],
  ['bytes 5-9/*', { start: 5, end: 9, total: null }],
  ['bytes */0', { start: null, end: null, total: 0 }],
  ['bytes */*', null],
  ['bytes 9-5/100', null],
  ['bytes 0-100/100', null],
  ['items 0-1/2', null],
  ['bytes 0-1', null],
  ['', null],
  [undefined, null],
])('the Content-Range %j', (text, range) => {
  expect(parseContentRange(text)).toEqual(range);
});

test.each([
  [{ etag: '"a"', 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT' }, '"a"'],
  [{ etag: 'W/"a"', 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT' }, 'Thu, 01 Jan 2026 00:00:00 GMT;10'],
  [{ etag: 'W/"a"' }, null],
  [{ etag: 'a' }, null],
  [{ 'last-modified': 'yesterday' }, null],
  [{}, null],
])('of %j the version is %j', (headers: Record<string, string>, version) => {
  expect(versionOf((name) => headers[name], 10)).toBe(version);
});

test.each([
  ['text/html; charset=utf-8', true],
  ['TEXT/PLAIN', true],
  ['image/jpeg', true],
  ['audio/mp4', true],
  ['application/json;charset=utf-8', true],
  ['application/vnd.apple.mpegurl', true],
  ['application/x-mpegURL', true],
  ['application/dash+xml', true],
  ['video/mp4', false],
  ['application/octet-stream', false],
  ['binary/octet-stream', false],
  ['application/mp4', false],
  ['application/x-zip', false],
  ['nonsense', false],
  [null, false],
])('the declared type %j is refused: %s', (type, isRefused) => {
  expect(isRefusedType(type)).toBe(isRefused);
});
