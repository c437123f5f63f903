import { defineConfig } from "vitest/config";

// Apart from the other tests: it reads sources only, so it needs no database and no build.
export default defineConfig({ test: { include: ["test/architecture/**/*.test.ts"] } });
