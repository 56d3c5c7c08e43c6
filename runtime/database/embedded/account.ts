/**
 * Under whose account the server runs. PostgreSQL refuses to run as root, so for root the ways are tried in order,
 * the one that opens least first:
 *
 * 1. `user namespace`: inside, root's files belong to an ordinary account; works below closed folders too.
 * 2. `account <name>`: another account of the machine; the store's folder is given to it, and every folder above the
 *    store and the programs must let it pass.
 * 3. `account <name>, passing closed folders`: the same with one capability of root kept.
 *
 * An ordinary account runs the server as itself, or by a user namespace when the machine has no name for its number.
 * Never changes the rights of a folder that is not ours.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lchownSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Fault } from '../../base/fault.ts';

/** How a command is started so that it runs under the account. */
export type Command = { readonly program: string; readonly args: readonly string[]; readonly uid?: number; readonly gid?: number };

export type Account = {
  /** For log lines. */
  readonly way: string;
  /** Owner of the files, as seen from outside. */
  readonly uid: number;
  readonly gid: number;
  command(program: string, args: readonly string[]): Command;
};

export type Way = 'itself' | 'namespace' | 'account' | 'capability';
export const WAYS: readonly Way[] = ['itself', 'namespace', 'account', 'capability'];

type Place = {
  /** Absolute, exists; given to the account that is chosen. */
  readonly storeDir: string;
  /** Our own folder around it, which may be opened (search only) to the account's group. */
  readonly within: string | undefined;
  /** The program that must run. */
  readonly postgres: string;
  readonly environment: { readonly [name: string]: string };
};

const PROBE_MS = 20_000;
/** Accounts that root prefers to lend; any other with a name will do for a namespace. */
const PREFERRED = ['postgres', 'nobody'];

/** Fault `unsupported` (reason `store.account`) that tells for each way why it failed. */
export function chooseAccount(place: Place, ways: readonly Way[] = WAYS): Account {
  const failed: string[] = [];
  for (const way of ways) {
    const account = accountOf(way);
    if (account === undefined) continue;
    const why = tryAccount(account, place);
    if (why === undefined) return account;
    failed.push(`${account.way}: ${why}`);
  }
  const root = process.getuid?.() === 0;
  const message =
    `PostgreSQL cannot be started ${root ? 'by root, and no other account could be used' : 'under this account'} (${failed.join('; ') || 'no way is open to it'}). ` +
    (root
      ? 'Start novact as an ordinary user, or put it and its data folder where other accounts may pass, or name a PostgreSQL server in the setting database.url.'
      : `Give the folder to this account (chown -R ${process.getuid?.()} ${place.storeDir}), choose another with --data, or name a PostgreSQL server in the setting database.url.`);
  throw new Fault('unsupported', 'store.account', message);
}

function accountOf(way: Way): Account | undefined {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  switch (way) {
    case 'itself':
      if (uid === 0 || !hasName()) return undefined;
      return { way: 'its own account', uid, gid, command: (program, args) => ({ program, args }) };
    case 'namespace': {
      const inside = lentAccount();
      if (inside === undefined) return undefined;
      const map = ['--user', `--map-user=${inside.uid}`, `--map-group=${inside.gid}`, '--'];
      return { way: 'user namespace', uid, gid, command: (program, args) => ({ program: 'unshare', args: [...map, program, ...args] }) };
    }
    case 'account': {
      const other = uid === 0 ? lentAccount() : undefined;
      if (other === undefined) return undefined;
      return { way: `account ${other.name}`, uid: other.uid, gid: other.gid, command: (program, args) => ({ program, args, uid: other.uid, gid: other.gid }) };
    }
    case 'capability': {
      const other = uid === 0 ? lentAccount() : undefined;
      const capability = heldCapability();
      if (other === undefined || capability === undefined) return undefined;
      const drop = [
        `--reuid=${other.uid}`,
        `--regid=${other.gid}`,
        '--clear-groups',
        `--inh-caps=-all,+${capability}`,
        `--ambient-caps=-all,+${capability}`,
        `--bounding-set=-all,+${capability}`,
      ];
      return {
        way: `account ${other.name}, passing closed folders`,
        uid: other.uid,
        gid: other.gid,
        command: (program, args) => ({ program: 'setpriv', args: [...drop, program, ...args] }),
      };
    }
  }
}

/** Undefined when the account can run the program with the store's folder; else why not. */
function tryAccount(account: Account, { storeDir, within, postgres, environment }: Place): string | undefined {
  if (process.getuid?.() === 0) {
    own(storeDir, account);
    if (within !== undefined && account.uid !== 0) letPass(within, account);
  }
  const script = 'cd "$1" && test -w . && exec "$2" --version';
  const { program, args, uid, gid } = account.command('/bin/sh', ['-c', script, 'sh', storeDir, postgres]);
  const result = spawnSync(program, args, {
    cwd: '/',
    env: environment,
    timeout: PROBE_MS,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  if (result.error !== undefined) return result.error.message;
  if (result.status !== 0) return lastLine(result.stderr) || `ended with ${result.status ?? result.signal}`;
  return undefined;
}

/** Gives the store to the account, all of it when its owner was another. Only root can. */
function own(path: string, account: Account): void {
  const { uid, gid } = statSync(path);
  if (uid === account.uid && gid === account.gid) return;
  // The top goes last, so that a run cut short in the middle is done again.
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    lchownSync(join(entry.parentPath, entry.name), account.uid, account.gid);
  }
  chownSync(path, account.uid, account.gid);
}

function letPass(folder: string, account: Account): void {
  const { mode } = statSync(folder);
  chownSync(folder, -1, account.gid);
  chmodSync(folder, (mode & 0o700) | 0o010);
}

/** An account of this machine that is not root: initdb asks for a name, so a bare number is not enough. */
function lentAccount(): { name: string; uid: number; gid: number } | undefined {
  const accounts = readText('/etc/passwd').flatMap((line) => {
    const [name = '', , uid, gid] = line.split(':');
    const account = { name, uid: Number(uid), gid: Number(gid) };
    return name !== '' && account.uid > 0 && Number.isSafeInteger(account.uid) && Number.isSafeInteger(account.gid) ? [account] : [];
  });
  for (const name of PREFERRED) {
    const found = accounts.find((account) => account.name === name);
    if (found) return found;
  }
  return accounts[0];
}

/** False in a container that was given a bare number. */
function hasName(): boolean {
  try {
    userInfo();
    return true;
  } catch {
    return false;
  }
}

/** The capability that lets another account search closed folders, if this process has one to keep. */
function heldCapability(): 'dac_read_search' | 'dac_override' | undefined {
  const line = readText('/proc/self/status').find((text) => text.startsWith('CapPrm:'));
  const held = BigInt(`0x${line?.split('\t')[1]?.trim() || '0'}`);
  if ((held >> 2n) & 1n) return 'dac_read_search';
  return (held >> 1n) & 1n ? 'dac_override' : undefined;
}

function readText(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
