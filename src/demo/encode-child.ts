import { realpathSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { ClipSpec } from './clip-spec.ts';

/** One clip that the child is asked for. */
export interface EncodeRequest {
  readonly spec: ClipSpec;
  readonly path: string;
}

/** What became of a request; `error` is absent when the file is there. */
export interface EncodeReply {
  readonly error?: string;
}

/** node-av calls Promise.withResolvers, which Node has only from version 22 on. */
function providePromiseWithResolvers(): void {
  const target: { withResolvers?: unknown } & object = Promise as object;
  target.withResolvers ??= () => {
    const parts: { promise?: Promise<unknown>; resolve?: unknown; reject?: unknown } = {};
    parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
    return parts;
  };
}

async function answer(request: EncodeRequest): Promise<EncodeReply> {
  try {
    const { encodeClip } = await import('./encode.ts');
    await encodeClip(request.spec, request.path);
    return {};
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** Serves requests one after the other, and ends with the parent's channel. */
function serve(): void {
  providePromiseWithResolvers();
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  process.on('disconnect', () => process.exit(0));
  process.on('message', (request: EncodeRequest) => {
    void answer(request).then((reply) => process.send?.(reply));
  });
}

// Served only where this file is what was started: importing it starts nothing.
if (import.meta.url === pathToFileURL(realpathSync(process.argv[1] ?? '.')).href) serve();
