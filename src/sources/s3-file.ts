import { type Answer, type KnownPart, readAnswer } from './download-answer.ts';
import type { SourceError } from './errors.ts';
import type { HttpResponse } from './http-client.ts';
import { firstRange, openAnswered, type RemoteFile } from './remote-file.ts';
import type { S3Connection } from './s3-connection.ts';
import { etagOf, headerVersionOf, sizeOf, versionOfHeader } from './s3-version.ts';
import type { SourceAnswer, SourceFile } from './source.ts';

interface S3FileOptions {
  readonly connection: S3Connection;
  readonly origin: string;
  readonly key: string;
}

/** The object of a key. It is asked for by GET only. */
export function createS3File({ connection, origin, key }: S3FileOptions): SourceFile {
  return {
    origin,
    async open({ knownVersion = null, firstBytes, signal }) {
      const ifNoneMatch = etagOf(knownVersion);
      const first = await connection.get({ key, range: firstRange(firstBytes), ifNoneMatch }, signal);
      if (first.status === 304 && knownVersion !== null) return unchanged(knownVersion);
      const file = await openAnswered(
        first,
        ({ range, version, signal: ending }) =>
          // Headers of this connection have ETags in quotes, or dates.
          connection.get({ key, range, ifMatch: version?.startsWith('"') ? version : null }, ending),
        signal,
      );
      return { ...file, version: versionOfHeader(file.version, file.size) };
    },
    async request(known, signal) {
      const range = known.bytes > 0 && known.version !== null ? `bytes=${known.bytes}-` : null;
      const response = await connection.get({ key, range, ifMatch: etagOf(known.version) }, signal);
      try {
        return toSourceAnswer(response, known);
      } catch (error) {
        response.discard();
        throw error;
      }
    },
  };
}

/** A file that is the one that is known: nothing of it was sent. */
function unchanged(version: string): RemoteFile {
  return {
    size: sizeOf(version),
    version,
    contentType: null,
    acceptsRanges: false,
    read: () =>
      Promise.reject(new Error('This file was asked for only if it has changed; it cannot be read.')),
    close() {},
  };
}

function toSourceAnswer(response: HttpResponse, known: KnownPart): SourceAnswer {
  const { body, discard, url } = response;
  const answer = response.status === 412 ? CHANGED : judge(response, known);
  return { answer, host: url.hostname, body, discard };
}

const CHANGED: Answer = { kind: 'CHANGED' };

/** As `readAnswer`, which knows versions as headers tell them. */
function judge(response: HttpResponse, known: KnownPart): Answer {
  const total = known.total ?? (known.version === null ? null : sizeOf(known.version));
  const answer = readAnswer(response, { bytes: known.bytes, version: headerVersionOf(known.version), total });
  if (answer.kind !== 'APPEND' && answer.kind !== 'WHOLE') return answer;
  const version = versionOfHeader(answer.version, answer.total);
  // A store that does not look at If-Match sends whatever it has.
  const isOther = known.version !== null && version !== null && version !== known.version;
  return { ...answer, version, isOther: answer.isOther || isOther };
}

/** The file of a key that this source does not hold: nothing is asked for. */
export function createMissingFile(origin: string, error: () => SourceError): SourceFile {
  return { origin, open: async () => Promise.reject(error()), request: async () => Promise.reject(error()) };
}
