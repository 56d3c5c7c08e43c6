/**
 * A cluster of real processes, each in a network of its own, works on while its nodes and its database are killed,
 * paused, cut off and filled up; then everything must be right. A minute of what `npm run chaos` does for hours, with
 * choices of one seed (NOVACT_CHAOS_SEED gives another; the machine's timing is its own).
 */
import { describe, expect, it } from 'vitest';
import { lacksCluster } from './cluster.ts';
import { runChaos } from './cluster/run.ts';

const STORM_MS = 40_000;
const TEST_LIMIT_MS = 280_000;

describe('a cluster', () => {
  it('loses and doubles nothing while its nodes and its database fail', { timeout: TEST_LIMIT_MS }, async (ctx) => {
    const lacking = lacksCluster();
    if (lacking !== undefined && process.env['CI'] !== undefined) throw new Error(`a cluster needs ${lacking}`);
    if (lacking !== undefined) return ctx.skip(`needs ${lacking}`);
    const seed = Number(process.env['NOVACT_CHAOS_SEED'] ?? 1);
    const told: string[] = [];
    const { problems, summary, kept } = await runChaos({
      controls: 2,
      computes: 2,
      clients: 8,
      seed,
      roundMs: STORM_MS,
      totalMs: 1,
      workShare: 0.5,
      faultsAtOnce: 1,
      calmMs: { from: 200, to: 2_000 },
      faultLastsMs: { from: 100, to: 8_000 },
      say: (line) => told.push(line),
    });
    expect({ problems, seed, kept, told: problems.length > 0 ? told : [] }).toEqual({ problems: [], seed, kept: undefined, told: [] });
    expect(summary).toContain('anomalies: 0');
  });
});
