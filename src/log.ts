import { DrizzleQueryError } from 'drizzle-orm';
import { type Logger, pino, stdSerializers } from 'pino';

/** What the log says of an error: of a statement that failed, why, and not the values it was given, which may hold secrets. */
function serializeError(error: unknown): unknown {
  const told = error instanceof DrizzleQueryError && error.cause ? error.cause : error;
  return told instanceof Error ? stdSerializers.err(told) : told;
}

/** The log of this process: JSON lines on stderr. */
export function createLog({ logLevel }: { readonly logLevel: string }): Logger {
  return pino(
    { level: logLevel, base: { pid: process.pid }, serializers: { err: serializeError } },
    pino.destination({ dest: 2, sync: true }),
  );
}
