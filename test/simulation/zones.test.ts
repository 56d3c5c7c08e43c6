import { expect, it } from 'vitest';
import { zoneRun } from './runs.ts';

const SEEDS = 20;

it('a server that was asked into a zone is in it, however hosts move between zones', async () => {
  const met = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { problems, world } = await zoneRun(seed);
    expect({ seed, problems }).toEqual({ seed, problems: [] });
    for (const what of world.met.keys()) met.add(what);
  }
  expect([...met]).toEqual(expect.arrayContaining(['zone: moved', 'zone: kept by servers', 'claim: add']));
}, 120_000);
