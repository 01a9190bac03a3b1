ALTER TABLE "failed_files" DROP CONSTRAINT "failed_files_import_id_imports_id_fkey";--> statement-breakpoint
ALTER TABLE "import_entries" DROP CONSTRAINT "import_entries_import_id_imports_id_fkey";--> statement-breakpoint
ALTER TABLE "tasks" DROP CONSTRAINT "tasks_import_id_imports_id_fkey";