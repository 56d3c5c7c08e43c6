import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

/** In CI so many seeds must run; elsewhere as many as fit into a few seconds. */
const SEEDS = process.env['CI'] === undefined ? 100 : 2_000;
const LIMIT_MS = 240_000;

it(
  `a cluster of drawn size keeps its promises under drawn faults, with ${SEEDS} seeds`,
  async () => {
    const { code, output } = await finished([fileURLToPath(new URL('./run.ts', import.meta.url)), '--seeds', String(SEEDS)]);
    expect(output).toMatch(new RegExp(`^${SEEDS} seeds, .* anomalies: 0\\n$`));
    expect(code).toBe(0);
  },
  LIMIT_MS,
);

async function finished(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    let output = '';
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, output }));
    });
  } finally {
    child.kill('SIGKILL'); // its workers end with it
  }
}
