/**
 * A run, of one node or a few, in which every accepted operation must reach its goal, and nothing happens that nobody asked for: nodes crash,
 * statements fail, messages get lost and late, leases are lost, hypervisors are away for a moment, but they do what they
 * are told and there is room for all. What is held up until its time is over ends in a fault, which the run of `cell`
 * has to take for one that a hypervisor caused; here it is a bug.
 */
import { pick, seededRandom, type Random } from '../../../runtime/base/random.ts';
import { toLoaded } from '../../doubles/memory-store.ts';
import { Client, type Action } from '../clients.ts';
import { drawPlan, NO_FAULTS, type FaultPlan } from '../faults.ts';
import { withoutGoal, type RunResult } from '../runs.ts';
import { World } from '../world.ts';

const UNLIMITED = { instances: -1, cores: -1, ram: -1 };
const ACTIONS: readonly Action[] = ['create', 'multi', 'burst', 'start', 'start', 'stop', 'stop', 'soft', 'hard', 'delete', 'get'];
/** Of what a run draws: a store that fails every tenth statement is not meant to be in time. */
const SHARE = 0.4;
/** Shorter than any step may take. */
const AWAY_MAX_MS = 2_000;
/** Time enough in between for any verb to end. */
const AWAY_EVERY_MS = { from: 10_000, to: 25_000 };

export async function goalRun(seed: number): Promise<RunResult> {
  const random = seededRandom(seed ^ 0x51ed270b);
  const mayBeAway = random.next() < 0.5;
  const nodes = pick(random, [1, 1, 2, 3]);
  const plan = nodes === 1 ? gentle(drawPlan(random), mayBeAway) : { ...gentle(drawPlan(random), mayBeAway), ...weather(random) };
  const world = new World({ seed, nodes, hosts: 3, vcpusPerHost: 40, plan, cidr: '10.20.0.0/25', quota: UNLIMITED });
  const pauseMs = pick(random, [2_000, 20_000]);
  const problems = await world.run(async () => {
    let working = true;
    if (mayBeAway) void blips(world, random, () => working);
    const lives = ['c1', 'c2'].map((name) => {
      const actions = Array.from({ length: 3 + Math.floor(random.next() * 5) }, () => pick(random, ACTIONS));
      return new Client(world, name).live(['create', ...actions], pauseMs);
    });
    await Promise.all(lives);
    working = false;
  });
  return { problems: [...problems, ...withoutGoal(world), ...unasked(world)], world };
}

/** A store that is out of reach for long, and crashes or hypervisors beside it, are more than a step has time for. */
function gentle({ crash, crashesMax, statement, lostTell, late, lease }: FaultPlan, mayBeAway: boolean): FaultPlan {
  const some = { ...NO_FAULTS, crash, crashesMax, statement: statement * SHARE, lostTell: lostTell * SHARE, late: late * SHARE };
  return mayBeAway || crash > 0 ? some : { ...some, lease: lease * SHARE };
}

/** Between nodes, in some runs. */
function weather(random: Random): Partial<FaultPlan> {
  const some = (rate: number): number => (random.next() < 0.5 ? rate * random.next() : 0);
  return { loss: some(0.1), again: some(0.1), delayMs: 1 + some(50) };
}

/** Hypervisors that cannot be reached for a moment. */
async function blips(world: World, random: Random, isWorking: () => boolean): Promise<void> {
  while (isWorking()) {
    await world.time.clock.sleep(AWAY_EVERY_MS.from + random.next() * (AWAY_EVERY_MS.to - AWAY_EVERY_MS.from));
    const host = pick(random, world.hosts);
    if (!host.wasOpened()) continue;
    host.script.disconnect();
    await world.time.clock.sleep(random.next() * AWAY_MAX_MS);
    host.script.reconnect();
  }
}

/**
 * No guest went down by itself: a server is stopped when the last thing that its users asked for was that. Not looked at
 * when messages are late: what a host saw may then come after what was done since, and is believed.
 */
function unasked(world: World): string[] {
  if (world.faults.plan.late > 0 || world.machines.length > 1) return [];
  return [...world.tables.instances.values()].flatMap((row) => {
    const { actions, vmState } = toLoaded(row).record;
    const last = actions.findLast(({ requestId, message }) => requestId.startsWith('req-c') && message === null);
    const isWrong = vmState === 'stopped' && last?.action !== 'stop';
    return isWrong ? [`P3 ${row.id} is stopped, and the last thing that its users had done was ${last?.action}`] : [];
  });
}
