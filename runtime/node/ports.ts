/**
 * Whether the ports of this node can be listened on, asked before anything is started, so that a taken one is told
 * with its holder and a way out, and all of them at once. It holds nothing: who listens later may still find a port
 * taken meanwhile, and explains that with `portTaken`.
 */
import { createServer } from 'node:net';
import { Fault } from '../base/fault.ts';
import { allPids, linkOf, seenProcess, textOf } from '../base/proc.ts';
import { readdirSync } from 'node:fs';

export type WantedPort = { readonly name: string; readonly port: number; readonly host: string };

/** `command` is undefined when the holder belongs to somebody whose processes this account may not see. */
export type Holder = { readonly pid: number; readonly command: string };

const OFFSET_STEP = 1_000;
const OFFSETS_TRIED = 20;
const COMMAND_MAX = 80;
/** State LISTEN in /proc/net/tcp. */
const LISTENING = '0A';

/**
 * Fault `conflict` (reason `ports`) naming every port that cannot be had, its holder, and an offset that is free.
 * `portOffset` is the one that is part of the ports already.
 */
export async function claimPorts(wanted: readonly WantedPort[], portOffset?: number): Promise<void> {
  const refused: { want: WantedPort; code: string }[] = [];
  for (const want of wanted) {
    const code = await tryPort(want);
    if (code !== undefined) refused.push({ want, code });
  }
  if (refused.length === 0) return;
  const lines = refused.map(({ want, code }) => `  ${explain(want, code)}`);
  const isTaken = refused.some(({ code }) => code === 'EADDRINUSE');
  const further = isTaken ? await freeOffset(wanted) : undefined;
  const change = portOffset === undefined ? `a --port-offset that is ${further} higher` : `--port-offset ${portOffset + (further ?? 0)}`;
  const advice = further === undefined ? '' : `\nEnd what holds them, or start with ${change}: all ports are free there.`;
  throw new Fault('conflict', 'ports', `${refused.length === 1 ? 'A port' : 'Some ports'} cannot be used:\n${lines.join('\n')}${advice}`);
}

/** The Fault for a listener that failed after the check. */
export function portTaken(want: WantedPort, error: unknown): Fault {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return new Fault('conflict', 'ports', explain(want, code), { cause: error });
}

/** The process that listens on a TCP port of this machine, as far as this account may see. */
export function holderOf(port: number): Holder | undefined {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => listeners(path, port)));
  if (inodes.size === 0) return undefined;
  for (const pid of allPids()) {
    if (!socketsOf(pid).some((inode) => inodes.has(inode))) continue;
    const words = seenProcess(pid)?.command.join(' ') ?? '';
    return { pid, command: words.length > COMMAND_MAX ? `${words.slice(0, COMMAND_MAX)}…` : words };
  }
  return undefined;
}

function explain({ name, port, host }: WantedPort, code: string): string {
  const what = `port ${port} on ${host} (${name})`;
  switch (code) {
    case 'EADDRINUSE': {
      const holder = holderOf(port);
      return `${what} is taken by ${holder === undefined ? 'a process that this account cannot see' : `process ${holder.pid} (${holder.command})`}`;
    }
    case 'EACCES':
      return `${what} needs more rights: ports below ${textOf('/proc/sys/net/ipv4/ip_unprivileged_port_start').trim() || 1024} are root's`;
    case 'EADDRNOTAVAIL':
      return `${what} cannot be: this machine has no address ${host}`;
    default:
      return `${what} cannot be listened on: ${code}`;
  }
}

/** The error's code, or undefined when the port could be listened on; it is let go at once. */
function tryPort({ port, host }: WantedPort): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

async function freeOffset(wanted: readonly WantedPort[]): Promise<number | undefined> {
  for (let times = 1; times <= OFFSETS_TRIED; times++) {
    const offset = times * OFFSET_STEP;
    const moved = wanted.map((want) => ({ ...want, port: want.port + offset }));
    if (moved.some(({ port }) => port > 65_535)) continue;
    const codes = await Promise.all(moved.map(tryPort));
    if (codes.every((code) => code === undefined)) return offset;
  }
  return undefined;
}

/** Inodes of sockets that listen on the port, from a table of /proc/net: address, state and inode are columns 2, 4, 10. */
function listeners(path: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return textOf(path)
    .split('\n')
    .flatMap((line) => {
      const columns = line.trim().split(/\s+/);
      const isIt = columns[1]?.endsWith(`:${hex}`) === true && columns[3] === LISTENING;
      return isIt && columns[9] !== undefined ? [columns[9]] : [];
    });
}

function socketsOf(pid: number): string[] {
  let files: string[];
  try {
    files = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return []; // gone, or another account's
  }
  return files.flatMap((file) => /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${file}`) ?? '')?.[1] ?? []);
}
