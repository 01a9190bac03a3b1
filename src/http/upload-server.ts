import type { IncomingMessage, ServerResponse } from 'node:http';
import { Server, type ServerOptions } from '@tus/server';
import { createUpload, newUploadId } from '../services/create-upload.ts';
import type { Services } from '../services/deps.ts';
import { toPublicId } from '../services/public-ids.ts';
import { findOwnUpload, uploadKey } from '../services/upload-rows.ts';
import type { Viewer } from '../services/viewer.ts';
import type { UploadStore } from '../storage/upload-store.ts';
import { UploadDataStore } from './upload-data-store.ts';
import { answerOfFault } from './upload-faults.ts';
import { idOfKey, keyOfSegment, segmentOfKey } from './upload-keys.ts';
import { createUploadLocks } from './upload-locks.ts';

export interface UploadOptions {
  readonly services: Services;
  readonly store: UploadStore;
  /** What the URLs of uploads begin with; without one they are paths. */
  readonly publicUrl: string | undefined;
}

/** Answers the requests for uploads, by tus 1.0. */
export interface UploadServer {
  handle(request: IncomingMessage, response: ServerResponse, viewer: Viewer | null): Promise<void>;
  /** Has the requests end soon that bring bytes; what came of them is kept. */
  release(): void;
}

/** How long a request may go on storing what it has when it is to end, in milliseconds. */
const RELEASE_MS = 500;

type TusRequest = Parameters<NonNullable<ServerOptions['onIncomingRequest']>>[0];

/**
 * Makes the server of uploads.
 * @param allowOrigins of pages that may send from elsewhere
 */
export function createUploadServer(
  options: UploadOptions & { readonly allowOrigins: readonly string[] },
): UploadServer {
  const { services, store, publicUrl = '', allowOrigins } = options;
  const maxBytes = services.uploadMaxBytes;
  const viewers = new WeakMap<IncomingMessage, Viewer>();
  const locks = createUploadLocks(services);
  const viewerOf = (request: TusRequest): Viewer => {
    const node = request.runtime?.node?.req;
    const viewer = node && viewers.get(node as IncomingMessage); // HTTP/1 is all that is listened for
    if (!viewer) throw new Error('a request for an upload came without a viewer');
    return viewer;
  };
  const tus = new Server({
    path: '/uploads',
    datastore: new UploadDataStore({ services, store, locks }),
    locker: ({ method }) => (method === 'HEAD' || method === 'DELETE' ? locks.patient : locks.strict),
    lockDrainTimeout: RELEASE_MS,
    allowedOrigins: (origin) => allowOrigins.includes(origin),
    exposedHeaders: ['Upload-Expires'],
    maxSize: (request, id) =>
      id === null ? maxBytes : Math.min(maxBytes, viewerOf(request).uploadToken?.maxBytes ?? maxBytes),
    namingFunction: () => uploadKey(newUploadId()),
    generateUrl: (_request, { id }) => `${publicUrl}/uploads/${segmentOfKey(id)}`,
    getFileIdFromRequest: (_request, segment) => keyOfSegment(segment),
    async onIncomingRequest(request, key) {
      if (request.method === 'POST') return;
      await findOwnUpload(services.db, viewerOf(request), toPublicId('Upload', idOfKey(key)));
    },
    async onUploadCreate(request, { id: key, size = 0, metadata = null }) {
      const id = idOfKey(key);
      await createUpload(services, viewerOf(request), { id, length: size, metadata });
      return {};
    },
    onResponseError: (_request, error) => answerOfFault(services.log, error),
  });
  return {
    async handle(request, response, viewer) {
      if (viewer !== null) viewers.set(request, viewer);
      await tus.handle(request, response);
    },
    release: () => locks.release(),
  };
}
