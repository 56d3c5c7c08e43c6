/** The runs that are made of a seed, and the ones that crash the node at each of its steps in turn. */
import { pick, seededRandom } from '../../runtime/base/random.ts';
import { toLoaded } from '../doubles/memory-store.ts';
import { Client, IN_PLACE_ACTIONS, type Action } from './clients.ts';
import { drawLosses, drawPlan, NO_FAULTS } from './faults.ts';
import type { ServerGroup } from '../../actors/model/server-group.ts';
import { World } from './world.ts';
import { HOME_ZONE, ZoneMover, ZONES } from './zone-mover.ts';

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
/** In some of the runs, beside the others: images of servers, rebuilt and shelved ones. */
const COPY_ACTIONS: readonly Action[] = ['image', 'backup', 'backup', 'rebuild', 'shelve', 'shelve', 'offload', 'unshelve', 'unshelve'];
const COPY_SHARE = 0.4;
/** Where machines are lost: longer lives, and servers that go elsewhere. */
const LOST_ACTIONS: readonly Action[] = ['create', 'multi', 'start', 'stop', 'soft', 'delete', 'get', 'evacuate', 'evacuate', 'evacuate', 'evacuate'];
/** Beside the others, where servers move. */
const MOVES: readonly Action[] = ['resize', 'resize', 'migrate', 'live', 'live', 'confirm', 'revert', 'revert', 'abort', 'force'];
const MOVE_PAUSE_MS = 8_000;
const MOVES_SHARE = 0.35;
/** In half of the runs clients do these, too; in some of them what was deleted can be restored for a while. */
const ALL_ACTIONS = { few: ACTIONS, lost: LOST_ACTIONS, more: [...ACTIONS, ...IN_PLACE_ACTIONS], lostMore: [...LOST_ACTIONS, ...IN_PLACE_ACTIONS] };
const LOST_PAUSES_MS = [10_000, 20_000, 30_000];

/** Clients that do what the seed draws, under faults that the seed draws. */
export async function randomRun(seed: number): Promise<RunResult> {
  const random = seededRandom(seed ^ 0x2545f491);
  const quota = random.next() < 0.3 ? { instances: 2 + Math.floor(random.next() * 4), cores: -1, ram: -1 } : UNLIMITED;
  const nodes = pick(random, [1, 1, 2, 2, 3, 3, 4, 5]);
  const computes = random.next() < 0.3 ? 1 + Math.floor(random.next() * 3) : 0;
  const copies = drawCopies(seed);
  const moves = seededRandom(seed ^ 0x3d1f).next() < MOVES_SHARE;
  const losses = drawLosses(seededRandom(seed ^ 0x51ab), nodes + computes);
  const hosts = Math.max(computes, 1 + Math.floor(random.next() * 4));
  const more = seededRandom(seed ^ 0x1f83d9ab);
  const isMore = more.next() < 0.5;
  const world = new World({
    seed,
    nodes,
    computes,
    ...(isMore && more.next() < 0.6 && { reclaimAfterMs: 5_000 + Math.floor(more.next() * 40_000) }),
    hosts: losses ? Math.max(2, hosts) : hosts,
    vcpusPerHost: 1 + Math.floor(random.next() * 8) + (losses ? 3 : 0),
    plan: { ...drawPlan(random, nodes + computes), hostLoss: losses?.rate ?? 0, moves },
    ...(losses && { losses }),
    ...(copies && { shelvedOffloadMs: copies.shelvedOffloadMs }),
    cidr: pick(random, ['10.20.0.0/29', '10.20.0.0/28', '10.20.0.0/26']),
    quota,
    ...groupOf(seed),
  });
  const drawnMs = pick(random, losses ? LOST_PAUSES_MS : [200, 2_000, 10_000, 30_000]);
  // Long enough that there is something to move, to confirm and to revert.
  const pauseMs = moves ? Math.max(drawnMs, MOVE_PAUSE_MS) : drawnMs;
  const few = losses ? (isMore ? ALL_ACTIONS.lostMore : ALL_ACTIONS.lost) : isMore ? ALL_ACTIONS.more : ALL_ACTIONS.few;
  const own = [...few, ...(copies ? COPY_ACTIONS : [])];
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

/** Drawn from chance of its own: the other runs stay what they were. */
function drawCopies(seed: number): { readonly shelvedOffloadMs: number } | undefined {
  const random = seededRandom(seed ^ 0x77c3);
  return random.next() < COPY_SHARE ? { shelvedOffloadMs: pick(random, [0, 0, 20_000, -1]) } : undefined;
}

/** Clients that ask for zones, while hosts are moved between them. */
export async function zoneRun(seed: number): Promise<RunResult> {
  const random = seededRandom(seed ^ 0x20_9e35);
  const nodes = pick(random, [1, 2, 3]);
  const plan = { ...drawPlan(random, nodes), crash: random.next() * 0.003 };
  const world = new World({ seed, nodes, hosts: 4, vcpusPerHost: 3, plan, cidr: '10.20.0.0/26', quota: UNLIMITED });
  const mover = new ZoneMover(world, seededRandom(seed ^ 0x51_77aa));
  return measured(world, async () => {
    const moving = mover.move();
    const lives = ['c1', 'c2', 'c3'].map((name) => {
      const actions = Array.from({ length: 8 }, () => pick(random, ACTIONS));
      return new Client(world, name, 'ann', [null, HOME_ZONE, ...ZONES]).live(['create', ...actions], 2_000);
    });
    await Promise.all(lives);
    mover.stop();
    await moving;
  });
}

/** Of every second seed: servers that stand apart, or together. */
function groupOf(seed: number): { group?: ServerGroup } {
  const policy = seed % 2 === 0 ? undefined : (['anti-affinity', 'affinity', 'anti-affinity', 'soft-anti-affinity'] as const)[(seed >> 1) % 4];
  if (policy === undefined) return {};
  const group = {
    id: '00000000-0000-4000-8000-00000000000a',
    projectId: 'blue',
    userId: 'ann',
    name: 'g',
    policy,
    perHost: policy === 'anti-affinity' && seed % 3 === 0 ? 2 : null,
  };
  return { group };
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
  image: ['image'],
  backup: ['backup'],
  rebuild: ['rebuild'],
  shelve: ['shelve'],
  unshelve: ['shelve', 'unshelve'],
  resize: ['resize'],
  confirm: ['resize', 'confirm'],
  revert: ['resize', 'revert'],
  keep: ['resize', 'keep'],
  migrate: ['migrate'],
  live: ['live'],
  'delete resized': ['resize', 'delete'],
  pause: ['pause', 'unpause'],
  suspend: ['suspend', 'resume'],
  rescue: ['rescue', 'unrescue'],
  'hard from suspended': ['suspend', 'hardAny'],
  lock: ['lock', 'unlock'],
  password: ['password'],
  'soft delete': ['delete', 'restore', 'delete', 'forceDelete'],
  reclaim: ['delete'],
} as const satisfies { readonly [name: string]: readonly Action[] };
export type Scenario = keyof typeof SCENARIOS;

/** Like others before them, and long: not in every run of the unit tests. */
export const LONG_SCENARIOS: readonly Scenario[] = ['pause', 'suspend', 'rescue', 'hard from suspended', 'lock', 'soft delete'];

export function isScenario(name: string): name is Scenario {
  return name in SCENARIOS;
}

/** Longer than any of a scenario's verbs takes here. */
const VERB_MS = 9_000;

/** One client, one crash: of whichever node reaches it, at the point of this number, or none. */
export async function crashRun(scenario: Scenario, crashAt: number | null, nodes = 1): Promise<RunResult> {
  const reclaimAfterMs = scenario === 'soft delete' ? 300_000 : scenario === 'reclaim' ? 12_000 : 0;
  const world = new World({
    reclaimAfterMs,
    seed: 1,
    nodes,
    hosts: 2,
    vcpusPerHost: 4,
    plan: { ...NO_FAULTS, crashAt },
    cidr: '10.20.0.0/26',
    quota: UNLIMITED,
  });
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
    // A password is nowhere stored: with the node that knew it, the work on it ends.
    return faults
      .filter((one) => one && one.code !== 'cancelled' && one.reason !== 'operation.interrupted')
      .map((one) => `P2 ${row.id} ended in ${one?.reason}`);
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
