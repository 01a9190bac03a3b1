import { expect, test } from 'vitest';
import { createAddressPolicy } from '../../src/sources/addresses.ts';
import { checkUrlAddress, parseVideoUrl } from '../../src/sources/video-url.ts';

test.each([
  ['https://example.com/a.mp4', 'https://example.com/a.mp4'],
  ['HTTP://EXAMPLE.com:80/ä b.mp4?sig=1#t=5', 'http://example.com/%C3%A4%20b.mp4?sig=1'],
  ['http://127.0.0.1:9000/a', 'http://127.0.0.1:9000/a'],
])('%s is the URL %s', (text, href) => {
  const parsed = parseVideoUrl(text);
  expect(parsed.ok && parsed.url.href).toBe(href);
});

test.each([
  'file:///etc/passwd',
  'ftp://example.com/a',
  'data:video/mp4;base64,AAAA',
  'gopher://example.com/',
  'javascript:1',
  'blob:x',
])('%s has a scheme that is refused', (text) => {
  expect(parseVideoUrl(text)).toEqual({ ok: false, message: 'The URL must begin with http:// or https://.' });
});

test.each([
  'http://user:pa55word@example.com/',
  'https://pa55word@example.com/',
  'http://:pa55word@example.com/',
])('user info is refused, and not repeated: %s', (text) => {
  const parsed = parseVideoUrl(text);
  expect(parsed.ok).toBe(false);
  expect(JSON.stringify(parsed)).not.toContain('pa55word');
});

test.each([
  '',
  ' ',
  'example.com/a.mp4',
  '/a.mp4',
  'http://',
  'http://[::1',
  'http://256.256.256.256/',
  'http://a b/',
  'http://example.com:99999/',
])('%j is no URL', (text) => {
  expect(parseVideoUrl(text).ok).toBe(false);
});

test('8,192 characters are the most', () => {
  const start = 'https://example.com/';
  expect(parseVideoUrl(start + 'a'.repeat(8192 - start.length)).ok).toBe(true);
  expect(parseVideoUrl(start + 'a'.repeat(8193 - start.length)).ok).toBe(false);
});

const SPELLINGS = [
  ...[
    '127.0.0.1',
    '127.0.0.2',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::127.0.0.1]',
    '[0:0:0:0:0:0:0:1]',
    '0x7f.1',
    '2130706433',
  ],
  ...[
    '017700000001',
    '127.1',
    '①②⑦.⓪.⓪.①',
    '127。0。0。1',
    '169.254.169.254',
    '[64:ff9b::7f00:1]',
    '100.64.0.1',
    '0.0.0.0',
    '0',
    '[::]',
  ],
  ...[
    'localhost',
    'LOCALHOST',
    'localhost.',
    'a.localhost',
    '127.0.0.1.',
    '[fe80::1]',
    '[fd00::1]',
    '10.0.0.1',
    '192.168.1.1',
  ],
];

test.each(SPELLINGS)('http://%s/ is forbidden without asking DNS', (host) => {
  const parsed = parseVideoUrl(`http://${host}/`);
  if (!parsed.ok) throw new Error('should be a URL');
  const error = checkUrlAddress(createAddressPolicy({ allow: [] }), parsed.url);
  expect(error).toMatchObject({ code: 'SOURCE_FORBIDDEN_ADDRESS', retryable: false });
  expect(error?.message).not.toMatch(/127|localhost|::1/);
});

test('names and public addresses are left to the connection', () => {
  const policy = createAddressPolicy({ allow: [] });
  for (const url of [
    'https://example.com/',
    'https://localhost.example.com/',
    'http://8.8.8.8/',
    'http://[2606:4700::1111]:8443/',
  ]) {
    expect(checkUrlAddress(policy, new URL(url))).toBeNull();
  }
});

test('names of this machine follow what the operator allows', () => {
  const policy = createAddressPolicy({ allow: ['127.0.0.1:9000'] });
  expect(checkUrlAddress(policy, new URL('http://localhost:9000/'))).toBeNull();
  expect(checkUrlAddress(policy, new URL('http://localhost:9001/'))).toMatchObject({
    code: 'SOURCE_FORBIDDEN_ADDRESS',
  });
});
