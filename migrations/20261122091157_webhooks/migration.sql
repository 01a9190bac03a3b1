CREATE TABLE "webhook_deliveries" (
	"id" uuid PRIMARY KEY,
	"import_id" uuid NOT NULL,
	"run" integer NOT NULL,
	"body" text NOT NULL,
	"state" text DEFAULT 'WAITING' NOT NULL,
	"failures" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp(3) with time zone,
	"attempts" jsonb DEFAULT '[]' NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL,
	CONSTRAINT "webhook_deliveries_run" UNIQUE("import_id","run"),
	CONSTRAINT "webhook_deliveries_state" CHECK ("state" in ('WAITING', 'DELIVERED', 'RETRYING', 'GAVE_UP')),
	CONSTRAINT "webhook_deliveries_next" CHECK (("next_attempt_at" is not null) = ("state" in ('WAITING', 'RETRYING')))
);
--> statement-breakpoint
CREATE TABLE "webhook_secrets" (
	"id" uuid PRIMARY KEY,
	"team_id" uuid NOT NULL,
	"secret" text NOT NULL,
	"expires_at" timestamp(3) with time zone,
	"created_at" timestamp(3) with time zone DEFAULT date_trunc('milliseconds', now()) NOT NULL
);
--> statement-breakpoint
ALTER TABLE "imports" ADD COLUMN "context" text;--> statement-breakpoint
ALTER TABLE "imports" ADD COLUMN "webhook_url" text;--> statement-breakpoint
CREATE UNIQUE INDEX "webhook_secrets_current" ON "webhook_secrets" ("team_id") WHERE "expires_at" is null;--> statement-breakpoint
CREATE INDEX "webhook_secrets_expiring" ON "webhook_secrets" ("team_id","expires_at") WHERE "expires_at" is not null;--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_import_id_imports_id_fkey" FOREIGN KEY ("import_id") REFERENCES "imports"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "webhook_secrets" ADD CONSTRAINT "webhook_secrets_team_id_teams_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id") ON DELETE CASCADE;