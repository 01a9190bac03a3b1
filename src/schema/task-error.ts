import type { StoredError } from '../db/tables/tasks.ts';
import { builder } from './builder.ts';

/** Why a video does not come in. */
const TASK_ERROR_CODES = [
  'VIDEO_RESOLUTION_TOO_LOW',
  'VIDEO_RESOLUTION_TOO_HIGH',
  'VIDEO_RESOLUTION_INVALID_ASPECT_RATIO',
  'VIDEO_DURATION_TOO_SHORT',
  'VIDEO_DURATION_TOO_LONG',
  'VIDEO_FILESIZE_TOO_LARGE',
  'VIDEO_FILE_BROKEN',
  'UNSUPPORTED_MEDIA_TYPE',
  'USAGE_LIMIT_EXCEEDED',
  'SOURCE_UNAVAILABLE',
  'SOURCE_NOT_FOUND',
  'SOURCE_NOT_AUTHORIZED',
  'SOURCE_FORBIDDEN_ADDRESS',
  'SOURCE_CHANGED',
  'CHECKSUM_MISMATCH',
  'UPLOAD_EXPIRED',
  'DUPLICATE_IN_REQUEST',
  'STORAGE_FULL',
  'PROCESSING_TIMEOUT',
  'PROCESSING_CRASHED',
  'INTERNAL',
] as const;
type TaskErrorCodeValue = (typeof TASK_ERROR_CODES)[number];

export const TaskErrorCode = builder.enumType('TaskErrorCode', {
  description:
    'UNSUPPORTED_MEDIA_TYPE: no video, or a container or codec that is not accepted; VIDEO_FILE_BROKEN: one that is, and cannot be decoded. SOURCE_UNAVAILABLE may pass (timeout, 429, 5xx); SOURCE_NOT_FOUND and SOURCE_NOT_AUTHORIZED do not. CHECKSUM_MISMATCH: with the sha256 given. USAGE_LIMIT_EXCEEDED: of the team, see Team.usage. PROCESSING_TIMEOUT, PROCESSING_CRASHED: this file did it; INTERNAL: the server did. UPLOAD_EXPIRED: the upload was not finished in time.',
  values: TASK_ERROR_CODES,
});

/** A code that a newer version wrote is none that this one can show. */
const toCode = (code: string): TaskErrorCodeValue =>
  TASK_ERROR_CODES.find((known) => known === code) ?? 'INTERNAL';

export const TaskError = builder.objectRef<StoredError>('TaskError').implement({
  description:
    'measured and required: the two figures of a missed requirement, written as in the message: 320x240, 2.7:1, 3.2 s, 2147483649 bytes.',
  fields: (t) => ({
    code: t.field({ type: TaskErrorCode, resolve: ({ code }) => toCode(code) }),
    message: t.exposeString('message'),
    retryable: t.exposeBoolean('retryable'),
    measured: t.string({ nullable: true, resolve: ({ measured }) => measured }),
    required: t.string({ nullable: true, resolve: ({ required }) => required }),
  }),
});
