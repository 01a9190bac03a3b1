import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { bytesContent, type Content, fileContent } from './content.ts';
import { notImplemented, S3Failure } from './failure.ts';
import type { OpenRequest } from './head.ts';

/** What is larger goes into a file, in bytes. */
const MAX_IN_MEMORY = 64 * 1024;

export interface Received {
  readonly content: Content;
  /** Hex. */
  readonly md5: string;
}

/**
 * Takes the body of a request as it comes, holding little of it in memory.
 * @param folder for bodies that are large
 * @throws {S3Failure} when it is not what its headers say, or encoded in a way that is not known here
 */
export async function receiveBody(
  incoming: IncomingMessage,
  request: OpenRequest,
  folder: string,
): Promise<Received> {
  assertPlain(request.headers);
  const hashes = { md5: createHash('md5'), sha256: createHash('sha256'), crc32: 0 };
  const sink = createSink(join(folder, randomUUID()));
  try {
    for await (const data of incoming) {
      // A stream of a request gives buffers as long as no encoding is set.
      const chunk = data as Buffer;
      request.bytesReceived += chunk.length;
      hashes.md5.update(chunk);
      hashes.sha256.update(chunk);
      hashes.crc32 = crc32(chunk, hashes.crc32);
      await sink.write(chunk);
    }
    const md5 = hashes.md5.digest();
    assertIntact(request.headers, { md5, sha256: hashes.sha256.digest('hex'), crc32: hashes.crc32 });
    return { content: await sink.finish(), md5: md5.toString('hex') };
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

function assertPlain(headers: OpenRequest['headers']): void {
  const isStreaming = headers['x-amz-content-sha256']?.startsWith('STREAMING-') === true;
  if (isStreaming || headers['content-encoding']?.includes('aws-chunked') === true) {
    throw notImplemented('bodies in aws-chunked encoding');
  }
  if (headers['content-length'] === undefined && headers['transfer-encoding'] !== undefined) {
    throw new S3Failure(411, 'MissingContentLength', 'You must provide the Content-Length HTTP header.');
  }
}

interface Digests {
  readonly md5: Buffer;
  readonly sha256: string;
  readonly crc32: number;
}

function assertIntact(headers: OpenRequest['headers'], { md5, sha256, crc32 }: Digests): void {
  const payload = headers['x-amz-content-sha256'];
  if (payload !== undefined && payload !== 'UNSIGNED-PAYLOAD' && payload !== sha256) {
    throw new S3Failure(
      400,
      'XAmzContentSHA256Mismatch',
      'The hash of the body is another than the header tells.',
    );
  }
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32);
  const told = [
    [headers['content-md5'], md5],
    [headers['x-amz-checksum-crc32'], checksum],
  ] as const;
  if (told.some(([text, found]) => text !== undefined && text !== found.toString('base64'))) {
    throw new S3Failure(400, 'BadDigest', 'The checksum of the body is another than the header tells.');
  }
}

/** Keeps bytes in memory while they are few, and in a file when they are more. */
function createSink(path: string) {
  let kept: Buffer[] = [];
  let size = 0;
  let file: FileHandle | undefined;

  async function spill(): Promise<void> {
    file ??= await open(path, 'wx');
    await file.writeFile(Buffer.concat(kept));
    kept = [];
  }

  return {
    async write(chunk: Buffer): Promise<void> {
      kept.push(chunk);
      size += chunk.length;
      if (file !== undefined || size > MAX_IN_MEMORY) await spill();
    },
    async finish(): Promise<Content> {
      if (file === undefined) return bytesContent(Buffer.concat(kept));
      await file.close();
      return fileContent(path, size);
    },
    async discard(): Promise<void> {
      await file?.close().catch(() => undefined);
      if (file !== undefined) await rm(path, { force: true });
    },
  };
}
