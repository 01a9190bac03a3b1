import { Upload } from 'tus-js-client';
import { expect, test } from 'vitest';
import { box } from '../media/support/mp4-surgery.ts';
import { graphql } from '../support/graphql.ts';
import { createInstallation } from '../support/installation.ts';
import { TEST_KEY } from '../support/server.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait.ts';
import { makeContents, sha256 } from './file-origin.ts';
import { idOf } from './tus-client.ts';

const MIB = 1024 * 1024;
/** How large the file is; a longer form of this test takes 300. */
const SIZE_MIB = Number(process.env.SLUICE_TEST_UPLOAD_MIB ?? 20);
const CUTS = 5;
/** After which cut the server is killed as well. */
const KILL_AT = 3;

const CREATE = graphql(`
  mutation ResumedTask($input: CreateTaskInput!) {
    createTask(input: $input) { __typename ... on CreateTaskSuccess { task { id status waitingFor } } }
  }
`);
const LOOK = graphql(`
  query ResumedLook($id: ID!) {
    task(id: $id) { status error { code message } video { sha256 } progress { bytesDone } }
  }
`);

test('an upload that is cut again and again, and whose server is killed, goes on where it was and ends right', async () => {
  const clip = (await makeContents())();
  const bytes = Buffer.concat([clip, box('free', Buffer.alloc(SIZE_MIB * MIB, 'padding'))]);
  const installation = await createInstallation();
  let { server, client } = await installation.start();
  const proxy = await createTcpProxy(server.url);
  let cuts = 0;
  let fault: unknown = null;
  const cut = async () => {
    cuts += 1;
    proxy.refuse();
    if (cuts === KILL_AT) {
      await installation.end(server, 'SIGKILL');
      ({ server, client } = await installation.start());
      proxy.redirect(server.url);
    }
    proxy.admit();
  };
  const offsets: number[] = [];
  let taskId: string | null = null;
  const ended = new Promise<void>((resolve, reject) => {
    const upload = new Upload(bytes, {
      endpoint: new URL('/uploads', proxy.url).href,
      headers: { authorization: `Bearer ${TEST_KEY}` },
      // For as long as a server takes to start on a busy machine.
      retryDelays: Array.from({ length: 2000 }, () => 100),
      metadata: { filename: 'long.mp4' },
      chunkSize: Math.ceil(bytes.length / 3),
      onProgress(sent) {
        if (taskId !== null && cuts < CUTS && sent > ((cuts + 1) * bytes.length) / (CUTS + 1))
          cut().catch(reject);
      },
      onAfterResponse(request, response) {
        if (request.getMethod() === 'HEAD') offsets.push(Number(response.getHeader('upload-offset')));
      },
      async onUploadUrlAvailable() {
        // Told again each time that it goes on.
        if (taskId !== null) return;
        try {
          const input = { from: { uploadId: idOf(upload.url ?? '') }, sha256: sha256(bytes) };
          const { createTask } = await client.query(CREATE, { input });
          if (createTask.__typename !== 'CreateTaskSuccess') throw new Error(createTask.__typename);
          expect(createTask.task).toMatchObject({ status: 'PENDING', waitingFor: 'UPLOAD' });
          taskId = createTask.task.id;
        } catch (error) {
          fault = error;
        }
      },
      onSuccess: () => resolve(),
      onError: reject,
    });
    upload.start();
  });
  await ended;
  expect(fault).toBeNull();
  const end = await waitFor(
    async () => {
      const { task } = await client.query(LOOK, { id: taskId ?? '' });
      return (task?.status === 'READY' || task?.status === 'FAILED') && task;
    },
    { what: 'the end of the task', timeout: 60_000 },
  );
  expect(end).toMatchObject({ status: 'READY', error: null, video: { sha256: sha256(bytes) } });
  expect(cuts).toBe(CUTS);
  // It went on each time: never from the beginning again once something had come.
  expect(offsets.filter((offset) => offset > 0).length).toBeGreaterThan(1);
  await proxy.close();
  await installation.end(server, 'SIGTERM');
}, 300_000);
