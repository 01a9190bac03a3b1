import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { SAMPLE_OPERATIONS, SAMPLE_VARIABLES } from './graphiql-samples.ts';
import { ASK_FORM, startScript } from './graphiql-start.ts';

/** The page, the same for everybody: it holds no key. */
export interface GraphiqlPage {
  /** The HTML, compressed. */
  readonly gzip: Buffer;
  readonly etag: string;
  /** The page's Content-Security-Policy on the server that the browser knows by this Host header. */
  csp(host: string | undefined): string;
}

const LOGO = `<svg viewBox="0 0 32 32" width="32" height="32" fill="none" stroke="#0b5cad" stroke-width="3" stroke-linecap="round" xmlns="http://www.w3.org/2000/svg"><path d="M6 4v24M26 4v24M6 9h20M11 9v8h10V9M6 23c3.3-3 6.7 3 10 0s6.7 3 10 0"/></svg>`;

const OPTIONS = {
  endpoint: '/graphql',
  title: 'Sluice',
  logo: LOGO,
  favicon: `data:image/svg+xml;base64,${Buffer.from(LOGO).toString('base64')}`,
  subscriptionsProtocol: 'WS',
  // What somebody types into the headers editor may be a secret.
  shouldPersistHeaders: false,
  defaultTabs: [{ query: SAMPLE_OPERATIONS, variables: JSON.stringify(SAMPLE_VARIABLES, null, 2) }],
} as const;

/**
 * Builds GraphiQL's page, with everything that it needs in it: nothing is loaded from anywhere else.
 * @throws {Error} when the package's page is not as this one expects it
 */
export async function buildGraphiqlPage(): Promise<GraphiqlPage> {
  // 9 MB of text: only for those who look at it.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const html = withOwnStart(renderGraphiQL({ title: OPTIONS.title, favicon: OPTIONS.favicon }));
  const hashes = [...html.matchAll(/<script>(.*?)<\/script>/gs)].map(([, script = '']) => sha256(script));
  return {
    gzip: await promisify(gzip)(html),
    etag: `"${createHash('sha256').update(html).digest('base64url')}"`,
    csp: (host) => policyOf(hashes, host),
  };
}

const PACKAGE_START =
  /YogaGraphiQL\.renderYogaGraphiQL\(\s*window\.document\.querySelector\('#root'\),[^<]*<\/script>/;

/** The package starts GraphiQL at once, with options that are the same for all; ours waits for a key. */
function withOwnStart(html: string): string {
  const page = html
    .trimStart()
    .replace(PACKAGE_START, () => `</script>${ASK_FORM}<script>${startScript(OPTIONS)}</script>`);
  if (!page.includes(ASK_FORM))
    throw new Error('The page of @graphql-yoga/render-graphiql has another form now.');
  return page;
}

const sha256 = (script: string) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`;

function policyOf(scriptHashes: readonly string[], host: string | undefined): string {
  // Not every browser takes 'self' to mean WebSockets too.
  const sockets = host !== undefined && /^[\w.:[\]-]+$/.test(host) ? ` ws://${host} wss://${host}` : '';
  return [
    "default-src 'none'",
    `script-src ${scriptHashes.join(' ')}`,
    // The editor writes its styles as it goes.
    "style-src 'unsafe-inline'",
    'font-src data:',
    'img-src data:',
    'worker-src blob:',
    `connect-src 'self'${sockets}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
