import { afterEach, describe, expect, test } from 'vitest';
import { createDemoClient, DemoClientError } from '../../src/demo/client.ts';
import type { DemoEvent } from '../../src/demo/documents.ts';
import type { FakeScript, FakeServer } from './fake-server.ts';
import { startFakeServer } from './fake-server.ts';
import { event, failedFile, importState, task } from './fixtures.ts';

const KEY = 'slc_0123456789abcdef0123456789abcdef';
const VIDEOS = [{ externalId: 'a', url: 'http://127.0.0.1/a.mp4', fileName: 'a.mp4' }];

const servers: FakeServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const serve = async (script: Partial<FakeScript>) => {
  const server = await startFakeServer({
    apiKey: KEY,
    startImport: () => null,
    importProgress: () => [],
    ...script,
  });
  servers.push(server);
  return { server, client: createDemoClient({ endpoint: server.endpoint, apiKey: KEY }) };
};

const collect = async (events: AsyncIterable<DemoEvent>) => {
  const all: DemoEvent[] = [];
  for await (const each of events) all.push(each);
  return all;
};
const forever = () => new AbortController().signal;

describe('startImport', () => {
  test('sends the videos and gives what is decided at once', async () => {
    const asked: unknown[] = [];
    const { client } = await serve({
      startImport: (input) => {
        asked.push(input);
        return {
          __typename: 'StartImportSuccess',
          import: {
            ...importState(),
            tasks: { nodes: [task('a')] },
            failedFiles: { nodes: [failedFile('b', 'SOURCE_NOT_FOUND')] },
          },
        };
      },
    });
    const started = await client.startImport('demo', VIDEOS);
    expect(started.tasks.nodes).toEqual([task('a')]);
    expect(started.failedFiles.nodes).toEqual([failedFile('b', 'SOURCE_NOT_FOUND')]);
    expect(JSON.parse(JSON.stringify(asked))).toEqual([
      { from: { videos: { systemName: 'demo', videos: VIDEOS } } },
    ]);
  });

  test('an answer that is an error is thrown with all it says', async () => {
    const issues = [{ path: ['input', 'from', 'videos', '0', 'url'], message: 'This is no URL.' }];
    const { client } = await serve({
      startImport: () => ({ __typename: 'InvalidInputError', message: 'The input is not valid.', issues }),
    });
    await expect(client.startImport('demo', VIDEOS)).rejects.toThrow(
      new DemoClientError(
        'InvalidInputError: The input is not valid. input.from.videos.0.url: This is no URL.',
      ),
    );
  });

  test('a key that is not known is refused in the words of the server', async () => {
    const { server } = await serve({});
    const stranger = createDemoClient({ endpoint: server.endpoint, apiKey: 'slc_other' });
    await expect(stranger.startImport('demo', VIDEOS)).rejects.toThrow('This key is not known.');
  });
});

describe('watchImport', () => {
  test('gives every event and ends with the import', async () => {
    const events = [
      event({ cursor: 'c1', snapshot: true, changed: [task('a')] }),
      event({ cursor: 'c2', changed: [task('a', { status: 'READY' })], import: importState(true) }),
    ];
    const { client, server } = await serve({ importProgress: () => events });
    expect(await collect(client.watchImport('imp_1', forever()))).toEqual(events);
    expect(server.askedAfter).toEqual([null]);
  });

  test('after a lost connection it goes on from the cursor of the last event', async () => {
    const first = event({ cursor: 'c1', snapshot: true, changed: [task('a')] });
    const second = event({ cursor: 'c2', import: importState(true) });
    const { client, server } = await serve({
      importProgress: function* (after) {
        if (after === 'c1') yield second;
        else {
          yield first;
          yield 'cut';
        }
      },
    });
    expect(await collect(client.watchImport('imp_1', forever()))).toEqual([first, second]);
    expect(server.askedAfter).toEqual([null, 'c1']);
  });

  test('a refused subscription is an error, and is not tried again', async () => {
    const { client, server } = await serve({ importProgress: () => ['refuse'] });
    await expect(collect(client.watchImport('imp_1', forever()))).rejects.toThrow(
      new DemoClientError('There is no such import.'),
    );
    expect(server.askedAfter).toEqual([null]);
  });

  test('a key that is not known is an error, and is not tried again', async () => {
    const { server } = await serve({});
    const stranger = createDemoClient({ endpoint: server.endpoint, apiKey: 'slc_other' });
    await expect(collect(stranger.watchImport('imp_1', forever()))).rejects.toThrow(/closed with 4403/);
  });

  test('an abort ends it with its own reason', async () => {
    const stop = new AbortController();
    const { client } = await serve({
      importProgress: function* () {
        for (let position = 0; ; position += 1) yield event({ cursor: `c${position}` });
      },
    });
    const seen: string[] = [];
    const watching = async () => {
      for await (const { cursor } of client.watchImport('imp_1', stop.signal)) {
        seen.push(cursor);
        if (seen.length === 3) stop.abort(new Error('enough'));
      }
    };
    await expect(watching()).rejects.toThrow('enough');
    expect(seen.slice(0, 3)).toEqual(['c0', 'c1', 'c2']);
  });
});
