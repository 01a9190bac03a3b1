import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHROMIUM, launchBrowser } from '../support/browser.ts';
import { graphql } from '../support/graphql.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { type Site, startSite } from '../support/site.ts';
import { waitFor } from '../support/wait.ts';
import { makeContents, sha256 } from './file-origin.ts';

const MAKE = graphql(`
  mutation MakePageToken {
    createUploadToken(input: {}) { __typename ... on CreateUploadTokenSuccess { token } }
  }
`);

/** A page of another origin, which has tus-js-client. */
function startPages(): Promise<Site> {
  const script = readFileSync(new URL('../../node_modules/tus-js-client/dist/tus.min.js', import.meta.url));
  return startSite('<script src="/tus.js"></script>', { '/tus.js': script });
}

describe.skipIf(CHROMIUM === undefined)('a page of another origin, in a browser', () => {
  let pages: Site;
  let server: TestServer;
  let rows: Rows;

  beforeAll(async () => {
    pages = await startPages();
    server = await startTestServer({ SLUICE_ALLOW_ORIGINS: pages.url });
    rows = await openRows(server.databaseUrl);
  });
  afterAll(async () => {
    await rows?.close();
    await server?.stop();
    pages?.close();
  });

  async function makeToken(): Promise<string> {
    const { createUploadToken: made } = await server.query(MAKE);
    if (made.__typename !== 'CreateUploadTokenSuccess') throw new Error(made.__typename);
    return made.token;
  }

  test('uploads with a token, sees how that goes, and can do nothing else', async () => {
    const bytes = (await makeContents())();
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      await page.goto(pages.url);
      const seen = await page.evaluate(uploadInPage, {
        server: server.url,
        token: await makeToken(),
        file: bytes.toString('base64'),
      });
      expect(seen.error).toBeNull();
      expect(seen.states.at(-1)).toMatchObject({ status: 'READY' });
      const received = seen.states
        .filter(({ status }) => status === 'PENDING')
        .map(({ bytesDone }) => bytesDone);
      expect(received.some((count) => count > 0 && count < bytes.length)).toBe(true);
      expect(seen.again).toBe(403);
      expect(seen.refused).toContain('FORBIDDEN');
      await waitFor(
        async () =>
          (
            await rows.one<{ n: number }>('select count(*)::int as n from videos where sha256 = $1', [
              sha256(bytes),
            ])
          ).n === 1,
      );
    } finally {
      await browser.close();
    }
  });
});

interface Seen {
  readonly error: string | null;
  readonly states: { status: string; bytesDone: number }[];
  /** What a second upload is answered with. */
  readonly again: number;
  /** What a list is answered with. */
  readonly refused: string;
}

/** Runs in the page: everything that it uses is in here. */
async function uploadInPage(given: { server: string; token: string; file: string }): Promise<Seen> {
  const bytes = Uint8Array.from(atob(given.file), (character) => character.charCodeAt(0));
  const authorization = `Bearer ${given.token}`;
  const socket = new WebSocket(`${given.server.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const listeners = new Map<string, (message: { type: string; payload?: unknown }) => void>();
  await new Promise<void>((resolve, reject) => {
    socket.onerror = () => reject(new Error('the socket failed'));
    socket.onopen = () =>
      socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(String(data));
      if (message.type === 'connection_ack') resolve();
      else listeners.get(message.id)?.(message);
    };
  });
  let count = 0;
  const run = (query: string, onNext: (payload: never) => void) =>
    new Promise<string>((resolve) => {
      const id = String(++count);
      let last = '';
      listeners.set(id, ({ type, payload }) => {
        if (type !== 'complete') last = JSON.stringify(payload);
        if (type === 'next') onNext(payload as never);
        else resolve(last);
      });
      socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query } }));
    });
  const states: Seen['states'] = [];
  let watched: Promise<unknown> = Promise.resolve();
  // The script of the page has put it there.
  const { Upload } = (globalThis as unknown as { tus: typeof import('tus-js-client') }).tus;
  const error = await new Promise<string | null>((resolve) => {
    const upload = new Upload(new Blob([bytes]), {
      endpoint: `${given.server}/uploads`,
      headers: { authorization },
      chunkSize: Math.ceil(bytes.length / 4),
      metadata: { filename: 'page.mp4' },
      retryDelays: null,
      // The rest is sent when it has been told how far that is.
      async onBeforeRequest(request) {
        if (!Number(request.getHeader('Upload-Offset') ?? 0)) return;
        while (!states.some(({ bytesDone }) => bytesDone > 0))
          await new Promise((resolve) => setTimeout(resolve, 20));
      },
      async onUploadUrlAvailable() {
        const uploadId = upload.url?.slice(upload.url.lastIndexOf('/') + 1);
        const query = `mutation { createTask(input: { from: { uploadId: "${uploadId}" } }) { ... on CreateTaskSuccess { task { id } } } }`;
        let id = '';
        await run(query, (payload: { data: { createTask: { task: { id: string } } } }) => {
          id = payload.data.createTask.task.id;
        });
        watched = run(
          `subscription { taskProgress(id: "${id}") { task { status progress { bytesDone } } } }`,
          ({
            data,
          }: {
            data: { taskProgress: { task: { status: string; progress: { bytesDone: number } } } };
          }) => {
            const { status, progress } = data.taskProgress.task;
            states.push({ status, bytesDone: progress.bytesDone });
          },
        );
      },
      onError: (fault: Error) => resolve(String(fault)),
      onSuccess: () => resolve(null),
    });
    upload.start();
  });
  await watched;
  const again = await fetch(`${given.server}/uploads`, {
    method: 'POST',
    headers: { authorization, 'tus-resumable': '1.0.0', 'upload-length': '1' },
  });
  const refused = await run('{ videos { totalCount } }', () => {});
  socket.close();
  return { error, states, again: again.status, refused };
}
