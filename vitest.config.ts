import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "bench/**/*.test.ts"],
    exclude: ["test/e2e/**", "test/architecture/**", "**/node_modules/**"],
    globalSetup: ["test/support/postgres.globalSetup.ts"],
    setupFiles: ["test/support/properties.setup.ts"],
    testTimeout: 90_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
