import { type S3Answer, xmlAnswer } from './answer.ts';
import { compareBytes, quoted } from './encoding.ts';
import { invalidArgument } from './failure.ts';
import { encodingOf, keyEncoder, numberIn } from './listing.ts';
import type { Call } from './operations.ts';
import { assemble, type Part, partsOf, type Upload } from './uploads.ts';
import { element, elementsOf, textOf } from './xml.ts';

const MAX_PART_NUMBER = 10_000;

/** The most that a page of parts or uploads holds. */
const MAX_LISTED = 1000;

/** CreateMultipartUpload. */
export async function createUpload({ bucket, request }: Call): Promise<S3Answer> {
  const { uploadId } = bucket.uploads.begin(request.key, request.headers['content-type']);
  return xmlAnswer(
    'InitiateMultipartUploadResult',
    placeOf(bucket.name, request.key) + element('UploadId', uploadId),
  );
}

/** UploadPart. */
export async function uploadPart(call: Call): Promise<S3Answer> {
  const number = numberIn(call.request.query, 'partNumber', 0);
  if (number < 1 || number > MAX_PART_NUMBER) {
    throw invalidArgument('Part number must be an integer between 1 and 10000, inclusive');
  }
  uploadOf(call);
  const { content, md5 } = await call.receive();
  // It may have been ended while the part came in.
  uploadOf(call).parts.set(number, { number, content, md5, lastModified: new Date() });
  return { status: 200, headers: { etag: quoted(md5) } };
}

/** CompleteMultipartUpload. */
export async function completeUpload(call: Call): Promise<S3Answer> {
  const { bucket, request, receive } = call;
  const xml = (await receive()).content.all().toString();
  const upload = uploadOf(call);
  const named = elementsOf(xml, 'Part').map((part) => ({
    number: Number(textOf(part, 'PartNumber')),
    etag: textOf(part, 'ETag') ?? '',
  }));
  const { content, etag } = assemble(upload, named);
  const contentType = upload.contentType;
  const object = bucket.store(request.key, content, {
    etag,
    ...(contentType === undefined ? {} : { contentType }),
  });
  bucket.uploads.end(upload);
  return xmlAnswer(
    'CompleteMultipartUploadResult',
    placeOf(bucket.name, request.key) + element('ETag', object.etag),
  );
}

/** AbortMultipartUpload. */
export async function abortUpload(call: Call): Promise<S3Answer> {
  call.bucket.uploads.end(uploadOf(call));
  return { status: 204 };
}

/** ListParts. */
export async function listParts(call: Call): Promise<S3Answer> {
  const { bucket, request } = call;
  const limit = Math.min(numberIn(request.query, 'max-parts', MAX_LISTED), MAX_LISTED);
  const marker = numberIn(request.query, 'part-number-marker', 0);
  const upload = uploadOf(call);
  const rest = partsOf(upload).filter((part) => part.number > marker);
  const page = rest.slice(0, limit);
  return xmlAnswer(
    'ListPartsResult',
    [
      placeOf(bucket.name, request.key),
      element('UploadId', upload.uploadId),
      element('PartNumberMarker', marker),
      element('NextPartNumberMarker', page.at(-1)?.number ?? 0),
      element('MaxParts', limit),
      element('IsTruncated', rest.length > page.length),
      ...page.map(partXml),
    ].join(''),
  );
}

const partXml = ({ number, md5, content, lastModified }: Part): string =>
  `<Part>${[
    element('PartNumber', number),
    element('LastModified', lastModified.toISOString()),
    element('ETag', quoted(md5)),
    element('Size', content.size),
  ].join('')}</Part>`;

/** ListMultipartUploads. */
export async function listUploads({ bucket, request, quirks }: Call): Promise<S3Answer> {
  const { query } = request;
  const prefix = query.get('prefix') ?? '';
  const limit = Math.min(numberIn(query, 'max-uploads', MAX_LISTED), MAX_LISTED);
  const encode = keyEncoder(query, quirks);
  const found = bucket.uploads.all().filter(({ key }) => key.startsWith(prefix));
  const rest = found.slice(placeBehind(found, query));
  const page = rest.slice(0, limit);
  const isTruncated = rest.length > page.length;
  const last = page.at(-1);
  return xmlAnswer(
    'ListMultipartUploadsResult',
    [
      element('Bucket', bucket.name),
      element('Prefix', encode(prefix)),
      element('KeyMarker', encode(query.get('key-marker') ?? '')),
      element('UploadIdMarker', query.get('upload-id-marker') ?? ''),
      ...(isTruncated && last !== undefined
        ? [element('NextKeyMarker', encode(last.key)), element('NextUploadIdMarker', last.uploadId)]
        : []),
      element('MaxUploads', limit),
      ...encodingOf(query, quirks),
      element('IsTruncated', isTruncated),
      ...page.map((upload) => uploadXml(upload, encode)),
    ].join(''),
  );
}

/** Where a listing goes on: behind the upload of the markers, or behind all of the marked key. */
function placeBehind(uploads: readonly Upload[], query: URLSearchParams): number {
  const key = query.get('key-marker') ?? '';
  const uploadId = query.get('upload-id-marker') ?? '';
  if (key === '') return 0;
  const marked = uploads.findIndex((upload) => upload.key === key && upload.uploadId === uploadId);
  if (marked >= 0) return marked + 1;
  const behind = uploads.findIndex((upload) => compareBytes(upload.key, key) > 0);
  return behind < 0 ? uploads.length : behind;
}

const uploadXml = ({ key, uploadId, initiated }: Upload, encode: (key: string) => string): string =>
  `<Upload>${[
    element('Key', encode(key)),
    element('UploadId', uploadId),
    element('StorageClass', 'STANDARD'),
    element('Initiated', initiated.toISOString()),
  ].join('')}</Upload>`;

const uploadOf = ({ bucket, request }: Call): Upload =>
  bucket.uploads.get(request.key, request.query.get('uploadId') ?? '');

const placeOf = (bucket: string, key: string): string => element('Bucket', bucket) + element('Key', key);
