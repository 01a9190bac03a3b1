import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeClip } from '../../src/demo/clips.ts';
import { CHROMIUM, launchBrowser } from '../support/browser.ts';
import { type PacedOrigin, startPacedOrigin } from '../support/paced-origin.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

describe.skipIf(CHROMIUM === undefined)('GraphiQL on a whole server', () => {
  let server: TestServer;
  let origin: PacedOrigin;
  let folder: string;
  let browser: Browser;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-graphiql-'));
    await makeClip({ seconds: 5, bitrate: 1_600_000 }, join(folder, 'clip.mp4'));
    // It does not come to its end before somebody looks at it, however long a browser takes.
    origin = await startPacedOrigin(
      new Map([['clip.mp4', await readFile(join(folder, 'clip.mp4'))]]),
      20_000,
    );
    origin.endings = 0;
    server = await startTestServer();
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    await origin?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Puts other variables in the place of those in the editor. */
  async function fillVariables(page: Page, variables: object): Promise<void> {
    await page.locator('.graphiql-editor-tool .view-lines').first().click();
    await page.keyboard.press('Control+A');
    await page.keyboard.insertText(JSON.stringify(variables));
    // The editor closes what is opened: away with what it added behind.
    await page.keyboard.press('Control+Shift+End');
    await page.keyboard.press('Delete');
  }

  async function run(page: Page, operation: string): Promise<void> {
    await page.locator('.graphiql-execute-button').click();
    await page.getByRole('menuitem', { name: operation, exact: true }).click();
  }

  test('starts an import of a real video and shows it to its end over WebSocket, asking no other host for anything', async () => {
    const page = await browser.newPage({ viewport: { width: 1500, height: 950 } });
    const hosts = new Set<string>();
    const frames: {
      type: string;
      payload?: { data?: { importProgress?: { import: { state: string } } } };
    }[] = [];
    page.on('request', (request) => {
      if (!/^(?:data|blob):/.test(request.url())) hosts.add(new URL(request.url()).host);
    });
    page.on('websocket', (socket) => {
      hosts.add(new URL(socket.url()).host);
      socket.on('framereceived', ({ payload }) => frames.push(JSON.parse(String(payload))));
    });

    await page.goto(`${server.url}/graphql#key=${server.key}`);
    await page.locator('.graphiql-execute-button').waitFor();
    const video = { externalId: 'clip', url: origin.url('clip.mp4'), fileName: 'clip.mp4' };
    await fillVariables(page, { input: { from: { videos: { systemName: 'browser', videos: [video] } } } });
    const answered = page.waitForResponse(
      (response) => response.request().postData()?.includes('"startImport"') === true,
    );
    await run(page, 'startImport');
    const answer = await (await answered).json();
    expect(answer).toMatchObject({
      data: {
        startImport: { __typename: 'StartImportSuccess', import: { counts: { found: 1, rejected: 0 } } },
      },
    });

    await fillVariables(page, { id: answer.data.startImport.import.id });
    await run(page, 'importProgress');
    const states = () => frames.flatMap(({ payload }) => payload?.data?.importProgress?.import.state ?? []);
    await expect.poll(() => states().length).toBeGreaterThan(2);
    origin.rate = 10_000_000;
    origin.endings = 1;
    await expect.poll(() => frames.at(-1)?.type).toBe('complete');
    await page.locator('.result-window').getByText('"SUCCEEDED"').waitFor();
    expect(states().at(-1)).toBe('SUCCEEDED');
    expect([...hosts]).toEqual([new URL(server.url).host]);
    await page.screenshot({ path: join(tmpdir(), 'sluice-graphiql.png') });
  });
});
