import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import {
  buildSchema,
  type GraphQLObjectType,
  getVariableValues,
  Kind,
  type OperationDefinitionNode,
  parse,
  validate,
} from 'graphql';
import { pino } from 'pino';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildGraphiqlPage } from '../../src/http/graphiql.ts';
import { SAMPLE_OPERATIONS, SAMPLE_VARIABLES } from '../../src/http/graphiql-samples.ts';
import { createHttpServer, type HttpServer } from '../../src/http/server.ts';
import type { Context } from '../../src/schema/context.ts';
import { CHROMIUM, launchBrowser } from '../support/browser.ts';
import { NO_MEDIA } from './support.ts';

const SDL = readFileSync(new URL('../../src/schema/schema.graphql', import.meta.url), 'utf8');
const KEY = `slc_${'k'.repeat(40)}`;

describe('the sample operations', () => {
  const schema = buildSchema(SDL);
  const operations = parse(SAMPLE_OPERATIONS).definitions.filter(
    (definition): definition is OperationDefinitionNode => definition.kind === Kind.OPERATION_DEFINITION,
  );

  test('are those of an import, from its start to what is made of its videos, and hold for the schema', () => {
    expect(operations.map(({ name, operation }) => `${operation} ${name?.value}`)).toEqual([
      'mutation startImport',
      'query importStatus',
      'query tasks',
      'subscription importProgress',
      'mutation startFullIngestion',
      'subscription stages',
      'query made',
    ]);
    expect(validate(schema, parse(SAMPLE_OPERATIONS))).toEqual([]);
  });

  test('find all that they need among the sample variables', () => {
    for (const { variableDefinitions = [] } of operations) {
      const { coerced, errors } = getVariableValues(schema, variableDefinitions, SAMPLE_VARIABLES);
      expect(errors).toBeUndefined();
      expect(Object.keys(coerced ?? {})).toEqual(
        variableDefinitions.map(({ variable }) => variable.name.value),
      );
    }
  });
});

describe('the page', () => {
  test('runs its own scripts only, and loads nothing', async () => {
    const page = await buildGraphiqlPage();
    const html = gunzipSync(page.gzip).toString();
    const scripts = [...html.matchAll(/<script>(.*?)<\/script>/gs)].map(([, script = '']) => script);
    const hashes = scripts.map(
      (script) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
    );
    expect(page.csp('127.0.0.1:4000')).toContain(`script-src ${hashes.join(' ')};`);
    expect(page.csp('127.0.0.1:4000')).toContain(
      "connect-src 'self' ws://127.0.0.1:4000 wss://127.0.0.1:4000;",
    );
    expect(html.replace(/<(script|style)>.*?<\/\1>/gs, '')).not.toMatch(/(?:src|href)="(?!data:)/);
  });

  test('takes no text of the Host header that could be another rule', async () => {
    const page = await buildGraphiqlPage();
    expect(page.csp("x; script-src 'unsafe-inline'")).toBe(page.csp(undefined));
  });
});

/** The real schema, with answers to what the page asks. */
function createSchema({ started }: { readonly started: unknown[] }) {
  const schema = buildSchema(SDL);
  const field = (type: 'Query' | 'Mutation' | 'Subscription', name: string) => {
    const found = (schema.getType(type) as GraphQLObjectType).getFields()[name]; // the three are object types
    if (!found) throw new Error(`there is no ${type}.${name}`);
    return found;
  };
  const settled = { ready: 0, skipped: 0, failed: 0, rejected: 0 };
  const running = { pending: 1, uploading: 0, validating: 0, queued: 0, indexing: 0 };
  const counts = { found: 1, undecided: 0, ...running, ...settled };
  const nothing = { nodes: [] };
  field('Mutation', 'startImport').resolve = (_root, { input }) => {
    started.push(input);
    return {
      __typename: 'StartImportSuccess',
      import: { id: SAMPLE_VARIABLES.id, state: 'STARTED', counts, tasks: nothing, failedFiles: nothing },
    };
  };
  const event = (cursor: string, state: string, fraction: number) => ({
    cursor,
    snapshot: cursor === 'c1',
    import: { state, counts, progress: { fraction, bytesDone: 0 } },
    changed: [],
    rejected: [],
  });
  field('Subscription', 'importProgress').subscribe = async function* (_root, { id }) {
    if (id !== SAMPLE_VARIABLES.id) throw new Error('another import');
    yield { importProgress: event('c1', 'STARTED', 0) };
    yield { importProgress: event('c2', 'STARTED', 0.5) };
    yield { importProgress: event('c3', 'SUCCEEDED', 1) };
  };
  return schema;
}

describe.skipIf(CHROMIUM === undefined)('in a browser, GraphiQL', () => {
  const started: unknown[] = [];
  const log = pino({ level: 'silent' });
  let browser: Browser;
  let server: HttpServer;
  let url: string;
  let context: BrowserContext;
  let page: Page;
  let requests: string[];
  let frames: string[];
  let problems: string[];

  beforeAll(async () => {
    server = createHttpServer({
      host: '127.0.0.1',
      port: 0,
      allowOrigins: [],
      production: false,
      log,
      schema: createSchema({ started }),
      authenticate: async (key) =>
        key === KEY
          ? { keyId: '1', keyName: 'test', scopes: ['ADMIN'], defaultTeamId: '1', teamIds: ['1'] }
          : null,
      // The answers of this schema read nothing of it.
      createContext: (viewer) => ({ viewer }) as Context,
      deadlineSeconds: () => 10,
      media: NO_MEDIA,
      health: async () => ({}),
      graphiql: true,
    });
    url = `${(await server.start()).url}/graphql`;
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    [requests, frames, problems] = [[], [], []];
    started.length = 0;
    context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
    page = await context.newPage();
    context.on('request', (request) => requests.push(request.url()));
    page.on('websocket', (socket) => {
      requests.push(socket.url());
      socket.on('framesent', ({ payload }) => frames.push(String(payload)));
      socket.on('framereceived', ({ payload }) => frames.push(String(payload)));
    });
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => {
      if (/content security policy/i.test(message.text())) problems.push(message.text());
    });
  });

  afterEach(async () => {
    const elsewhere = requests.filter(
      (request) => !/^(?:data|blob):/.test(request) && new URL(request).host !== new URL(url).host,
    );
    await context.close();
    expect(elsewhere).toEqual([]);
    expect(problems).toEqual([]);
  });

  /** Runs one operation of the first tab, by the menu of the play button. */
  async function run(operation: string): Promise<void> {
    await page.locator('.graphiql-execute-button').click();
    await page.getByRole('menuitem', { name: operation, exact: true }).click();
  }

  const typesOf = (sent: readonly string[]) => sent.map((frame) => JSON.parse(frame).type);
  const answerOf = (text: string) => page.locator('.result-window').getByText(text).waitFor();

  test('takes the key from the address, keeps it in the tab alone, and clears the address', async () => {
    await page.goto(`${url}#key=${KEY}`);
    await page.locator('.graphiql-execute-button').waitFor();
    expect(page.url()).toBe(url);
    expect(await page.evaluate('sessionStorage.getItem("sluice.key")')).toBe(KEY);
    expect(await page.evaluate('JSON.stringify(localStorage)')).not.toContain(KEY);
    expect(await page.content()).not.toContain(KEY);
    await page.reload();
    await page.locator('.graphiql-execute-button').waitFor();
    expect(requests.some((request) => request.includes(KEY))).toBe(false);
  });

  test('runs the import of the first tab, and shows its progress over WebSocket up to the end', async () => {
    await page.goto(`${url}#key=${KEY}`);
    await run('startImport');
    await answerOf('"STARTED"');
    expect(started).toMatchObject([SAMPLE_VARIABLES.input]);
    await run('importProgress');
    await answerOf('"SUCCEEDED"');
    await expect
      .poll(() => typesOf(frames))
      .toEqual(['connection_init', 'connection_ack', 'subscribe', 'next', 'next', 'next', 'complete']);
    expect(JSON.parse(frames[0] ?? '')).toEqual({
      type: 'connection_init',
      payload: { authorization: `Bearer ${KEY}` },
    });
    expect(JSON.parse(frames[2] ?? '').payload.variables.id).toBe(SAMPLE_VARIABLES.id);
  });

  test('asks for a key when it has none, and again when the server refuses it', async () => {
    await page.goto(url);
    const [input, problem] = [page.locator('#key'), page.getByRole('alert')];
    await input.fill('abc');
    await input.press('Enter');
    await expect.poll(() => problem.textContent()).toContain('This is no key');
    await input.fill(`slc_${'x'.repeat(40)}`);
    await input.press('Enter');
    await expect.poll(() => problem.textContent()).toContain('does not know this key');
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
    await input.fill(KEY);
    await input.press('Enter');
    await page.locator('.graphiql-execute-button').waitFor();
    expect(await input.isVisible()).toBe(false);
  });

  test('opens its own first tab, whatever another GraphiQL of this origin has kept', async () => {
    await context.addInitScript(`localStorage.setItem('graphiql:tabState', JSON.stringify({ activeTabIndex: 0, tabs: [
      { id: '1', title: 'other', query: 'query other { x }', variables: '{}', headers: '', hash: '1', operationName: 'other', response: null },
    ] }))`);
    await page.goto(`${url}#key=${KEY}`);
    await page.getByRole('tab', { name: 'startImport' }).waitFor();
    expect(await page.getByRole('tab', { name: 'other' }).count()).toBe(0);
  });
});
