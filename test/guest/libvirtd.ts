/**
 * A private libvirtd for one test file: in its own mount, process and network namespace, with its own configuration,
 * state and sockets, so that the machine's libvirt is neither seen nor touched. Process 1 of the namespace hangs on a
 * pipe of the test: when the test closes it or dies, the kernel ends daemons and guests together. Nothing stays.
 * Needs root (or the right to make namespaces), libvirt-daemon-system and QEMU; not systemd.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { promisify } from 'node:util';
import { guestFolder, hasTool } from './build.ts';

export type PrivateLibvirtd = {
  readonly socketPath: string;
  /** `qemu:///system`, or `qemu:///session` of an ordinary user. */
  readonly uri: string;
  /** Who runs QEMU in `session` mode, else undefined. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** What the `virsh` of people says; only for looking. */
  virsh(...args: string[]): Promise<string>;
  /** Ends the daemon; guests go on. `KILL` leaves it no time to say goodbye. */
  stop(signal?: 'TERM' | 'KILL'): Promise<void>;
  start(): Promise<void>;
  /** kill -9 of the QEMU process whose command line holds `text` (the instance id). */
  killGuest(text: string): Promise<void>;
  close(): Promise<void>;
};

const run = promisify(execFile);
/** The first start looks at every QEMU there is. */
const START_LIMIT_MS = 60_000;
const COMMAND_LIMIT_MS = 30_000;
const NOBODY = { uid: 65534, gid: 65534 };
const TOOLS = ['libvirtd', 'virtlogd', 'virsh', 'unshare', 'setpriv', 'pkill', 'qemu-system-x86_64', 'qemu-img'];

/** Why no private libvirtd can run here, or undefined. */
export async function libvirtdObstacle(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'needs root';
  for (const tool of TOOLS) if (!(await hasTool(tool))) return `needs ${tool}`;
  return undefined;
}

export async function startLibvirtd(options: { mode?: 'system' | 'session' } = {}): Promise<PrivateLibvirtd> {
  const mode = options.mode ?? 'system';
  const root = await mkdtemp(join(tmpdir(), 'nl-')); // short: a socket path has at most 107 bytes
  try {
    return await startIn(root, mode);
  } catch (error) {
    await rm(root, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(root: string, mode: 'system' | 'session'): Promise<PrivateLibvirtd> {
  await layOut(root);
  const cache = join(await guestFolder(), 'libvirt-cache');
  await mkdir(cache, { recursive: true });
  const init = ['bash', join(import.meta.dirname, 'namespace.sh'), root, mode, cache];
  const flags = ['--mount', '--pid', '--net', '--ipc', '--fork', '--kill-child=KILL', '--mount-proc', '--propagation', 'private'];
  const child = spawn('unshare', [...flags, ...init], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  try {
    const answer = await nextLine(child, lines, START_LIMIT_MS);
    if (answer !== 'up') throw new Error(`libvirtd did not start: ${answer}`);
  } catch (error) {
    await end(child);
    throw error;
  }
  return daemon({ root, mode, child, lines });
}

function daemon(parts: { root: string; mode: 'system' | 'session'; child: ChildProcess; lines: Interface }): PrivateLibvirtd {
  const { root, mode, child, lines } = parts;
  const runDir = mode === 'system' ? join(root, 'run/libvirt') : join(root, 'home/run/libvirt');
  const socketPath = join(runDir, 'libvirt-sock');
  const remote = `qemu+unix:///${mode}?socket=${socketPath}`;
  async function command(text: string): Promise<void> {
    const answer = nextLine(child, lines, COMMAND_LIMIT_MS);
    child.stdin?.write(`${text}\n`);
    const line = await answer;
    if (line !== 'done') throw new Error(line);
  }
  return {
    socketPath,
    uri: `qemu:///${mode}`,
    owner: mode === 'session' ? NOBODY : undefined,
    virsh: async (...args) => (await run('virsh', ['-c', remote, ...args], { timeout: COMMAND_LIMIT_MS })).stdout,
    stop: (signal = 'TERM') => command(`stop ${signal}`),
    start: () => command('start'),
    killGuest: (text) => command(`kill-guest ${text}`),
    close: async () => {
      await end(child);
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** The four folders that are mounted over libvirt's own; QEMU's user must be able to search them. */
async function layOut(root: string): Promise<void> {
  await chmod(root, 0o711);
  for (const name of ['run', 'etc', 'lib', 'log', 'home', 'home/run', 'home/config', 'home/cache']) await mkdir(join(root, name));
  for (const name of ['home', 'home/run', 'home/config', 'home/cache']) {
    await chown(join(root, name), NOBODY.uid, NOBODY.gid);
    await chmod(join(root, name), 0o700);
  }
  // The machine's own control groups stay untouched; one security model that exists everywhere; no /dev of their own
  // for guests, which would stumble over the hidden /dev/kvm.
  const settings = ['cgroup_controllers = []', 'security_driver = "none"', 'namespaces = []', 'max_core = 0', ''];
  await writeFile(join(root, 'etc/qemu.conf'), settings.join('\n'));
  await writeFile(join(root, 'etc/libvirtd.conf'), 'auth_unix_rw = "none"\nunix_sock_rw_perms = "0700"\n');
}

async function nextLine(child: ChildProcess, lines: Interface, limitMs: number): Promise<string> {
  const signal = AbortSignal.timeout(limitMs);
  const line = once(lines, 'line', { signal });
  const gone = once(child, 'exit', { signal }).then(([code]) => [`ended with ${String(code)}`]);
  const [text] = await Promise.race([line, gone]);
  line.catch(() => {});
  gone.catch(() => {});
  return String(text);
}

/** Closing the pipe is enough; the kill is for a namespace that hangs. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.stdin?.end();
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(timer);
}
