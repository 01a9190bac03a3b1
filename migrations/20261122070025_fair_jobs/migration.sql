DROP INDEX "jobs_claimable";--> statement-breakpoint
CREATE INDEX "jobs_claimable" ON "jobs" ("kind" collate "C","team_id","priority","run_at","id") WHERE "owner" is null and "lost_leases" < 3;