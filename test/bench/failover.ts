/**
 * Failover: one of two control nodes is killed (its process with it, nothing is said to anybody), or falls silent while
 * its connections stay (stopped by SIGSTOP, which stands for a partition). Counted from that moment: the other node has
 * seen it, has taken its shards, and the first command to a server of those shards has been done. Commands are sent all
 * the while, a new one every 50 ms, each once, as by clients that do not know; `longest` is what one of them waited.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { shardOf } from '../../runtime/shard/ring.ts';
import { Compute, logIn } from './rig/compute.ts';
import { percentile, round, tally, type Figures } from './rig/figures.ts';
import { sleep } from './rig/http-load.ts';
import { accountOf, openPair, until, untilShared, type Pair } from './rig/pair.ts';
import { fill, type Options } from './rig/subject.ts';

const ROUNDS = 4;
const SERVERS = 128;
const EACH_MS = 50;
const LIMIT_MS = 30_000;
const LOOK_MS = 5;
/** After the first answer: what waited still comes. */
const REST_MS = 3_000;
const SPREAD = [0.5, 0.99];

type Loss = {
  readonly detectMs: number;
  readonly takenMs: number;
  readonly commandMs: number;
  readonly longestMs: number;
  readonly statuses: readonly number[];
};
type Commands = { readonly firstDoneMs: Promise<number>; end(): Promise<{ longestMs: number; statuses: number[] }> };

export async function failover(options: Options): Promise<Figures> {
  const pair = await openPair({ more: 1 });
  try {
    const login = await logIn(accountOf(pair.first));
    const compute = new Compute(login, 128, 'auto');
    await compute.prepare(login.imageUrl);
    await compute.setQuota(-1, -1);
    const ids = await fill(compute, SERVERS);
    const rounds = options.n ?? ROUNDS;
    const losses: { [how: string]: Loss[] } = { kill: [], silent: [] };
    for (let nth = 1; nth <= rounds; nth++) {
      for (const how of ['kill', 'silent'] as const) {
        const loss = await lose(pair, compute, ids, how);
        options.progress(`${how} ${nth}: seen ${round(loss.detectMs)}, taken ${round(loss.takenMs)}, command ${round(loss.commandMs)} ms`);
        losses[how]?.push(loss);
      }
    }
    await compute.close();
    return { rounds, servers: ids.length, ...figuresOf('kill', losses['kill'] ?? []), ...figuresOf('silent', losses['silent'] ?? []) };
  } finally {
    await pair.close();
  }
}

async function lose(pair: Pair, compute: Compute, ids: readonly string[], how: 'kill' | 'silent'): Promise<Loss> {
  await untilShared(pair, 2);
  const lost = await shardsOf(pair, 'other-1');
  const there = ids.filter((id) => lost.has(shardOf(`instance/${id}`)));
  const [other] = pair.others;
  if (other === undefined) throw new Error('there is no other node');
  // Anywhere in the time between two beats.
  await sleep(Math.random() * 1_000);
  const wallMs = Date.now();
  const beginMs = performance.now();
  process.kill(other.pid(), how === 'kill' ? 'SIGKILL' : 'SIGSTOP');
  const commands = sendCommands(compute, there);
  try {
    await until('its shards are taken', async () => (await shardsOf(pair, 'other-1')).size === 0, LOOK_MS);
    const takenMs = performance.now() - beginMs;
    const commandMs = (await commands.firstDoneMs) - beginMs;
    await sleep(REST_MS);
    return { detectMs: seenAt(pair, wallMs) - wallMs, takenMs, commandMs, ...(await commands.end()) };
  } finally {
    if (how === 'kill') await other.restart();
    else process.kill(other.pid(), 'SIGCONT');
  }
}

/** A new command to one of these servers every so often; each changes its row. */
function sendCommands(compute: Compute, ids: readonly string[]): Commands {
  const running: Promise<void>[] = [];
  const tookMs: number[] = [];
  const statuses: number[] = [];
  const firstDone = Promise.withResolvers<number>();
  let isOver = false;
  const one = async (nth: number): Promise<void> => {
    const answer = await compute.write('PUT', `/servers/${ids[nth % ids.length]}`, { server: { name: `bench-${nth}` } });
    statuses.push(answer.status);
    tookMs.push(answer.tookMs);
    if (answer.status === 200) firstDone.resolve(answer.sentMs + answer.tookMs);
  };
  const loop = (async () => {
    const endMs = performance.now() + LIMIT_MS;
    for (let nth = 0; !isOver && performance.now() < endMs; nth++) {
      running.push(one(nth));
      await sleep(EACH_MS);
    }
    firstDone.reject(new Error(`no command was done in ${LIMIT_MS} ms`));
  })();
  firstDone.promise.catch(() => undefined);
  return {
    firstDoneMs: firstDone.promise,
    async end() {
      isOver = true;
      await loop;
      await Promise.all(running);
      return { longestMs: Math.max(...tookMs), statuses };
    },
  };
}

async function shardsOf({ pool }: Pair, owner: string): Promise<ReadonlySet<number>> {
  const { rows } = await pool.query<{ id: number }>('select id from shard where owner = $1', [owner]);
  return new Set(rows.map((row) => row.id));
}

/** When the first node wrote down that the other is not among the living, by the wall clock. */
function seenAt({ first }: Pair, sinceMs: number): number {
  for (const line of readFileSync(join(first.dataDir, 'novact.log'), 'utf8').split('\n')) {
    if (!line.includes('"members"')) continue;
    const { time, alive } = JSON.parse(line) as { time: number | string; alive: readonly string[] };
    const atMs = new Date(time).getTime();
    if (atMs >= sinceMs && !alive.includes('other-1')) return atMs;
  }
  return Number.NaN;
}

function figuresOf(how: string, losses: readonly Loss[]): Figures {
  const part = (name: string, pick: (loss: Loss) => number): [string, number][] => {
    const samples = losses.map(pick);
    return [
      ...SPREAD.map((share): [string, number] => [`${how}${name}P${share * 100}Ms`, round(percentile(samples, share))]),
      [`${how}${name}MaxMs`, round(Math.max(...samples))],
    ];
  };
  return {
    ...Object.fromEntries([
      ...part('Seen', (loss) => loss.detectMs),
      ...part('Taken', (loss) => loss.takenMs),
      ...part('Command', (loss) => loss.commandMs),
      ...part('Longest', (loss) => loss.longestMs),
    ]),
    [`${how}Answers`]: tally(losses.flatMap(({ statuses }) => statuses)),
  };
}
