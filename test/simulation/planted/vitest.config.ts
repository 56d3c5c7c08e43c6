/** Vitest with the bug that NOVACT_PLANTED names: what hook.ts does for a node, for tests. */
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { plant } from './bug.ts';
import { CATALOGUE } from './catalogue.ts';

const ROOT = join(import.meta.dirname, '../../..');
const bug = CATALOGUE.find((one) => one.name === process.env['NOVACT_PLANTED']);

export default defineConfig({
  root: ROOT,
  plugins: [
    {
      name: 'planted',
      enforce: 'pre',
      transform: (source, id) => (bug && id === join(ROOT, bug.file) ? { code: plant(bug, source), map: null } : undefined),
    },
  ],
  test: { include: ['test/**/*.test.ts'], testTimeout: 300_000, hookTimeout: 120_000, fileParallelism: false },
});
