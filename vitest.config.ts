/**
 * Two projects of tests. `unit`: no process is started, no port bound. `system`: real servers, clients and
 * hypervisors on loopback. Tests that need a program that is absent skip by name, and fail in CI.
 */
import { defineConfig } from 'vitest/config';

const NOT_OURS = ['**/node_modules/**', '**/dist/**', '.novact/**'];
const SYSTEM = ['test/**/*.system.test.ts'];

export default defineConfig({
  test: {
    // Two files at a time: a system test has processes of its own beside it.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: [...NOT_OURS, ...SYSTEM] } },
      { extends: true, test: { name: 'system', include: SYSTEM, exclude: NOT_OURS, testTimeout: 300_000, hookTimeout: 120_000, fileParallelism: false } },
    ],
  },
});
