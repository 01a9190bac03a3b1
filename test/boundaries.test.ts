import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { beforeAll, describe, expect, test } from 'vitest';
import { importAll } from './support/import-all.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What each unit may import beside itself; the table of ARCHITECTURE.md. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  config: [],
  db: [],
  storage: [],
  media: [],
  demo: [],
  sources: ['storage'],
  events: ['db'],
  jobs: ['db'],
  services: ['db', 'events', 'jobs', 'storage', 'sources'],
  'jobs/handlers': ['services', 'media', 'storage', 'sources', 'events', 'db', 'jobs'],
  schema: ['services', 'events', 'db'],
  http: ['schema', 'services', 'events', 'storage'],
  // The composition root: everything there is, see `objection`.
  app: [],
  main: ['app', 'config'],
};
const EVERYTHING = Object.keys(MAY_IMPORT).filter((unit) => unit !== 'main');

/** The files of the composition root. */
const APP_FILES = new Set([
  'app.ts',
  'app-health.ts',
  'app-metrics.ts',
  'app-metrics-jobs.ts',
  'app-metrics-parts.ts',
  'app-metrics-queue.ts',
  'app-notifications.ts',
  'app-open.ts',
  'app-parts.ts',
  'app-server.ts',
  'app-warnings.ts',
  'app-work.ts',
  'app-worker.ts',
  'shutdown.ts',
  'prober.ts',
  'secret-key.ts',
  'log.ts',
  'migrate-command.ts',
  'command-database.ts',
  'command-options.ts',
  'keys-command.ts',
  'teams-command.ts',
  'indexes-command.ts',
  'rotate-secrets-command.ts',
  'demo-command.ts',
]);

/** Of the job engine, use-cases see the queue and what it hands out, and nothing of what runs jobs. */
const OPEN_TO_SERVICES = new Set(['jobs/queue.ts', 'jobs/definitions.ts', 'jobs/job.ts', 'jobs/errors.ts']);

/** Files that do something when they are run; all others only give their exports. */
const ENTRY_FILES = ['main.ts', 'media/child.ts', 'media/work-child.ts', 'demo/encode-child.ts'];

/** index.ts files that give a whole of their own; any other would only hand on what others export. */
const INDEX_FILES = ['jobs/handlers/index.ts', 'schema/index.ts'];

interface SourceFile {
  /** Below src, such as jobs/queue.ts. */
  readonly path: string;
  readonly text: string;
  /** What it imports, as written, types and dynamic imports too. */
  readonly imports: readonly string[];
}

const toSourceFile = (path: string, text: string): SourceFile => ({
  path,
  text,
  imports: ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName),
});

async function readSourceFiles(): Promise<readonly SourceFile[]> {
  const src = join(ROOT, 'src');
  const entries = await readdir(src, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(src, join(entry.parentPath, entry.name)));
  return await Promise.all(
    paths.sort().map(async (path) => toSourceFile(path, await readFile(join(src, path), 'utf8'))),
  );
}

/** The unit that a file belongs to; undefined for one that belongs to none. */
function unitOf(path: string): string | undefined {
  if (path === 'main.ts' || path === 'config.ts') return path.slice(0, -'.ts'.length);
  if (APP_FILES.has(path)) return 'app';
  if (path.startsWith('jobs/handlers/')) return 'jobs/handlers';
  const [folder, ...rest] = path.split('/');
  return rest.length > 0 && folder !== undefined && folder in MAY_IMPORT ? folder : undefined;
}

/** The files of ours that a file imports. */
const ownImports = ({ path, imports }: SourceFile): readonly string[] =>
  imports
    .filter((name) => name.startsWith('.'))
    .map((name) => posix.normalize(posix.join(posix.dirname(path), name)));

/** What keeps one file from importing another, or null. */
function objection(from: string, to: string): string | null {
  const [unit, imported] = [unitOf(from), unitOf(to)];
  const line = `${from} imports ${to}`;
  if (unit === undefined || imported === undefined) return `${line}, and one of them belongs to no unit`;
  if (unit === imported) return null;
  const allowed = unit === 'app' ? EVERYTHING : (MAY_IMPORT[unit] ?? []);
  if (!allowed.includes(imported)) return `${line}: ${unit} may not import ${imported}`;
  if (unit === 'services' && imported === 'jobs' && !OPEN_TO_SERVICES.has(to))
    return `${line}: services may import only ${[...OPEN_TO_SERVICES].join(', ')} of jobs`;
  return null;
}

const objections = (files: readonly SourceFile[]): readonly string[] =>
  files.flatMap((file) => ownImports(file).flatMap((imported) => objection(file.path, imported) ?? []));

/** The units that units import. */
function unitGraph(files: readonly SourceFile[]): ReadonlyMap<string, ReadonlySet<string>> {
  const graph = new Map<string, Set<string>>();
  for (const file of files) {
    const unit = unitOf(file.path) ?? file.path;
    const targets = graph.get(unit) ?? new Set<string>();
    graph.set(unit, targets);
    for (const imported of ownImports(file)) {
      const target = unitOf(imported) ?? imported;
      if (target !== unit) targets.add(target);
    }
  }
  return graph;
}

/** A way through the graph that comes back to where it began; null when there is none. */
function findCycle(graph: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] | null {
  const done = new Set<string>();
  const visit = (node: string, path: readonly string[]): readonly string[] | null => {
    if (path.includes(node)) return [...path.slice(path.indexOf(node)), node];
    if (done.has(node)) return null;
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next, [...path, node]);
      if (cycle) return cycle;
    }
    done.add(node);
    return null;
  };
  for (const node of graph.keys()) {
    const cycle = visit(node, []);
    if (cycle) return cycle;
  }
  return null;
}

/** Whether a file reads the environment: process.env, process['env'], { env } of process or of node:process. */
function readsEnvironment({ path, text }: Pick<SourceFile, 'path' | 'text'>): boolean {
  const isEnv = (node: ts.Node | undefined) =>
    node !== undefined && (ts.isIdentifier(node) || ts.isStringLiteralLike(node)) && node.text === 'env';
  const isProcess = (node: ts.Node | undefined) =>
    node !== undefined && ((ts.isIdentifier(node) && node.text === 'process') || isProcessModule(node));
  const visit = (node: ts.Node): boolean => {
    if (ts.isPropertyAccessExpression(node) && isProcess(node.expression) && isEnv(node.name)) return true;
    if (ts.isElementAccessExpression(node) && isProcess(node.expression) && isEnv(node.argumentExpression))
      return true;
    if (
      ts.isVariableDeclaration(node) &&
      isProcess(node.initializer) &&
      ts.isObjectBindingPattern(node.name)
    ) {
      if (node.name.elements.some((element) => isEnv(element.propertyName ?? element.name))) return true;
    }
    if (ts.isImportDeclaration(node) && isProcessModule(node.moduleSpecifier)) {
      const named = node.importClause?.namedBindings;
      if (named && ts.isNamedImports(named) && named.elements.some((e) => isEnv(e.propertyName ?? e.name)))
        return true;
    }
    return ts.forEachChild(node, (child) => visit(child) || undefined) ?? false;
  };
  return visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest));
}

const isProcessModule = (node: ts.Node) =>
  ts.isStringLiteralLike(node) && (node.text === 'node:process' || node.text === 'process');

const hasExports = ({ path, text }: SourceFile): boolean =>
  ts
    .createSourceFile(path, text, ts.ScriptTarget.Latest)
    .statements.some(
      (statement) =>
        ts.isExportDeclaration(statement) ||
        ts.isExportAssignment(statement) ||
        (ts.canHaveModifiers(statement) &&
          ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)),
    );

let files: readonly SourceFile[];

beforeAll(async () => {
  files = await readSourceFiles();
});

describe('the direction of imports', () => {
  test('every file belongs to a unit', () => {
    expect(files.map(({ path }) => path).filter((path) => unitOf(path) === undefined)).toEqual([]);
    expect([...new Set(files.map(({ path }) => unitOf(path)))].sort()).toEqual(
      Object.keys(MAY_IMPORT).sort(),
    );
  });

  test('no file imports from a unit that its own may not import', () => {
    expect(objections(files)).toEqual([]);
  });

  test('every relative import names a file that is there, with its ending', () => {
    const paths = new Set(files.map(({ path }) => path));
    const dangling = files.flatMap((file) =>
      ownImports(file)
        .filter((imported) => !paths.has(imported))
        .map((imported) => `${file.path} imports ${imported}`),
    );
    expect(dangling).toEqual([]);
  });

  test('units do not import one another in a circle', () => {
    expect(findCycle(unitGraph(files))).toBeNull();
  });

  test.each([
    ['db/client.ts', "import { readConfig } from '../config.ts';"],
    ['services/a.ts', "import type { Worker } from '../jobs/worker.ts';"],
    ['services/a.ts', "export { createHandlers } from '../jobs/handlers/index.ts';"],
    ['schema/a.ts', "const { createMediaPool } = await import('../media/pool.ts');"],
    ['jobs/worker.ts', "import { createHandlers } from './handlers/index.ts';"],
    ['main.ts', "import './http/server.ts';"],
    ['stray.ts', "import './config.ts';"],
  ])('an import against the rules is found: %s with %s', (path, text) => {
    expect(objections([toSourceFile(path, text)])).toHaveLength(1);
  });

  test('a circle of units is found', () => {
    const circle = [
      toSourceFile('events/a.ts', "import '../db/b.ts';"),
      toSourceFile('db/b.ts', "import type {} from '../jobs/c.ts';"),
      toSourceFile('jobs/c.ts', "import('../events/a.ts');"),
    ];
    expect(findCycle(unitGraph(circle))).toEqual(['events', 'db', 'jobs', 'events']);
  });
});

describe('the source', () => {
  test('reads the environment in config.ts only', () => {
    expect(files.filter(readsEnvironment).map(({ path }) => path)).toEqual(['config.ts']);
  });

  test.each([
    'const home = process.env.HOME;',
    "const home = process['env']['HOME'];",
    'const { env: settings } = process;',
    "import { env } from 'node:process';",
  ])('a reading of the environment is found: %s', (text) => {
    expect(readsEnvironment({ path: 'a.ts', text })).toBe(true);
  });

  test('has no index.ts that only hands on what others export', () => {
    const indexes = files.filter(
      ({ path }) => posix.basename(path) === 'index.ts' && !INDEX_FILES.includes(path),
    );
    expect(indexes.filter(hasExports).map(({ path }) => path)).toEqual([]);
  });
});

const built = (path: string) => join(ROOT, 'dist', dirname(path), `${posix.basename(path, '.ts')}.js`);
const NOTHING = { stderr: '', opened: [], events: [], written: [] };

describe('importing', () => {
  test('every module but the entry files starts nothing: no output, no handle, no listener, no file', async () => {
    const paths = files.map(({ path }) => path).filter((path) => !ENTRY_FILES.includes(path));
    expect(await importAll(paths.map(built))).toMatchObject(NOTHING);
  });

  test('everything that the server is made of loads no FFmpeg: that is for child processes', async () => {
    const imported = await importAll([...APP_FILES].map(built));
    expect(imported).toMatchObject({ ...NOTHING, loadsFfmpeg: false });
  });

  test('a module that starts something, and one that loads FFmpeg, are found', async () => {
    const code = "setTimeout(() => {}, 5_000); process.on('SIGTERM', () => {});";
    // It comes last: its timer is still there when that is looked for, however long the other one takes to load.
    const imported = await importAll([
      built('media/probe.ts'),
      `data:text/javascript,${encodeURIComponent(code)}`,
    ]);
    expect(imported).toMatchObject({ opened: ['Timeout'], events: ['SIGTERM'], loadsFfmpeg: true });
  });
});
