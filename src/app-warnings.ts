import type { Logger } from 'pino';

/** What a library prints for whoever chooses the version of Node, which the operator of a server seldom is. */
const OF_NO_HASTE = /^NodeVersionSupportWarning\b/;

/** Has warnings of this process written to the log, a line each, rather than as text to stderr; of the last log that asked. */
export function logWarnings(log: Logger): void {
  // Node's own listener is what prints them.
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    const isIdle = OF_NO_HASTE.test(warning.name) || OF_NO_HASTE.test(warning.message);
    log[isIdle ? 'debug' : 'warn']({ err: warning }, 'a warning of the program itself');
  });
}
