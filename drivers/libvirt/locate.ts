/**
 * Which libvirt is driven when the settings don't say: root's is the machine's (`qemu:///system`), anybody else's their
 * own (`qemu:///session`), since only root can share files with the machine's QEMU user. Of the sockets of one URI the
 * first that answers is taken. Reads only; it starts no daemon.
 */
import { firstAnswering, libvirtSockets, type Endpoint } from './connection.ts';
import { unreachableHypervisor } from './errors.ts';

export type LibvirtPlace = { readonly uri: string; readonly endpoint: Endpoint };

export type Wish = {
  readonly uri?: string;
  readonly socketPath?: string;
  readonly tcp?: { readonly host: string; readonly port: number };
};

type Surroundings = { readonly environment?: NodeJS.ProcessEnv; readonly uid?: number };

/** Fault `unavailable` when no socket answers; one that was named is not tried here. */
export async function locateLibvirt(wish: Wish, around: Surroundings = {}): Promise<LibvirtPlace> {
  const uri = uriOf(wish, around);
  if (wish.tcp !== undefined) return { uri, endpoint: wish.tcp };
  if (wish.socketPath !== undefined) return { uri, endpoint: { path: wish.socketPath } };
  const candidates = socketsOf(uri, around);
  const path = await firstAnswering(candidates);
  if (path === undefined) throw unreachableHypervisor(`no socket answers: ${candidates.join(', ') || 'none is known'}`);
  return { uri, endpoint: { path } };
}

/** Why nothing answers and what to do, for the operator. */
export function absence(wish: Wish, around: Surroundings = {}): string {
  const uri = uriOf(wish, around);
  const tried = wish.tcp !== undefined ? [`${wish.tcp.host}:${wish.tcp.port}`] : wish.socketPath !== undefined ? [wish.socketPath] : socketsOf(uri, around);
  if (tried.length === 0) return `it is not known where ${uri} listens, since XDG_RUNTIME_DIR is not set`;
  return `no libvirt answers at ${tried.join(' or ')}`;
}

export function adviceOf(wish: Wish): string {
  const how = uriOf(wish).includes(':///session') ? 'virsh -c qemu:///session list' : 'systemctl start libvirtd';
  return `Start libvirt (${how}; Debian has it in libvirt-daemon-system, qemu-system-x86 and qemu-utils): the host comes up by itself within seconds.`;
}

function uriOf(wish: Wish, { uid = process.getuid?.() ?? 0 }: Surroundings = {}): string {
  return wish.uri ?? (uid === 0 ? 'qemu:///system' : 'qemu:///session');
}

function socketsOf(uri: string, { environment = process.env }: Surroundings): string[] {
  const sockets = libvirtSockets(environment);
  return uri.includes(':///session') ? sockets.session : sockets.system;
}
