CREATE TABLE "upload_tokens" (
	"id" uuid PRIMARY KEY,
	"hash" text NOT NULL UNIQUE,
	"team_id" uuid NOT NULL,
	"key_id" uuid NOT NULL,
	"index_id" uuid NOT NULL,
	"max_bytes" bigint NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"expires_at" timestamp(3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "uploads" (
	"id" uuid PRIMARY KEY,
	"team_id" uuid NOT NULL,
	"token_id" uuid,
	"length" bigint NOT NULL,
	"received" bigint DEFAULT 0 NOT NULL,
	"metadata" jsonb,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	"expires_at" timestamp(3) with time zone NOT NULL,
	"completed_at" timestamp(3) with time zone,
	"used_at" timestamp(3) with time zone,
	"import_id" uuid,
	"removed_at" timestamp(3) with time zone,
	"locked_by" uuid,
	"locked_until" timestamp(3) with time zone,
	"release_asked" boolean DEFAULT false NOT NULL,
	CONSTRAINT "uploads_length" CHECK ("length" >= 0 and "received" between 0 and "length"),
	CONSTRAINT "uploads_locked" CHECK (("locked_by" is null) = ("locked_until" is null))
);
--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "upload_id" uuid;--> statement-breakpoint
CREATE UNIQUE INDEX "tasks_by_upload" ON "tasks" ("upload_id") WHERE "upload_id" is not null;--> statement-breakpoint
CREATE INDEX "tasks_awaiting_upload" ON "tasks" ("upload_id") WHERE "waiting_for" = 'UPLOAD';--> statement-breakpoint
CREATE INDEX "upload_tokens_expiry" ON "upload_tokens" ("expires_at");--> statement-breakpoint
CREATE UNIQUE INDEX "uploads_one_a_token" ON "uploads" ("token_id") WHERE "token_id" is not null;--> statement-breakpoint
CREATE INDEX "uploads_unfinished" ON "uploads" ("team_id") WHERE "completed_at" is null and "removed_at" is null;--> statement-breakpoint
CREATE INDEX "uploads_kept" ON "uploads" ("expires_at") WHERE "removed_at" is null;--> statement-breakpoint
CREATE INDEX "uploads_removed" ON "uploads" ("removed_at") WHERE "removed_at" is not null;--> statement-breakpoint
ALTER TABLE "upload_tokens" ADD CONSTRAINT "upload_tokens_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id");--> statement-breakpoint
ALTER TABLE "upload_tokens" ADD CONSTRAINT "upload_tokens_key_id_api_keys_id_fkey" FOREIGN KEY ("key_id") REFERENCES "api_keys"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "upload_tokens" ADD CONSTRAINT "upload_tokens_index_id_indexes_id_fkey" FOREIGN KEY ("index_id") REFERENCES "indexes"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "uploads" ADD CONSTRAINT "uploads_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id");