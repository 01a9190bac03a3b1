import type { S3Answer } from './answer.ts';
import type { Bucket } from './bucket.ts';
import { copyObject, copyPart } from './copy.ts';
import { notImplemented } from './failure.ts';
import type { OpenRequest } from './head.ts';
import { listObjects } from './listing.ts';
import {
  abortUpload,
  completeUpload,
  createUpload,
  listParts,
  listUploads,
  uploadPart,
} from './multipart.ts';
import { deleteObject, deleteObjects, getObject, putObject } from './objects.ts';
import type { Received } from './receive.ts';
import type { S3Operation, S3Quirks } from './types.ts';

/** A request with what it needs to be served. */
export interface Call {
  readonly bucket: Bucket;
  readonly request: OpenRequest;
  readonly quirks: S3Quirks;
  /** The most keys of a page of a listing. */
  readonly maxKeys: number;
  /** Takes the body of the request. */
  receive(): Promise<Received>;
}

/** What anybody may do with a public bucket. */
export const PUBLIC_OPERATIONS: ReadonlySet<S3Operation> = new Set<S3Operation>([
  'GetObject',
  'HeadBucket',
  'HeadObject',
  'ListObjectsV2',
]);

const OPERATIONS: Readonly<Record<S3Operation, (call: Call) => Promise<S3Answer>>> = {
  ListObjectsV2: listObjects,
  HeadBucket: async ({ bucket }) => ({ status: 200, headers: { 'x-amz-bucket-region': bucket.region } }),
  HeadObject: getObject,
  GetObject: getObject,
  PutObject: putObject,
  CopyObject: copyObject,
  DeleteObject: deleteObject,
  DeleteObjects: deleteObjects,
  CreateMultipartUpload: createUpload,
  UploadPart: uploadPart,
  UploadPartCopy: copyPart,
  CompleteMultipartUpload: completeUpload,
  AbortMultipartUpload: abortUpload,
  ListParts: listParts,
  ListMultipartUploads: listUploads,
  Unknown: async ({ request }) => {
    throw notImplemented(`a ${request.method} like this`);
  },
};

/**
 * Does what a request asks for.
 * @throws {S3Failure}
 */
export const serve = (call: Call): Promise<S3Answer> => OPERATIONS[call.request.operation](call);
