ALTER TABLE "imports" ADD COLUMN "deleted_counts" jsonb;--> statement-breakpoint
DROP INDEX "tasks_counted";--> statement-breakpoint
CREATE INDEX "tasks_counted" ON "tasks" ("import_id","status","ordinal");--> statement-breakpoint
DROP INDEX "tasks_by_status";--> statement-breakpoint
CREATE INDEX "tasks_by_status" ON "tasks" ("status",("team_id"::text),"created_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_index_status" ON "tasks" ("index_id","status","created_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_file_name" ON "tasks" ("team_id",left("file_name", 255) text_pattern_ops,"created_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_external_id" ON "tasks" ("team_id","external_id" text_pattern_ops,"created_at","id") WHERE "external_id" is not null;--> statement-breakpoint
CREATE INDEX "videos_by_index_updated" ON "videos" ("index_id","updated_at","id");--> statement-breakpoint
CREATE INDEX "videos_by_file_name" ON "videos" ("team_id",left("file_name", 255) text_pattern_ops,"created_at","id");--> statement-breakpoint
CREATE INDEX "videos_by_external_id" ON "videos" ("team_id","external_id" text_pattern_ops,"created_at","id") WHERE "external_id" is not null;--> statement-breakpoint
CREATE INDEX "videos_by_metadata" ON "videos" USING gin ("metadata" jsonb_path_ops);--> statement-breakpoint
-- Parts of names are looked up by trigrams, where the database has the extension and lets us have it. Without it such a
-- look-up reads the list from its newest row on.
DO $$
DECLARE
	home text;
BEGIN
	CREATE EXTENSION IF NOT EXISTS pg_trgm;
	SELECT n.nspname INTO STRICT home FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm';
	EXECUTE format('CREATE INDEX tasks_file_name_parts ON tasks USING gin (file_name %I.gin_trgm_ops)', home);
	EXECUTE format('CREATE INDEX videos_file_name_parts ON videos USING gin (file_name %I.gin_trgm_ops)', home);
	EXECUTE format('CREATE INDEX videos_name_parts ON videos USING gin (name %I.gin_trgm_ops)', home);
EXCEPTION WHEN OTHERS THEN
	RAISE NOTICE 'no index for parts of names: %', SQLERRM;
END $$;
