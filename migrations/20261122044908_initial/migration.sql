CREATE SEQUENCE "public"."job_claims" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1;--> statement-breakpoint
CREATE TABLE "failed_files" (
	"id" uuid PRIMARY KEY,
	"team_id" uuid NOT NULL,
	"import_id" uuid NOT NULL,
	"ordinal" integer NOT NULL,
	"file_name" text NOT NULL,
	"name" text NOT NULL,
	"external_id" text,
	"error_code" text NOT NULL,
	"error_message" text NOT NULL,
	"error_retryable" boolean NOT NULL,
	"error_measured" text,
	"error_required" text,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"changed_xid" xid8 DEFAULT pg_current_xact_id() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"team_id" uuid,
	"key" text,
	"input_hash" text NOT NULL,
	"import_id" uuid NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY("team_id","key")
);
--> statement-breakpoint
CREATE TABLE "import_entries" (
	"import_id" uuid,
	"ordinal" integer,
	"input" jsonb NOT NULL,
	"verdict" text,
	CONSTRAINT "import_entries_pkey" PRIMARY KEY("import_id","ordinal"),
	CONSTRAINT "import_entries_verdict" CHECK ("verdict" in ('TASK', 'REJECTED'))
);
--> statement-breakpoint
CREATE TABLE "imports" (
	"id" uuid PRIMARY KEY,
	"team_id" uuid NOT NULL,
	"index_id" uuid,
	"system_name" text,
	"incremental" boolean NOT NULL,
	"metadata" jsonb,
	"state" text DEFAULT 'PLANNING' NOT NULL,
	"runs" integer DEFAULT 1 NOT NULL,
	"found" integer DEFAULT 0 NOT NULL,
	"counts" jsonb,
	"has_failures" boolean DEFAULT false NOT NULL,
	"error_code" text,
	"error_message" text,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"updated_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"started_at" timestamp(3) with time zone,
	"finished_at" timestamp(3) with time zone,
	"changed_xid" xid8 DEFAULT pg_current_xact_id() NOT NULL,
	CONSTRAINT "imports_state" CHECK ("state" in ('PLANNING', 'STARTED', 'SUCCEEDED', 'FAILED', 'CANCELED')),
	CONSTRAINT "imports_finished" CHECK (("finished_at" is not null) = ("state" in ('SUCCEEDED', 'FAILED', 'CANCELED'))),
	CONSTRAINT "imports_counted" CHECK ("finished_at" is null or "counts" is not null),
	CONSTRAINT "imports_planned" CHECK ("state" <> 'STARTED' or "started_at" is not null)
);
--> statement-breakpoint
CREATE TABLE "indexes" (
	"id" uuid PRIMARY KEY,
	"team_id" uuid NOT NULL,
	"name" text NOT NULL,
	"is_default" boolean DEFAULT false NOT NULL,
	"requirements" jsonb DEFAULT '{}' NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"updated_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL
);
--> statement-breakpoint
CREATE TABLE "jobs" (
	"id" uuid PRIMARY KEY,
	"kind" text NOT NULL,
	"subject_id" uuid NOT NULL,
	"team_id" uuid NOT NULL,
	"payload" jsonb NOT NULL,
	"priority" smallint DEFAULT 0 NOT NULL,
	"run_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"claim" bigint DEFAULT 0 NOT NULL,
	"claims" integer DEFAULT 0 NOT NULL,
	"failures" integer DEFAULT 0 NOT NULL,
	"crashes" integer DEFAULT 0 NOT NULL,
	"lost_leases" integer DEFAULT 0 NOT NULL,
	"owner" uuid,
	"lease_until" timestamp(3) with time zone,
	"alone" boolean DEFAULT false NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	CONSTRAINT "jobs_subject" UNIQUE("kind","subject_id"),
	CONSTRAINT "jobs_leased" CHECK (("owner" is null) = ("lease_until" is null)),
	CONSTRAINT "jobs_alone" CHECK (not "alone" or "owner" is not null)
);
--> statement-breakpoint
CREATE TABLE "task_progress" (
	"task_id" uuid PRIMARY KEY,
	"import_id" uuid,
	"team_id" uuid NOT NULL,
	"claim" bigint NOT NULL,
	"attempt" integer NOT NULL,
	"stage" text NOT NULL,
	"stage_fraction" double precision NOT NULL,
	"fraction" double precision NOT NULL,
	"bytes_done" bigint NOT NULL,
	"bytes_total" bigint,
	"bytes_per_second" bigint,
	"eta_seconds" integer,
	"version" bigint DEFAULT 1 NOT NULL,
	"updated_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tasks" (
	"id" uuid PRIMARY KEY,
	"team_id" uuid NOT NULL,
	"import_id" uuid,
	"ordinal" integer NOT NULL,
	"index_id" uuid NOT NULL,
	"video_id" uuid NOT NULL,
	"made_video" boolean,
	"system_name" text,
	"external_id" text,
	"file_name" text NOT NULL,
	"name" text NOT NULL,
	"name_given" boolean NOT NULL,
	"description" text,
	"metadata" jsonb,
	"incremental" boolean NOT NULL,
	"source_url" text,
	"source_version" text,
	"expected_sha256" text,
	"status" text DEFAULT 'PENDING' NOT NULL,
	"outcome" text,
	"skip_reason" text,
	"reason" text,
	"error" jsonb,
	"error_code" text GENERATED ALWAYS AS (error ->> 'code') STORED,
	"waiting_for" text,
	"next_attempt_at" timestamp(3) with time zone,
	"attempts" integer DEFAULT 0 NOT NULL,
	"fraction" double precision DEFAULT 0 NOT NULL,
	"bytes_done" bigint DEFAULT 0 NOT NULL,
	"bytes_total" bigint,
	"stages" jsonb NOT NULL,
	"partial" jsonb,
	"storage_key" text,
	"sha256" text,
	"system_metadata" jsonb,
	"duration" double precision GENERATED ALWAYS AS ((system_metadata ->> 'duration')::double precision) STORED,
	"width" integer GENERATED ALWAYS AS ((system_metadata ->> 'width')::integer) STORED,
	"height" integer GENERATED ALWAYS AS ((system_metadata ->> 'height')::integer) STORED,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"updated_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"progressed_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"started_at" timestamp(3) with time zone,
	"finished_at" timestamp(3) with time zone,
	"version" bigint DEFAULT 1 NOT NULL,
	"changed_xid" xid8 DEFAULT pg_current_xact_id() NOT NULL,
	CONSTRAINT "tasks_status" CHECK ("status" in ('PENDING', 'UPLOADING', 'VALIDATING', 'QUEUED', 'INDEXING', 'READY', 'SKIPPED', 'FAILED', 'CANCELED')),
	CONSTRAINT "tasks_outcome" CHECK ("outcome" in ('CREATED', 'UPDATED', 'SKIPPED', 'FAILED', 'CANCELED')),
	CONSTRAINT "tasks_skip_reason" CHECK ("skip_reason" in ('SAME_CONTENT', 'SAME_RECORD', 'FAILED_BEFORE', 'SUPERSEDED')),
	CONSTRAINT "tasks_waiting_for" CHECK ("waiting_for" in ('WORKER', 'RETRY', 'UPLOAD', 'STORAGE', 'SAME_CONTENT')),
	CONSTRAINT "tasks_ended" CHECK (("finished_at" is not null) = ("status" in ('READY', 'SKIPPED', 'FAILED', 'CANCELED'))),
	CONSTRAINT "tasks_ended_somehow" CHECK (("outcome" is not null) = ("finished_at" is not null)),
	CONSTRAINT "tasks_skipped" CHECK (("skip_reason" is not null) = ("status" = 'SKIPPED')),
	CONSTRAINT "tasks_waits" CHECK (("waiting_for" is not null) = ("status" in ('PENDING', 'QUEUED'))),
	CONSTRAINT "tasks_failed" CHECK ("status" <> 'FAILED' or "error" is not null),
	CONSTRAINT "tasks_fraction" CHECK ("fraction" between 0 and 1),
	CONSTRAINT "tasks_whole" CHECK (("fraction" = 1) = ("status" in ('READY', 'SKIPPED')))
);
--> statement-breakpoint
CREATE TABLE "api_key_teams" (
	"api_key_id" uuid,
	"team_id" uuid,
	CONSTRAINT "api_key_teams_pkey" PRIMARY KEY("api_key_id","team_id")
);
--> statement-breakpoint
CREATE TABLE "api_keys" (
	"id" uuid PRIMARY KEY,
	"name" text NOT NULL,
	"hash" text NOT NULL UNIQUE,
	"scopes" text[] NOT NULL,
	"default_team_id" uuid NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"expires_at" timestamp(3) with time zone,
	"revoked_at" timestamp(3) with time zone,
	CONSTRAINT "api_keys_scopes" CHECK ("scopes" <@ array['READ', 'WRITE', 'ADMIN'] and cardinality("scopes") > 0)
);
--> statement-breakpoint
CREATE TABLE "teams" (
	"id" uuid PRIMARY KEY,
	"name" text NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL
);
--> statement-breakpoint
CREATE TABLE "content_claims" (
	"index_id" uuid,
	"sha256" text,
	"video_id" uuid NOT NULL,
	"task_id" uuid,
	CONSTRAINT "content_claims_pkey" PRIMARY KEY("index_id","sha256")
);
--> statement-breakpoint
CREATE TABLE "source_versions" (
	"index_id" uuid,
	"source" text,
	"version" text NOT NULL,
	"sha256" text NOT NULL,
	"video_id" uuid NOT NULL,
	CONSTRAINT "source_versions_pkey" PRIMARY KEY("index_id","source")
);
--> statement-breakpoint
CREATE TABLE "video_keys" (
	"index_id" uuid,
	"system_name" text,
	"external_id" text,
	"video_id" uuid NOT NULL,
	CONSTRAINT "video_keys_pkey" PRIMARY KEY("index_id","system_name","external_id")
);
--> statement-breakpoint
CREATE TABLE "videos" (
	"id" uuid PRIMARY KEY,
	"team_id" uuid NOT NULL,
	"index_id" uuid NOT NULL,
	"system_name" text,
	"external_id" text,
	"name" text NOT NULL,
	"description" text,
	"file_name" text NOT NULL,
	"metadata" jsonb,
	"system_metadata" jsonb NOT NULL,
	"duration" double precision GENERATED ALWAYS AS ((system_metadata ->> 'duration')::double precision) STORED,
	"width" integer GENERATED ALWAYS AS ((system_metadata ->> 'width')::integer) STORED,
	"height" integer GENERATED ALWAYS AS ((system_metadata ->> 'height')::integer) STORED,
	"sha256" text NOT NULL,
	"storage_key" text NOT NULL,
	"version_import_id" uuid NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"updated_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"indexed_at" timestamp(3) with time zone,
	CONSTRAINT "videos_pair" CHECK (("system_name" is null) = ("external_id" is null))
);
--> statement-breakpoint
CREATE INDEX "failed_files_by_ordinal" ON "failed_files" ("import_id","ordinal","id");--> statement-breakpoint
CREATE INDEX "failed_files_changed" ON "failed_files" ("import_id","changed_xid");--> statement-breakpoint
CREATE INDEX "idempotency_keys_import" ON "idempotency_keys" ("import_id");--> statement-breakpoint
CREATE INDEX "import_entries_undecided" ON "import_entries" ("import_id","ordinal") WHERE "verdict" is null;--> statement-breakpoint
CREATE INDEX "imports_by_created" ON "imports" ("team_id","created_at","id");--> statement-breakpoint
CREATE INDEX "imports_by_updated" ON "imports" ("team_id","updated_at","id");--> statement-breakpoint
CREATE INDEX "imports_by_state" ON "imports" ("team_id","state","created_at","id");--> statement-breakpoint
CREATE INDEX "imports_by_index" ON "imports" ("index_id","created_at","id");--> statement-breakpoint
CREATE INDEX "imports_open" ON "imports" ("id") WHERE "finished_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "indexes_one_default" ON "indexes" ("team_id") WHERE "is_default";--> statement-breakpoint
CREATE INDEX "indexes_by_team" ON "indexes" ("team_id","created_at","id");--> statement-breakpoint
CREATE INDEX "jobs_claimable" ON "jobs" ("kind","priority","run_at","id") WHERE "owner" is null and "lost_leases" < 3;--> statement-breakpoint
CREATE INDEX "jobs_suspects" ON "jobs" ("run_at","id") WHERE "owner" is null and "lost_leases" >= 3;--> statement-breakpoint
CREATE INDEX "jobs_leases" ON "jobs" ("lease_until","id") WHERE "owner" is not null;--> statement-breakpoint
CREATE INDEX "task_progress_by_import" ON "task_progress" ("import_id");--> statement-breakpoint
CREATE UNIQUE INDEX "tasks_by_ordinal" ON "tasks" ("import_id","ordinal");--> statement-breakpoint
CREATE INDEX "tasks_changed" ON "tasks" ("import_id","changed_xid");--> statement-breakpoint
CREATE INDEX "tasks_counted" ON "tasks" ("import_id","status");--> statement-breakpoint
CREATE INDEX "tasks_open" ON "tasks" ("import_id") WHERE "finished_at" is null;--> statement-breakpoint
CREATE INDEX "tasks_by_created" ON "tasks" ("team_id","created_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_updated" ON "tasks" ("team_id","updated_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_status" ON "tasks" ("team_id","status","created_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_index" ON "tasks" ("index_id","created_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_video" ON "tasks" ("video_id","created_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_import" ON "tasks" ("import_id","created_at","id");--> statement-breakpoint
CREATE INDEX "tasks_same_content" ON "tasks" ("index_id","sha256") WHERE "waiting_for" = 'SAME_CONTENT';--> statement-breakpoint
CREATE INDEX "api_key_teams_team" ON "api_key_teams" ("team_id");--> statement-breakpoint
CREATE INDEX "content_claims_video" ON "content_claims" ("video_id");--> statement-breakpoint
CREATE INDEX "source_versions_video" ON "source_versions" ("video_id");--> statement-breakpoint
CREATE INDEX "video_keys_video" ON "video_keys" ("video_id");--> statement-breakpoint
CREATE UNIQUE INDEX "videos_one_per_pair" ON "videos" ("index_id","system_name","external_id");--> statement-breakpoint
CREATE INDEX "videos_by_created" ON "videos" ("team_id","created_at","id");--> statement-breakpoint
CREATE INDEX "videos_by_updated" ON "videos" ("team_id","updated_at","id");--> statement-breakpoint
CREATE INDEX "videos_by_index" ON "videos" ("index_id","created_at","id");--> statement-breakpoint
CREATE INDEX "videos_by_content" ON "videos" ("index_id","sha256");--> statement-breakpoint
ALTER TABLE "failed_files" ADD CONSTRAINT "failed_files_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id");--> statement-breakpoint
ALTER TABLE "failed_files" ADD CONSTRAINT "failed_files_import_id_imports_id_fkey" FOREIGN KEY ("import_id") REFERENCES "imports"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id");--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_import_id_imports_id_fkey" FOREIGN KEY ("import_id") REFERENCES "imports"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "import_entries" ADD CONSTRAINT "import_entries_import_id_imports_id_fkey" FOREIGN KEY ("import_id") REFERENCES "imports"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "imports" ADD CONSTRAINT "imports_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id");--> statement-breakpoint
ALTER TABLE "imports" ADD CONSTRAINT "imports_index_id_indexes_id_fkey" FOREIGN KEY ("index_id") REFERENCES "indexes"("id") ON DELETE SET NULL;--> statement-breakpoint
ALTER TABLE "indexes" ADD CONSTRAINT "indexes_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id");--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id");--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_import_id_imports_id_fkey" FOREIGN KEY ("import_id") REFERENCES "imports"("id");--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_index_id_indexes_id_fkey" FOREIGN KEY ("index_id") REFERENCES "indexes"("id");--> statement-breakpoint
ALTER TABLE "api_key_teams" ADD CONSTRAINT "api_key_teams_api_key_id_api_keys_id_fkey" FOREIGN KEY ("api_key_id") REFERENCES "api_keys"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "api_key_teams" ADD CONSTRAINT "api_key_teams_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_default_team_id_teams_id_fkey" FOREIGN KEY ("default_team_id") REFERENCES "teams"("id");--> statement-breakpoint
ALTER TABLE "content_claims" ADD CONSTRAINT "content_claims_index_id_indexes_id_fkey" FOREIGN KEY ("index_id") REFERENCES "indexes"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "source_versions" ADD CONSTRAINT "source_versions_index_id_indexes_id_fkey" FOREIGN KEY ("index_id") REFERENCES "indexes"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "source_versions" ADD CONSTRAINT "source_versions_video_id_videos_id_fkey" FOREIGN KEY ("video_id") REFERENCES "videos"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "video_keys" ADD CONSTRAINT "video_keys_index_id_indexes_id_fkey" FOREIGN KEY ("index_id") REFERENCES "indexes"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "videos" ADD CONSTRAINT "videos_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id");--> statement-breakpoint
ALTER TABLE "videos" ADD CONSTRAINT "videos_index_id_indexes_id_fkey" FOREIGN KEY ("index_id") REFERENCES "indexes"("id");
--> statement-breakpoint
-- Progress is written several times a second for every running task, and the next report brings it again.
ALTER TABLE "task_progress" SET UNLOGGED;--> statement-breakpoint
ALTER TABLE "task_progress" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);--> statement-breakpoint
ALTER TABLE "jobs" SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);--> statement-breakpoint
ALTER TABLE "tasks" SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);--> statement-breakpoint
-- The transaction that changed a row last: what subscribers that come back ask for.
CREATE FUNCTION "mark_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.changed_xid := pg_current_xact_id();
	RETURN NEW;
END $$;--> statement-breakpoint
CREATE FUNCTION "mark_version"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.changed_xid := pg_current_xact_id();
	NEW.version := OLD.version + 1;
	RETURN NEW;
END $$;--> statement-breakpoint
CREATE TRIGGER "imports_changed" BEFORE UPDATE ON "imports" FOR EACH ROW EXECUTE FUNCTION "mark_change"();--> statement-breakpoint
CREATE TRIGGER "failed_files_changed" BEFORE UPDATE ON "failed_files" FOR EACH ROW EXECUTE FUNCTION "mark_change"();--> statement-breakpoint
CREATE TRIGGER "tasks_changed" BEFORE UPDATE ON "tasks" FOR EACH ROW EXECUTE FUNCTION "mark_version"();
