import { createRequire } from 'node:module';

/**
 * What the first tab of GraphiQL holds: the whole of an import, ready to be run. Its play button lets one choose.
 * All four take their values from SAMPLE_VARIABLES; what an operation does not declare, the server does not look at.
 */
export const SAMPLE_OPERATIONS = `\
# Press the play button, or Ctrl-Enter in the operation to run.
# Their values are under "Variables", below.

# 1. Put the URL of a video of yours under Variables: "url".
mutation startImport($input: StartImportInput!) {
  startImport(input: $input) {
    ... on StartImportSuccess {
      import {
        id # copy it, and paste it under Variables: "id"
        state
        counts { found pending uploading rejected skipped }
        failedFiles(first: 20) {
          nodes { fileName error { code message } }
        }
      }
    }
    ... on InvalidInputError {
      message
      issues { path code message }
    }
    ... on Error { message }
  }
}

# 2. Live: where every video of that import stands, until all are done.
subscription importProgress($id: ID!) {
  importProgress(id: $id) {
    cursor
    snapshot
    import {
      state
      counts { found ready failed skipped rejected }
      progress { fraction bytesDone bytesTotal bytesPerSecond etaSeconds }
    }
    changed {
      id
      name
      status
      progress { fraction bytesPerSecond }
      error { code message }
    }
    rejected { id name error { code message } }
  }
}

# 3. The same, asked once.
query importStatus($id: ID!) {
  importStatus(id: $id) {
    id
    state
    finished
    hasFailures
    counts { found pending uploading validating queued indexing ready skipped failed rejected undecided }
    progress { fraction bytesDone bytesTotal bytesPerSecond etaSeconds }
    error { code message }
  }
}

# 4. The tasks of all imports, newest first.
query tasks($filter: TaskFilter) {
  tasks(first: 20, filter: $filter, orderBy: { field: CREATED_AT, direction: DESC }) {
    totalCount
    nodes {
      id
      name
      status
      outcome
      reason
      progress { fraction }
      stages { name state fraction }
      video { id originalUrl }
    }
    pageInfo { hasNextPage endCursor }
  }
}
`;

/** `id` is replaced by that of the newest import when there is one. */
export const SAMPLE_VARIABLES = {
  input: {
    from: {
      videos: {
        systemName: 'my-system',
        videos: [
          {
            externalId: 'video-1',
            url: 'https://example.com/video.mp4',
            fileName: 'video.mp4',
            name: 'My first video',
            metadata: { project: 'trial' },
          },
        ],
      },
    },
  },
  id: 'imp_paste-the-id-that-startImport-returned',
  filter: {},
};

/** Asked with the key before anything is shown: whether the key is good, and which import is the newest. */
export const NEWEST_IMPORT = 'query newestImport { imports(first: 1) { nodes { id } } }';

/**
 * GraphiQL as one page that loads nothing else. It holds no key: that comes from the address (`#key=slc_…`, which no server
 * sees) or from a form, and is kept in the browser's sessionStorage. Operations go to the page's own path; subscriptions over
 * WebSocket, with the key in connectionParams.
 * @param options.nonce a fresh random value, the one given to graphiqlCsp for the same answer
 * @returns the HTML, about 9 MB
 * @throws Error when the GraphiQL package's page is not as expected
 */
export function renderGraphiqlPage({ nonce }: { readonly nonce: string }): string {
  pageParts ??= buildPageParts();
  return pageParts.join(nonce);
}

/** The Content-Security-Policy of that page: nothing from elsewhere, no connection to elsewhere, in nobody's frame. */
export function graphiqlCsp({ nonce }: { readonly nonce: string }): string {
  return [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    // The editor makes its workers from texts in the page, and writes styles as it goes.
    'worker-src blob:',
    "style-src 'unsafe-inline'",
    'img-src data:',
    'font-src data:',
    // For browsers this includes ws: and wss: of the same host and port (CSP level 3, section 6.7.2.8).
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** The page, cut where the nonce goes. */
let pageParts: readonly string[] | undefined;

const require = createRequire(import.meta.url);

function buildPageParts(): readonly string[] {
  // Read when a page is first asked for: it is 9 MB of text, and most servers never show it.
  const graphiql = require('@graphql-yoga/render-graphiql') as typeof import('@graphql-yoga/render-graphiql');
  const page = graphiql.renderGraphiQL({ title: 'Sluice', favicon: FAVICON });
  const [script, end] = [page.indexOf('<script>'), page.lastIndexOf('</script>')];
  const start = page.lastIndexOf('YogaGraphiQL.renderYogaGraphiQL(', end);
  if (script < 0 || start < script) throw new Error('the page of @graphql-yoga/render-graphiql is not as expected');
  return [
    `${page.slice(0, script)}<style>${STYLE}</style>${KEY_FORM}<script nonce="`,
    `">${TAKE_KEY}</script>\n<script nonce="`,
    `">${page.slice(script + '<script>'.length, start)}${START}${page.slice(end)}`,
  ];
}

const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="28" height="28"><rect width="32" height="32" rx="7" fill="#0b6e99"/><path d="M6 9h20M6 23h20" stroke="#bfe6f5" stroke-width="3" stroke-linecap="round"/><path d="M13 11.5l8 4.5-8 4.5z" fill="#fff"/></svg>`;

const FAVICON = `data:image/svg+xml,${encodeURIComponent(LOGO)}`;

const STYLE = `
  #key-form { display: none; box-sizing: border-box; width: min(34rem, 100vw - 2rem); margin: 18vh auto 0; font: 16px/1.5 system-ui, sans-serif; color: #1d2b33; }
  #key-form h1 { display: flex; gap: .6rem; align-items: center; font-size: 1.5rem; }
  #key-form input { box-sizing: border-box; width: 100%; padding: .6rem; font: 15px ui-monospace, monospace; border: 1px solid #8a9aa3; border-radius: 6px; }
  #key-form button { margin-top: .8rem; padding: .6rem 1.2rem; font: inherit; color: #fff; background: #0b6e99; border: 0; border-radius: 6px; cursor: pointer; }
  #key-form code { font: 14px ui-monospace, monospace; }
  #key-problem { min-height: 1.5em; margin: .5rem 0 0; color: #b3261e; }
  #forget-key { padding: .2rem .6rem; font: 13px system-ui, sans-serif; color: inherit; background: none; border: 1px solid currentColor; border-radius: 6px; opacity: .7; cursor: pointer; }
  body:has(#key-form[data-asking]) { background: #fff; }
  #key-form[data-asking] { display: block; }
  #key-form[data-asking] ~ #root { display: none; }
`;

const KEY_FORM = '';
const TAKE_KEY = '';
const START = '';
