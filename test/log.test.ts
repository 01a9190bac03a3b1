import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const built = (file: string) => fileURLToPath(new URL(`../dist/${file}`, import.meta.url));

test('a statement that failed is logged with its reason, and without the values that it was given', () => {
  const script = `
    const { createLog } = await import(${JSON.stringify(built('log.js'))});
    const { DrizzleQueryError } = await import('drizzle-orm');
    const cause = new Error('no room');
    createLog({ logLevel: 'info' }).error({ err: new DrizzleQueryError('insert $1', ['very-secret'], cause) }, 'it failed');
    createLog({ logLevel: 'info' }).error({ err: new TypeError('plain') }, 'it failed');`;
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd,
    encoding: 'utf8',
  });
  const [failed, plain] = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(stderr).not.toContain('very-secret');
  expect(failed.err.message).toBe('no room');
  expect(plain.err).toMatchObject({ type: 'TypeError', message: 'plain' });
});
