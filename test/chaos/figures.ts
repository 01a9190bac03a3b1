import pg from 'pg';
import type { FinishedImport } from './import-calls.ts';
import type { SmallVideos } from './small-videos.ts';

/** How often what was done, by the rows of a finished import. */
export interface ImportFigures {
  readonly ready: number;
  /** Of all videos together. */
  readonly attempts: number;
  /** The most of one video. */
  readonly mostAttempts: number;
  /** Errors that cost a job one of its failures, or counted as a crash. */
  readonly failures: number;
}

interface Expected {
  readonly videos: SmallVideos;
  readonly count: number;
  readonly finished: FinishedImport;
}

const FIGURES = `
  select count(*) filter (where status = 'READY' and outcome = 'CREATED')::int as ready,
         coalesce(sum(attempts), 0)::int as attempts, coalesce(max(attempts), 0)::int as "mostAttempts",
         (select count(*) from oracle.changes where tab = 'jobs')::int as failures
    from tasks`;
const OTHERS = `
  select 'task ' || id || ' ended as ' || status || coalesce(': ' || (error ->> 'code'), '') as what
    from tasks where status <> 'READY' or outcome <> 'CREATED'
   union all
  select 'file ' || external_id || ' was rejected: ' || error_code from failed_files
   limit 20`;
const CONTENTS = 'select external_id as name, sha256 from videos';

/** Reads the figures, and what is not as it has to be: each video READY once, with the bytes that its source has. */
export async function figuresOf(
  databaseUrl: string,
  { videos, count, finished }: Expected,
): Promise<{ readonly figures: ImportFigures; readonly faults: readonly string[] }> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<ImportFigures>(FIGURES);
    const figures = rows[0] ?? { ready: 0, attempts: 0, mostAttempts: 0, failures: 0 };
    const others = await client.query<{ what: string }>(OTHERS);
    const contents = await client.query<{ name: string; sha256: string }>(CONTENTS);
    const stored = new Map(contents.rows.map(({ name, sha256 }) => [name, sha256]));
    const faults = others.rows.map(({ what }) => what);
    for (let number = 0; number < count; number += 1) {
      const sha256 = stored.get(`video-${number}`);
      if (sha256 === undefined) faults.push(`video-${number}: is not in the index`);
      else if (sha256 !== videos.sha256(number))
        faults.push(`video-${number}: holds bytes that its source does not have`);
    }
    if (stored.size !== count) faults.push(`the index holds ${stored.size} videos, not ${count}`);
    return { figures, faults: [...faults, ...toldWrong(finished, count)] };
  } finally {
    await client.end();
  }
}

function toldWrong({ state, counts }: FinishedImport, count: number): readonly string[] {
  const wrong = state !== 'SUCCEEDED' || counts.found !== count || counts.ready !== count;
  return wrong ? [`a client is told ${state} with ${JSON.stringify(counts)}`] : [];
}
