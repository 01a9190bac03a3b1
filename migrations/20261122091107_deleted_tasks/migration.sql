CREATE TABLE "deleted_tasks" (
	"id" uuid PRIMARY KEY,
	"team_id" uuid NOT NULL,
	"import_id" uuid,
	"changed_xid" xid8 DEFAULT pg_current_xact_id() NOT NULL,
	"deleted_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL
);
--> statement-breakpoint
CREATE INDEX "deleted_tasks_by_team" ON "deleted_tasks" ("team_id","changed_xid","id");--> statement-breakpoint
CREATE INDEX "deleted_tasks_by_import" ON "deleted_tasks" ("import_id","changed_xid");--> statement-breakpoint
CREATE INDEX "deleted_tasks_by_time" ON "deleted_tasks" ("deleted_at");--> statement-breakpoint
CREATE INDEX "task_progress_by_team" ON "task_progress" ("team_id");--> statement-breakpoint
CREATE INDEX "tasks_changed_by_team" ON "tasks" ("team_id","changed_xid","id");--> statement-breakpoint
-- Whoever deletes tasks, subscribers that come back learn of it. One statement for all rows of a batch.
CREATE FUNCTION "remember_deleted_tasks"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO deleted_tasks (id, team_id, import_id) SELECT id, team_id, import_id FROM gone
		ON CONFLICT (id) DO UPDATE SET import_id = EXCLUDED.import_id, changed_xid = EXCLUDED.changed_xid, deleted_at = EXCLUDED.deleted_at;
	RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "tasks_deleted" AFTER DELETE ON "tasks" REFERENCING OLD TABLE AS "gone" FOR EACH STATEMENT EXECUTE FUNCTION "remember_deleted_tasks"();
