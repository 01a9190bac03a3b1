import { createHash } from 'node:crypto';
import { type S3Answer, xmlAnswer } from './answer.ts';
import type { StoredObject } from './bucket.ts';
import { bytesContent } from './content.ts';
import { quoted } from './encoding.ts';
import { invalidArgument, noSuchKey, noSuchUpload } from './failure.ts';
import type { Call } from './operations.ts';
import { element } from './xml.ts';

/** CopyObject, within a bucket. */
export async function copyObject(call: Call): Promise<S3Answer> {
  const { bucket, request } = call;
  const { content, etag, contentType } = sourceOf(call);
  const copy = bucket.store(request.key, content, { etag, contentType });
  return xmlAnswer('CopyObjectResult', element('ETag', copy.etag));
}

/** UploadPartCopy, within a bucket. */
export async function copyPart(call: Call): Promise<S3Answer> {
  const { bucket, request } = call;
  const upload = bucket.uploads.get(request.key, request.query.get('uploadId') ?? '');
  if (upload === undefined) throw noSuchUpload();
  const [, first = '', last = ''] =
    /^bytes=(\d+)-(\d+)$/.exec(request.headers['x-amz-copy-source-range'] ?? '') ?? [];
  if (last === '')
    throw invalidArgument('The x-amz-copy-source-range value must be of the form bytes=first-last');
  const bytes = sourceOf(call)
    .content.all()
    .subarray(Number(first), Number(last) + 1);
  const md5 = createHash('md5').update(bytes).digest('hex');
  const number = Number(request.query.get('partNumber'));
  upload.parts.set(number, { number, content: bytesContent(bytes), md5, lastModified: new Date() });
  return xmlAnswer('CopyPartResult', element('ETag', quoted(md5)));
}

function sourceOf({ bucket, request }: Call): StoredObject {
  const source = decodeURIComponent(request.headers['x-amz-copy-source'] ?? '').replace(/^\//, '');
  const key = source.slice(source.indexOf('/') + 1);
  const object = source.startsWith(`${bucket.name}/`) ? bucket.find(key) : undefined;
  if (object === undefined) throw noSuchKey(key);
  return object;
}
