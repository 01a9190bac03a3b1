import { expect, test } from 'vitest';
import { whenConnected } from '../../src/services/when-connected.ts';

const never = new AbortController().signal;
const refused = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

test('a read waits for a database that cannot be reached', async () => {
  let reads = 0;
  const read = async () => {
    reads += 1;
    if (reads < 3) throw refused();
    return 'there';
  };
  expect(await whenConnected(read, never)).toBe('there');
  expect(reads).toBe(3);
});

test('a read that fails of something else is not repeated', async () => {
  let reads = 0;
  const read = async () => {
    reads += 1;
    throw new Error('no such column');
  };
  await expect(whenConnected(read, never)).rejects.toThrow('no such column');
  expect(reads).toBe(1);
});

test('waiting for the database ends with the signal', async () => {
  const controller = new AbortController();
  const waiting = whenConnected(() => Promise.reject(refused()), controller.signal);
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
});
