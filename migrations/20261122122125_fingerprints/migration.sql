CREATE TABLE "video_fingerprint_bands" (
	"team_id" uuid,
	"band" integer,
	"video_id" uuid,
	CONSTRAINT "video_fingerprint_bands_pkey" PRIMARY KEY("team_id","band","video_id")
);
--> statement-breakpoint
CREATE TABLE "video_fingerprints" (
	"video_id" uuid PRIMARY KEY,
	"team_id" uuid NOT NULL,
	"sha256" text NOT NULL,
	"frames" bytea NOT NULL
);
--> statement-breakpoint
CREATE INDEX "video_fingerprint_bands_video" ON "video_fingerprint_bands" ("video_id");--> statement-breakpoint
ALTER TABLE "video_fingerprint_bands" ADD CONSTRAINT "video_fingerprint_bands_0HVD71fma5wn_fkey" FOREIGN KEY ("video_id") REFERENCES "video_fingerprints"("video_id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "video_fingerprints" ADD CONSTRAINT "video_fingerprints_video_id_videos_id_fkey" FOREIGN KEY ("video_id") REFERENCES "videos"("id") ON DELETE CASCADE;