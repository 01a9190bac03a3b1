ALTER TABLE "indexes" ADD COLUMN "analyzers" text[] DEFAULT '{THUMBNAILS,SCENES,FINGERPRINT,QUALITY,SCAN_TYPE}'::text[] NOT NULL;--> statement-breakpoint
ALTER TABLE "indexes" ADD COLUMN "picture_format" text;--> statement-breakpoint
ALTER TABLE "indexes" ADD COLUMN "ladder" integer[];--> statement-breakpoint
ALTER TABLE "task_progress" ADD COLUMN "stage_fractions" jsonb;--> statement-breakpoint
ALTER TABLE "videos" ADD COLUMN "pictures" jsonb;--> statement-breakpoint
ALTER TABLE "videos" ADD COLUMN "stream" jsonb;--> statement-breakpoint
ALTER TABLE "videos" ADD COLUMN "scenes" jsonb;--> statement-breakpoint
ALTER TABLE "videos" ADD COLUMN "quality" jsonb;--> statement-breakpoint
ALTER TABLE "videos" ADD COLUMN "scan_type" text;--> statement-breakpoint
ALTER TABLE "videos" ADD COLUMN "product_folders" text[];--> statement-breakpoint
ALTER TABLE "videos" ADD COLUMN "hls_status" text;--> statement-breakpoint
ALTER TABLE "videos" ADD COLUMN "hls_updated_at" timestamp(3) with time zone;--> statement-breakpoint
CREATE INDEX "videos_by_product_folder" ON "videos" USING gin ("product_folders") WHERE "product_folders" is not null;--> statement-breakpoint
ALTER TABLE "videos" ADD CONSTRAINT "videos_stream" CHECK (("hls_status" = 'COMPLETE') is not true or "stream" is not null);--> statement-breakpoint
ALTER TABLE "videos" ADD CONSTRAINT "videos_hls" CHECK (("hls_status" is null) = ("hls_updated_at" is null));