CREATE TABLE "rate_limits" (
	"key_id" uuid PRIMARY KEY,
	"spent_until" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "team_usage" (
	"team_id" uuid PRIMARY KEY,
	"videos" bigint DEFAULT 0 NOT NULL,
	"bytes" bigint DEFAULT 0 NOT NULL,
	"milliseconds" bigint DEFAULT 0 NOT NULL,
	"reserved_videos" bigint DEFAULT 0 NOT NULL,
	"reserved_bytes" bigint DEFAULT 0 NOT NULL,
	"reserved_milliseconds" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "team_usage_changes" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "team_usage_changes_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"team_id" uuid NOT NULL,
	"videos" bigint DEFAULT 0 NOT NULL,
	"bytes" bigint DEFAULT 0 NOT NULL,
	"milliseconds" bigint DEFAULT 0 NOT NULL,
	"reserved_videos" bigint DEFAULT 0 NOT NULL,
	"reserved_bytes" bigint DEFAULT 0 NOT NULL,
	"reserved_milliseconds" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "reserved_videos" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "reserved_bytes" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "reserved_milliseconds" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "teams" ADD COLUMN "max_videos" integer;--> statement-breakpoint
ALTER TABLE "teams" ADD COLUMN "max_bytes" bigint;--> statement-breakpoint
ALTER TABLE "teams" ADD COLUMN "max_seconds" double precision;--> statement-breakpoint
CREATE INDEX "team_usage_changes_team" ON "team_usage_changes" ("team_id");--> statement-breakpoint
ALTER TABLE "rate_limits" ADD CONSTRAINT "rate_limits_key_id_api_keys_id_fkey" FOREIGN KEY ("key_id") REFERENCES "api_keys"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "teams" ADD CONSTRAINT "teams_limits" CHECK ("max_videos" >= 0 and "max_bytes" >= 0 and "max_seconds" >= 0);--> statement-breakpoint
-- Calls of the last minute: not worth a write to the log.
ALTER TABLE "rate_limits" SET UNLOGGED;--> statement-breakpoint
ALTER TABLE "rate_limits" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);--> statement-breakpoint
-- Rows come and go like those of a queue.
ALTER TABLE "team_usage_changes" SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);--> statement-breakpoint
INSERT INTO "team_usage" ("team_id", "videos", "bytes", "milliseconds")
SELECT "team_id", count(*), coalesce(sum(("system_metadata" ->> 'size')::bigint), 0),
       coalesce(sum(round(("system_metadata" ->> 'duration')::numeric * 1000)), 0)
  FROM "videos" GROUP BY "team_id";--> statement-breakpoint
-- What a task was promised goes back when it ends, or when its video is in and counts itself.
CREATE FUNCTION "release_reservation"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.reserved_videos := 0;
	NEW.reserved_bytes := 0;
	NEW.reserved_milliseconds := 0;
	RETURN NEW;
END $$;--> statement-breakpoint
CREATE TRIGGER "tasks_release" BEFORE INSERT OR UPDATE ON "tasks" FOR EACH ROW
WHEN ((NEW.finished_at IS NOT NULL OR NEW.made_video IS NOT NULL)
  AND (NEW.reserved_videos <> 0 OR NEW.reserved_bytes <> 0 OR NEW.reserved_milliseconds <> 0))
EXECUTE FUNCTION "release_reservation"();--> statement-breakpoint
CREATE FUNCTION "note_reservation"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		INSERT INTO team_usage_changes (team_id, reserved_videos, reserved_bytes, reserved_milliseconds)
		VALUES (OLD.team_id, -OLD.reserved_videos, -OLD.reserved_bytes, -OLD.reserved_milliseconds);
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO team_usage_changes (team_id, reserved_videos, reserved_bytes, reserved_milliseconds)
		VALUES (NEW.team_id, NEW.reserved_videos, NEW.reserved_bytes, NEW.reserved_milliseconds);
	END IF;
	RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "tasks_reserve" AFTER INSERT ON "tasks" FOR EACH ROW
WHEN (NEW.reserved_videos <> 0 OR NEW.reserved_bytes <> 0 OR NEW.reserved_milliseconds <> 0)
EXECUTE FUNCTION "note_reservation"();--> statement-breakpoint
CREATE TRIGGER "tasks_reserve_again" AFTER UPDATE ON "tasks" FOR EACH ROW
WHEN ((OLD.reserved_videos, OLD.reserved_bytes, OLD.reserved_milliseconds)
  IS DISTINCT FROM (NEW.reserved_videos, NEW.reserved_bytes, NEW.reserved_milliseconds))
EXECUTE FUNCTION "note_reservation"();--> statement-breakpoint
CREATE TRIGGER "tasks_unreserve" AFTER DELETE ON "tasks" FOR EACH ROW
WHEN (OLD.reserved_videos <> 0 OR OLD.reserved_bytes <> 0 OR OLD.reserved_milliseconds <> 0)
EXECUTE FUNCTION "note_reservation"();--> statement-breakpoint
CREATE FUNCTION "note_usage"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		INSERT INTO team_usage_changes (team_id, videos, bytes, milliseconds)
		VALUES (OLD.team_id, -1, -coalesce((OLD.system_metadata ->> 'size')::bigint, 0),
			-coalesce(round((OLD.system_metadata ->> 'duration')::numeric * 1000), 0));
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO team_usage_changes (team_id, videos, bytes, milliseconds)
		VALUES (NEW.team_id, 1, coalesce((NEW.system_metadata ->> 'size')::bigint, 0),
			coalesce(round((NEW.system_metadata ->> 'duration')::numeric * 1000), 0));
	END IF;
	RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "videos_used" AFTER INSERT OR DELETE ON "videos" FOR EACH ROW EXECUTE FUNCTION "note_usage"();--> statement-breakpoint
CREATE TRIGGER "videos_used_otherwise" AFTER UPDATE ON "videos" FOR EACH ROW
WHEN (OLD.system_metadata IS DISTINCT FROM NEW.system_metadata)
EXECUTE FUNCTION "note_usage"();
