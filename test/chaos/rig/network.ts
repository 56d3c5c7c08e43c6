/**
 * A network of its own for real processes: each member lives in a network namespace of its own, all hang on one bridge
 * in a namespace of the rig, and the test reaches them by an address of its own on that bridge. Cuts are silent: what
 * is cut arrives nowhere and nobody is told, as between machines.
 *
 * A small shell (the keeper) holds the list of what was made and reads from a pipe that only the test process has.
 * However that process ends, the keeper ends what lives in these namespaces and removes them, mounts and folder too.
 */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { promisify } from 'node:util';

export type Member = { readonly name: string; readonly address: string; readonly namespace: string; readonly port: string };

const run = promisify(execFile);
const TOOLS = ['ip', 'iptables', 'nsenter', 'mount', 'umount'];
/** Reserved for measuring networks: nobody has machines there. */
const NET = '198.18';
const OWN_ADDRESS = 254;
const COMMAND_LIMIT_MS = 20_000;

/** $1 the prefix of the namespaces, $2 the folder, $3 the test's own device. */
const KEEPER = `
prefix=$1; folder=$2; device=$3
trap '' INT TERM HUP QUIT
while read -r line; do :; done
spaces() { ip netns list | cut -d' ' -f1 | grep "^$prefix-"; }
pids() { for space in $(spaces); do ip netns pids "$space"; done; }
for pid in $(pids); do kill -QUIT "$pid" 2>/dev/null; kill -CONT "$pid" 2>/dev/null; done
for i in 1 2 3 4 5 6 7 8 9 10; do [ -z "$(pids)" ] && break; sleep 0.1; done
for pid in $(pids); do kill -KILL "$pid" 2>/dev/null; done
ip link del "$device" 2>/dev/null
for space in $(spaces); do ip netns del "$space"; done
grep -F " $folder/" /proc/mounts | cut -d' ' -f2 | while read -r at; do umount -l "$at"; done
rm -rf "$folder"
exit 0
`;

/** Undefined when this machine can have such a network; else what it lacks, in words. */
export function lacksNetwork(): string | undefined {
  if (process.getuid?.() !== 0) return 'root, for network namespaces';
  const missing = TOOLS.filter((tool) => spawnSync('which', [tool]).status !== 0);
  if (missing.length > 0) return `the programs ${missing.join(', ')}`;
  const probe = `novact-${randomBytes(3).toString('hex')}`;
  const made = spawnSync('ip', ['netns', 'add', probe]);
  const rules = spawnSync('ip', ['netns', 'exec', probe, 'iptables', '-w', '-A', 'INPUT', '-s', `${NET}.0.1`, '-j', 'DROP']);
  const bridge = spawnSync('ip', ['-n', probe, 'link', 'add', 'probe', 'type', 'bridge']);
  spawnSync('ip', ['netns', 'del', probe]);
  if (made.status !== 0) return 'network namespaces';
  return rules.status === 0 && bridge.status === 0 ? undefined : 'bridges and packet filters in network namespaces';
}

export class Network {
  readonly #prefix: string;
  readonly #subnet: string;
  readonly #device: string;
  readonly #hub: string;
  readonly #keeper: ChildProcess;
  readonly members: Member[] = [];

  private constructor(folder: string) {
    const id = randomBytes(3).toString('hex');
    this.#prefix = `novact-${id}`;
    this.#device = `nv${id}`;
    this.#hub = `${this.#prefix}-hub`;
    this.#subnet = freeSubnet();
    this.#keeper = spawn('sh', ['-c', KEEPER, 'keeper', this.#prefix, folder, this.#device], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    this.#keeper.stdin?.on('error', () => undefined);
    this.#keeper.unref();
  }

  /** `folder` is removed at the end, with all that is mounted below it. */
  static async open(folder: string): Promise<Network> {
    const network = new Network(folder);
    try {
      await network.#begin();
      return network;
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const hub = this.#hub;
    await ip('netns', 'add', hub);
    await ip('-n', hub, 'link', 'add', 'bridge', 'type', 'bridge');
    await ip('-n', hub, 'link', 'set', 'bridge', 'up');
    await ip('link', 'add', this.#device, 'type', 'veth', 'peer', 'name', 'test', 'netns', hub);
    await ip('-n', hub, 'link', 'set', 'test', 'master', 'bridge', 'up');
    await ip('addr', 'add', `${this.#subnet}.${OWN_ADDRESS}/24`, 'dev', this.#device);
    await ip('link', 'set', this.#device, 'up');
  }

  /** A namespace with an address, on the bridge. */
  async add(name: string): Promise<Member> {
    const number = this.members.length + 1;
    const member = { name, address: `${this.#subnet}.${number}`, namespace: `${this.#prefix}-${name}`, port: `port${number}` };
    const { namespace, port, address } = member;
    this.members.push(member);
    await ip('netns', 'add', namespace);
    await ip('-n', this.#hub, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
    await ip('-n', this.#hub, 'link', 'set', port, 'master', 'bridge', 'up');
    await ip('-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    await ip('-n', namespace, 'link', 'set', 'eth0', 'up');
    await ip('-n', namespace, 'link', 'set', 'lo', 'up');
    return member;
  }

  /** Nothing that `from` sends arrives at `to` any more; the other way stays open. */
  async cut(from: Member, to: Member): Promise<void> {
    await filter(to, '-A', 'INPUT', '-s', from.address, '-j', 'DROP');
  }

  async mend(from: Member, to: Member): Promise<void> {
    await filter(to, '-D', 'INPUT', '-s', from.address, '-j', 'DROP');
  }

  /** Of what arrives at the member, such a share is lost. */
  async lose(member: Member, share: number): Promise<void> {
    await filter(member, '-A', 'INPUT', ...randomly(share));
  }

  async loseNothing(member: Member, share: number): Promise<void> {
    await filter(member, '-D', 'INPUT', ...randomly(share));
  }

  /** The cable is pulled, or put in again: for the test too. */
  async plug(member: Member, isIn: boolean): Promise<void> {
    await ip('-n', this.#hub, 'link', 'set', member.port, isIn ? 'up' : 'down');
  }

  /** As it was at first, whatever was done. */
  async heal(): Promise<void> {
    for (const member of this.members) {
      await filter(member, '-F', 'INPUT');
      await this.plug(member, true);
    }
  }

  /** Processes that live in the member's namespace. */
  async pids(member: Member): Promise<number[]> {
    const { stdout } = await run('ip', ['netns', 'pids', member.namespace], { timeout: COMMAND_LIMIT_MS });
    return stdout.split('\n').filter(Boolean).map(Number);
  }

  /** Ends everything in the namespaces and removes them and the folder. Harmless twice. */
  async close(): Promise<void> {
    if (this.#keeper.exitCode !== null || this.#keeper.signalCode !== null) return;
    const end = once(this.#keeper, 'exit');
    this.#keeper.ref();
    this.#keeper.stdin?.end();
    await end;
  }
}

/** Words before a program: it then lives in the member's namespace, as the process that was started. */
export function inside(member: Member): string[] {
  return ['nsenter', `--net=/run/netns/${member.namespace}`];
}

async function ip(...words: string[]): Promise<void> {
  await run('ip', words, { timeout: COMMAND_LIMIT_MS });
}

async function filter(member: Member, ...words: string[]): Promise<void> {
  const [program = '', ...rest] = [...inside(member), 'iptables', '-w', ...words];
  await run(program, rest, { timeout: COMMAND_LIMIT_MS });
}

function randomly(share: number): string[] {
  return ['-m', 'statistic', '--mode', 'random', '--probability', String(share), '-j', 'DROP'];
}

/** One that this machine does not use. */
function freeSubnet(): string {
  const used = spawnSync('ip', ['-o', 'addr'], { encoding: 'utf8' }).stdout;
  for (;;) {
    const subnet = `${NET}.${randomInt(1, 255)}`;
    if (!used.includes(` ${subnet}.`)) return subnet;
  }
}
