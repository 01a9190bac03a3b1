ALTER TABLE "teams" ADD COLUMN "media_epoch" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "teams" ADD CONSTRAINT "teams_media_epoch" CHECK ("media_epoch" between 0 and 65535);