import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

/**
 * Starts the S3 double in a process of its own.
 * @param latencyMs that it waits before each answer
 * @returns where it is, `run(action, given)` for what s3-process.mjs does, and stop
 */
export async function startStore(latencyMs) {
  const child = fork(path('./s3-process.mjs'), [String(latencyMs)], {
    execArgv: ['--import', path('./typescript.mjs')],
    serialization: 'advanced',
  });
  const ended = once(child, 'exit').then(([code]) => ({ error: `the store ended with code ${code}` }));
  const answer = async () => {
    const { error, result } = await Promise.race([once(child, 'message').then(([told]) => told), ended]);
    if (error !== undefined) throw new Error(error);
    return result;
  };
  const access = await answer();
  return {
    ...access,
    run(action, given = {}) {
      child.send({ action, ...given });
      return answer();
    },
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
