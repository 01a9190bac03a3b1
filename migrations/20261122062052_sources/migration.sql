CREATE TABLE "integrations" (
	"id" uuid PRIMARY KEY,
	"team_id" uuid NOT NULL,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"s3" jsonb,
	"folder" jsonb,
	"credentials" text,
	"access_key_hint" text,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"updated_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	CONSTRAINT "integrations_kind" CHECK ("kind" in ('S3', 'FOLDER')),
	CONSTRAINT "integrations_s3" CHECK (("s3" is not null) = ("kind" = 'S3')),
	CONSTRAINT "integrations_folder" CHECK (("folder" is not null) = ("kind" = 'FOLDER')),
	CONSTRAINT "integrations_credentials" CHECK ("credentials" is null or "kind" = 'S3')
);
--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD COLUMN "task_id" uuid;--> statement-breakpoint
ALTER TABLE "failed_files" ADD COLUMN "source_key" text;--> statement-breakpoint
ALTER TABLE "import_entries" ADD COLUMN "listed_key" text;--> statement-breakpoint
ALTER TABLE "imports" ADD COLUMN "source" text DEFAULT 'VIDEOS' NOT NULL;--> statement-breakpoint
ALTER TABLE "imports" ADD COLUMN "integration_id" uuid;--> statement-breakpoint
ALTER TABLE "imports" ADD COLUMN "prefix" text;--> statement-breakpoint
ALTER TABLE "imports" ADD COLUMN "listing_position" text;--> statement-breakpoint
ALTER TABLE "imports" ADD COLUMN "listed" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "imports" ADD COLUMN "retry_failed" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "imports" ADD COLUMN "full_ingestion" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "imports" ADD COLUMN "enable_video_stream" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "integration_id" uuid;--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "source_key" text;--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "source_hash" text;--> statement-breakpoint
ALTER TABLE "idempotency_keys" ALTER COLUMN "import_id" DROP NOT NULL;--> statement-breakpoint
CREATE INDEX "idempotency_keys_task" ON "idempotency_keys" ("task_id");--> statement-breakpoint
CREATE UNIQUE INDEX "import_entries_listed" ON "import_entries" ("import_id","listed_key") WHERE "listed_key" is not null;--> statement-breakpoint
CREATE INDEX "imports_by_integration" ON "imports" ("integration_id","created_at","id");--> statement-breakpoint
CREATE UNIQUE INDEX "imports_one_running" ON "imports" ("integration_id") WHERE "source" = 'INTEGRATION' and "finished_at" is null;--> statement-breakpoint
CREATE INDEX "integrations_by_team" ON "integrations" ("team_id","created_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_source" ON "tasks" ("integration_id","index_id","source_key","id") WHERE "integration_id" is not null;--> statement-breakpoint
CREATE INDEX "tasks_by_integration" ON "tasks" ("integration_id","created_at","id");--> statement-breakpoint
CREATE INDEX "videos_by_storage_key" ON "videos" ("storage_key");--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_task_id_tasks_id_fkey" FOREIGN KEY ("task_id") REFERENCES "tasks"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "imports" ADD CONSTRAINT "imports_integration_id_integrations_id_fkey" FOREIGN KEY ("integration_id") REFERENCES "integrations"("id") ON DELETE SET NULL;--> statement-breakpoint
ALTER TABLE "integrations" ADD CONSTRAINT "integrations_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id");--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_one" CHECK (("import_id" is null) <> ("task_id" is null));--> statement-breakpoint
ALTER TABLE "imports" ADD CONSTRAINT "imports_source" CHECK ("source" in ('VIDEOS', 'OBJECTS', 'INTEGRATION'));--> statement-breakpoint
ALTER TABLE "imports" ADD CONSTRAINT "imports_system" CHECK (("system_name" is not null) = ("source" = 'VIDEOS'));