import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const EVERY_MS = 20;

/** Counts of one import, as somebody tells them: `found` and what it is made up of. */
export interface Counts {
  readonly found: number;
  readonly [part: string]: unknown;
}

/** Looks at the counts of all imports again and again while things run. */
export interface Sampler {
  /** Ends it. @returns what was wrong at some instant, each once */
  stop(): Promise<readonly string[]>;
  /** How many times it has looked. */
  looks(): number;
}

/** How a client asks for counts: by the id of each import. */
export type AskCounts = () => Promise<ReadonlyMap<string, Counts>>;

// One statement sees one snapshot: whatever is being changed, the parts add up in it.
const SUMS = `
  select i.id, i.found,
         (select count(*) from import_entries e where e.import_id = i.id and e.verdict is null)::int as undecided,
         (select count(*) from failed_files f where f.import_id = i.id)::int as rejected,
         (select count(*) from tasks t where t.import_id = i.id)::int as tasks,
         (select count(*) from tasks t where t.import_id = i.id and t.finished_at is null)::int as open,
         i.finished_at is not null as finished
    from imports i`;

type Sum = {
  id: string;
  found: number;
  undecided: number;
  rejected: number;
  tasks: number;
  open: number;
  finished: boolean;
};

/**
 * Starts to look, past the product and, with `ask`, through it.
 * @param ask is called by turns with the statement; an error of it, as of a server that is killed, counts for nothing
 */
export async function startSampler(databaseUrl: string, ask?: AskCounts): Promise<Sampler> {
  const client = new pg.Client({ connectionString: databaseUrl });
  // What a database that goes away breaks is told by the statement that it breaks.
  client.on('error', () => {});
  await client.connect();
  const faults = new Set<string>();
  const stopped = new AbortController();
  let looks = 0;
  const look = async () => {
    const { rows } = await client.query<Sum>(SUMS);
    for (const row of rows) for (const fault of sumFaults(row)) faults.add(fault);
    for (const [id, counts] of (await ask?.().catch(() => null)) ?? []) {
      if (!addsUp(counts)) faults.add(`import ${id}: does not add up to a client: ${JSON.stringify(counts)}`);
    }
    looks += 1;
  };
  const run = async () => {
    while (!stopped.signal.aborted) {
      await look();
      await sleep(EVERY_MS, undefined, { signal: stopped.signal }).catch(() => {});
    }
  };
  const running = run();
  // Told by stop(), whenever that is called.
  running.catch(() => {});
  return {
    looks: () => looks,
    async stop() {
      stopped.abort();
      await running.finally(() => client.end());
      return [...faults];
    },
  };
}

function sumFaults({ id, found, undecided, rejected, tasks, open, finished }: Sum): readonly string[] {
  const wrong = found !== undecided + rejected + tasks;
  return [
    ...(wrong
      ? [
          `import ${id}: found ${found} at an instant with ${undecided} undecided, ${rejected} rejected and ${tasks} tasks`,
        ]
      : []),
    ...(finished && open > 0 ? [`import ${id}: had finished at an instant with ${open} open tasks`] : []),
  ];
}

function addsUp({ found, ...parts }: Counts): boolean {
  return (
    Object.values(parts).reduce<number>((sum, part) => sum + (typeof part === 'number' ? part : 0), 0) ===
    found
  );
}
