import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { LONG_SCENARIOS } from './runs.ts';

/** In CI so many seeds must run; elsewhere as many as fit into a few seconds. */
const SEEDS = process.env['CI'] === undefined ? 100 : 2_000;
const LIMIT_MS = 420_000;

it(
  `a cluster of drawn size keeps its promises under drawn faults, with ${SEEDS} seeds`,
  async () => {
    const { code, output } = await finished([fileURLToPath(new URL('./run.ts', import.meta.url)), '--seeds', String(SEEDS), '--met']);
    expect(output).not.toContain('BROKEN');
    expect(output).toMatch(new RegExp(`\\n${SEEDS} seeds, .* anomalies: 0\\n$`));
    // A simulation that meets nothing proves nothing.
    const met = output.split('\n').map((line) => line.trim().split('  ')[1]);
    expect(met).toEqual(expect.arrayContaining(SEEDS < 1_000 ? COMMON : [...COMMON, ...RARE]));
    expect(code).toBe(0);
  },
  LIMIT_MS,
);

it.each(LONG_SCENARIOS)(
  'one node, crashed at each of its awaits in turn, keeps its promises while it does %s',
  async (scenario) => {
    const { code, output } = await finished([fileURLToPath(new URL('./run.ts', import.meta.url)), '--crash', scenario]);
    expect([code, output]).toEqual([0, expect.stringMatching(/ anomalies: 0\n$/)]);
  },
  LIMIT_MS,
);

const COMMON = ['node: crashed', 'claim: doom', 'step: create/unspawn', 'order: overQuota', 'shard: taken', 'shard: given up', 'message: lost'];
const RARE = [
  'machine: lost',
  'machine: lost for good',
  'evacuated: forceDown',
  'evacuated: selfFence',
  'refused: hostNotProved',
  'node: gone',
  'refused: epoch',
  'refused: hostEpoch',
  'order: seen',
  'misfortune: jump',
  'misfortune: node > node',
  'misfortune: node is alone',
  'misfortune: node is cut off from the store',
  'misfortune: node is paused',
  'misfortune: restart',
  'misfortune: rolling restart',
  'misfortune: the store is away',
];

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
