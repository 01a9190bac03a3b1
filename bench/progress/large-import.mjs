import { randomUUID } from 'node:crypto';

/** Writes an import with so many tasks that wait, and their jobs, which are not due. @returns its row id */
export async function insertLargeImport({ pool, teamId, indexId }, tasks) {
  const importId = randomUUID();
  await pool.query(
    `insert into imports (id, team_id, index_id, system_name, incremental, state, found, started_at)
     values ($1, $2, $3, 'large', true, 'STARTED', $4, now())`,
    [importId, teamId, indexId, tasks],
  );
  await pool.query(
    `insert into import_entries (import_id, ordinal, input, verdict)
     select $1, n, '{"key": "a", "fileName": "a"}', 'TASK' from generate_series(0, $2 - 1) n`,
    [importId, tasks],
  );
  // Ids grow with their age, as those of the product do.
  await pool.query(
    `insert into tasks (id, team_id, import_id, ordinal, index_id, video_id, system_name, external_id, file_name, name,
                        name_given, incremental, status, waiting_for, stages)
     select (left($2::uuid::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, $1, $2::uuid, n, $3, gen_random_uuid(), 'large', 'asset-' || n,
            'clip-' || n || '.mp4', 'Clip ' || n, true, true, 'PENDING', 'WORKER',
            '[{"name":"UPLOAD","state":"WAITING","fraction":0},{"name":"VALIDATION","state":"WAITING","fraction":0}]'
       from generate_series(0, $4 - 1) n`,
    [teamId, importId, indexId, tasks],
  );
  await pool.query(
    `insert into jobs (id, kind, subject_id, team_id, payload, run_at)
     select gen_random_uuid(), 'transfer-video', id, team_id, '{}', now() + interval '1 day' from tasks where import_id = $1`,
    [importId],
  );
  await pool.query('vacuum analyze tasks');
  await pool.query('vacuum analyze jobs');
  return importId;
}
