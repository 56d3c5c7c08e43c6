import { describe, expect, it } from 'vitest';
import { crashRuns, LONG_SCENARIOS, randomRun, SCENARIOS, type RunResult, type Scenario } from './runs.ts';

/** Runs in every `npm test`; with NOVACT_SIM_SECONDS as many more as fit into so many seconds. */
const SEEDS = 60;
const MORE_MS = Number(process.env['NOVACT_SIM_SECONDS'] ?? 0) * 1_000;

describe('one node, crashed at each of its awaits in turn, keeps its promises', () => {
  const scenarios = (Object.keys(SCENARIOS) as Scenario[]).filter((scenario) => !LONG_SCENARIOS.includes(scenario));
  for (const scenario of scenarios) {
    it(`while it does ${scenario}`, async () => {
      let crashes = 0;
      for await (const { at, result } of crashRuns(scenario)) {
        expect(told(result, `--crash "${scenario}" --at ${at}`)).toEqual([]);
        crashes = at - 1;
      }
      expect(crashes).toBeGreaterThan(20);
    }, 120_000);
  }
});

describe('a cluster of drawn size under drawn faults keeps its promises', () => {
  it(
    'with every seed',
    async () => {
      const met = new Set<string>();
      const untilMs = performance.now() + MORE_MS;
      for (let seed = 1; seed <= SEEDS || performance.now() < untilMs; seed++) {
        const result = await randomRun(seed);
        expect(told(result, `--seed ${seed}`)).toEqual([]);
        for (const what of result.world.met.keys()) met.add(what);
      }
      // A simulation that meets nothing proves nothing.
      expect([...met]).toEqual(expect.arrayContaining(WANTED));
    },
    240_000 + 2 * MORE_MS,
  );

  it.each([2, 3, 5, 8, 13])('seed %i is the same run again', async (seed) => {
    const [first, second] = [await randomRun(seed), await randomRun(seed)];
    expect(second.world.faults.trace).toEqual(first.world.faults.trace);
    expect([second.world.faults.hash, second.world.time.nowMs]).toEqual([first.world.faults.hash, first.world.time.nowMs]);
  });
});

/** The rarer ones are wanted of the many runs of simulation.system.test.ts. */
const WANTED = ['node: crashed', 'shard: taken', 'shard: given up', 'step: create/unspawn', 'order: overQuota', 'message: lost', 'message: late'];

function told({ problems }: RunResult, replay: string): readonly string[] {
  return problems.length === 0 ? [] : [`node test/simulation/run.ts ${replay} --trace`, ...problems];
}
