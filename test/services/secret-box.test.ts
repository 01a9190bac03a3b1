import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createSecretBox, SecretBoxError } from '../../src/services/secret-box.ts';
import { openUrl, sealUrl } from '../../src/services/source-urls.ts';

const [FIRST, SECOND, THIRD] = [1, 2, 3].map((n) => Buffer.alloc(32, n)) as [Buffer, Buffer, Buffer]; // three of three
const box = createSecretBox({ current: FIRST, previous: [] });
const owner = { purpose: 'test', teamId: 'team-1', rowId: 'row-1' };

describe('a sealed secret', () => {
  test('is opened by the same key for the same owner, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        expect(box.open(box.seal(text, owner), owner)).toBe(text);
      }),
    );
  });

  test('is v1, key id, nonce, ciphertext and tag, and never the same twice', () => {
    const sealed = new Set(Array.from({ length: 1000 }, () => box.seal('secret', owner)));
    expect(sealed.size).toBe(1000);
    const nonces = new Set([...sealed].map((text) => text.split('.')[2]));
    expect(nonces.size).toBe(1000);
    for (const text of sealed) expect(text).toMatch(/^v1\.[0-9a-f]{8}\.[\w-]{16}\.[\w-]+\.[\w-]{22}$/);
    expect(box.keyIdOf([...sealed][0] ?? '')).toBe(box.currentKeyId);
  });

  test('holds neither the text nor the key', () => {
    const secret = randomBytes(16).toString('hex');
    const sealed = Buffer.from(box.seal(secret, owner).replace(/\./g, ''), 'base64url').toString('latin1');
    expect(sealed).not.toContain(secret);
    expect(box.seal(secret, owner)).not.toContain(secret);
    expect(box.seal(secret, owner)).not.toContain(FIRST.toString('base64url'));
  });

  test.each([
    ['another row', { ...owner, rowId: 'row-2' }],
    ['another team', { ...owner, teamId: 'team-2' }],
    ['another purpose', { ...owner, purpose: 'other' }],
  ])('is not opened for %s', (_what, other) => {
    const sealed = box.seal('canary', owner);
    expect(() => box.open(sealed, other)).toThrow(SecretBoxError);
    expect(() => box.open(sealed, other)).not.toThrow(/canary/);
  });

  test('swapped between two rows opens for neither', () => {
    const rows = [
      { ...owner, rowId: 'a', sealed: '' },
      { ...owner, rowId: 'b', sealed: '' },
    ].map((row) => ({ ...row, sealed: box.seal(`secret of ${row.rowId}`, row) }));
    const [a, b] = rows;
    if (!a || !b) throw new Error('there are two');
    expect(() => box.open(b.sealed, a)).toThrow(SecretBoxError);
    expect(() => box.open(a.sealed, b)).toThrow(SecretBoxError);
    expect(box.open(a.sealed, a)).toBe('secret of a');
  });

  test('is not opened once any one of its characters is another', () => {
    const sealed = box.seal('a secret of some length', owner);
    for (let at = 0; at < sealed.length; at += 1) {
      for (const other of ['A', 'B', 'g', '0', '.', '']) {
        if (sealed[at] === other) continue;
        const changed = sealed.slice(0, at) + other + sealed.slice(at + 1);
        expect(() => box.open(changed, owner), changed).toThrow(SecretBoxError);
      }
    }
  });

  test.each(['', 'v1', 'v1....', 'v2.00000000.AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA', '{}'])(
    'that is none is refused: %j',
    (text) => {
      expect(box.keyIdOf(text)).toBeNull();
      expect(() => box.open(text, owner)).toThrow(SecretBoxError);
    },
  );
});

describe('after a change of the key', () => {
  const old = box.seal('secret', owner);
  const changed = createSecretBox({ current: SECOND, previous: [THIRD, FIRST] });

  test('what the old one has sealed is still read, and the new one seals', () => {
    expect(changed.open(old, owner)).toBe('secret');
    expect(changed.isCurrent(old)).toBe(false);
    const sealed = changed.seal('secret', owner);
    expect(changed.isCurrent(sealed)).toBe(true);
    expect(() => box.open(sealed, owner)).toThrow(SecretBoxError);
  });

  test('a key that is not named opens nothing, and the message says which it is', () => {
    const without = createSecretBox({ current: SECOND, previous: [] });
    expect(without.hasKey(box.currentKeyId)).toBe(false);
    expect(() => without.open(old, owner)).toThrow(
      `was encrypted with the key ${box.currentKeyId}, which this server does not have`,
    );
  });

  test('a secret cannot be passed off as one of another key', () => {
    const [, , ...rest] = old.split('.');
    const relabelled = ['v1', changed.currentKeyId, ...rest].join('.');
    expect(() => changed.open(relabelled, owner)).toThrow(SecretBoxError);
  });
});

describe('the URL of a video', () => {
  test('is stored as it is when it has neither query nor fragment', () => {
    const url = 'https://example.com/a%20b.mp4';
    expect(sealUrl(box, url, 'team-1')).toBe(url);
    expect(openUrl(box, url, 'team-1')).toBe(url);
  });

  test.each(['https://example.com/a.mp4?X-Amz-Signature=canary', 'https://example.com/a.mp4#canary'])(
    'is sealed when it may carry a secret: %s',
    (url) => {
      const stored = sealUrl(box, url, 'team-1');
      expect(stored).toMatch(/^sealed:v1\./);
      expect(stored).not.toContain('canary');
      expect(openUrl(box, stored, 'team-1')).toBe(url);
      expect(() => openUrl(box, stored, 'team-2')).toThrow(SecretBoxError);
    },
  );
});
