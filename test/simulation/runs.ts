/** The runs that are made of a seed, and the ones that crash the node at each of its steps in turn. */
import { pick, seededRandom } from '../../runtime/base/random.ts';
import { toLoaded } from '../doubles/memory-store.ts';
import { Client, type Action } from './clients.ts';
import { drawLosses, drawPlan, NO_FAULTS } from './faults.ts';
import { World } from './world.ts';

/** `cpuMs`: what the run took of this process. */
export type RunResult = { readonly problems: readonly string[]; readonly world: World; readonly cpuMs?: number };

/** Runs the world and measures it. */
async function measured(world: World, work: () => Promise<void>, more: (world: World) => readonly string[] = () => []): Promise<RunResult> {
  const before = process.cpuUsage();
  const problems = await world.run(work);
  const { user, system } = process.cpuUsage(before);
  return { problems: [...problems, ...more(world)], world, cpuMs: (user + system) / 1_000 };
}

const UNLIMITED = { instances: -1, cores: -1, ram: -1 };
const ACTIONS: readonly Action[] = ['create', 'create', 'multi', 'burst', 'start', 'stop', 'stop', 'soft', 'hard', 'delete', 'delete', 'get'];
/** Where machines are lost: longer lives, and servers that go elsewhere. */
const LOST_ACTIONS: readonly Action[] = ['create', 'multi', 'start', 'stop', 'soft', 'delete', 'get', 'evacuate', 'evacuate', 'evacuate', 'evacuate'];
/** Beside the others, where servers move. */
const MOVES: readonly Action[] = ['resize', 'resize', 'migrate', 'live', 'live', 'confirm', 'revert', 'revert', 'abort', 'force'];
const MOVE_PAUSE_MS = 8_000;
const MOVES_SHARE = 0.35;
const LOST_PAUSES_MS = [10_000, 20_000, 30_000];

/** Clients that do what the seed draws, under faults that the seed draws. */
export async function randomRun(seed: number): Promise<RunResult> {
  const random = seededRandom(seed ^ 0x2545f491);
  const quota = random.next() < 0.3 ? { instances: 2 + Math.floor(random.next() * 4), cores: -1, ram: -1 } : UNLIMITED;
  const nodes = pick(random, [1, 1, 2, 2, 3, 3, 4, 5]);
  const computes = random.next() < 0.3 ? 1 + Math.floor(random.next() * 3) : 0;
  const moves = seededRandom(seed ^ 0x3d1f).next() < MOVES_SHARE;
  const losses = drawLosses(seededRandom(seed ^ 0x51ab), nodes + computes);
  const hosts = Math.max(computes, 1 + Math.floor(random.next() * 4));
  const world = new World({
    seed,
    nodes,
    computes,
    hosts: losses ? Math.max(2, hosts) : hosts,
    vcpusPerHost: 1 + Math.floor(random.next() * 8) + (losses ? 3 : 0),
    plan: { ...drawPlan(random, nodes + computes), hostLoss: losses?.rate ?? 0, moves },
    ...(losses && { losses }),
    cidr: pick(random, ['10.20.0.0/29', '10.20.0.0/28', '10.20.0.0/26']),
    quota,
  });
  const drawnMs = pick(random, losses ? LOST_PAUSES_MS : [200, 2_000, 10_000, 30_000]);
  // Long enough that there is something to move, to confirm and to revert.
  const pauseMs = moves ? Math.max(drawnMs, MOVE_PAUSE_MS) : drawnMs;
  const own = losses ? LOST_ACTIONS : ACTIONS;
  const actionsOf = moves ? [...own, ...MOVES, ...MOVES, ...MOVES, ...MOVES] : own;
  const clients = 1 + Math.floor(random.next() * 3);
  return measured(world, async () => {
    const lives = Array.from({ length: clients }, (_, i) => {
      const actions = Array.from({ length: (moves ? 8 : 4) + Math.floor(random.next() * 7) }, () => pick(random, actionsOf));
      return new Client(world, `c${i + 1}`, i === 0 ? 'ann' : 'bob').live(['create', ...actions], pauseMs);
    });
    await Promise.all(lives);
  });
}

/** What is done after a server was created, each with the crash somewhere in it. */
export const SCENARIOS = {
  create: [],
  multi: ['multi'],
  stop: ['stop'],
  start: ['stop', 'start'],
  soft: ['soft'],
  hard: ['hard'],
  delete: ['delete'],
  'delete at once': ['delete'],
  resize: ['resize'],
  confirm: ['resize', 'confirm'],
  revert: ['resize', 'revert'],
  migrate: ['migrate'],
  live: ['live'],
  'delete resized': ['resize', 'delete'],
} as const satisfies { readonly [name: string]: readonly Action[] };
export type Scenario = keyof typeof SCENARIOS;

export function isScenario(name: string): name is Scenario {
  return name in SCENARIOS;
}

/** Longer than any of a scenario's verbs takes here. */
const VERB_MS = 9_000;

/** One client, one crash: of whichever node reaches it, at the point of this number, or none. */
export async function crashRun(scenario: Scenario, crashAt: number | null, nodes = 1): Promise<RunResult> {
  const world = new World({ seed: 1, nodes, hosts: 2, vcpusPerHost: 4, plan: { ...NO_FAULTS, crashAt }, cidr: '10.20.0.0/26', quota: UNLIMITED });
  const work = async (): Promise<void> => {
    const client = new Client(world, 'c1');
    await client.do('create');
    for (const action of SCENARIOS[scenario]) {
      await client.pause(scenario === 'delete at once' ? 30 : VERB_MS);
      await client.do(action);
    }
    await client.pause(VERB_MS);
  };
  return measured(world, work, withoutGoal);
}

/** What ended in a fault: a crash alone, with all time that is needed, must not keep anything from its goal. */
export function withoutGoal(world: World): string[] {
  return [...world.tables.instances.values()].flatMap((row) => {
    const { fault, actions } = toLoaded(row).record;
    const faults = [fault, ...actions.flatMap((action) => action.events.map((event) => event.fault))];
    return faults.filter((one) => one && one.code !== 'cancelled').map((one) => `P2 ${row.id} ended in ${one?.reason}`);
  });
}

/** A crash at the first point, at the second, … until a run ends without having reached its point. */
export async function* crashRuns(scenario: Scenario, nodes = 1): AsyncGenerator<{ at: number; result: RunResult }> {
  for (let at = 1; ; at++) {
    const result = await crashRun(scenario, at, nodes);
    yield { at, result };
    if (!result.world.met.has('node: crashed')) return;
  }
}
