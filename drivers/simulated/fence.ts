/**
 * The fence of a simulated hypervisor: a file beside its guests says whether their driver may write, and counts how often
 * guests were stopped. A driver that finds it closed refuses every verb; one that finds another count has guests in memory
 * that are not what the files say, and reads them anew. That is what a process gets that slept through its lease.
 */
import { mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../runtime/base/fault.ts';
import type { HostFence } from '../driver.ts';
import type { Guests } from './guests.ts';
import { parseRecord, renderRecord } from './record.ts';

const FILE = 'fence.json';
const SUFFIX = '.json';

type FenceState = { readonly isClosed: boolean; readonly count: number };

const NEVER: FenceState = { isClosed: false, count: 0 };

function readFence(directory: string): FenceState {
  let text: string;
  try {
    text = readFileSync(join(directory, FILE), 'utf8');
  } catch {
    return NEVER;
  }
  const [state, count] = text.trim().split(' ');
  return { isClosed: state === 'closed', count: Number(count) };
}

export function openSimulatedFence(directory: string): HostFence {
  const folder = join(directory, 'guests');
  return {
    async close() {
      const { isClosed, count } = readFence(directory);
      if (!isClosed) writeFence(directory, { isClosed: true, count: count + 1 });
      const stopped = stems(folder).filter((stem) => stopOne(folder, stem)).length;
      // A driver that began in between has read guests that still ran.
      const after = readFence(directory);
      if (stopped > 0) writeFence(directory, { ...after, count: after.count + 1 });
      return { stopped };
    },
    async open() {
      const { isClosed, count } = readFence(directory);
      if (isClosed) writeFence(directory, { isClosed: false, count });
    },
    async end() {},
  };
}

/** What a closed fence says to its driver is over: the driver that opens the directory begins anew. */
export function reopenFence(directory: string): void {
  const { isClosed, count } = readFence(directory);
  if (isClosed) writeFence(directory, { isClosed: false, count });
}

/** Guests that nobody touches while the fence is closed, read anew when it was. */
export function fencedGuests(directory: string, read: () => Guests): Guests {
  let { count } = readFence(directory);
  let guests = read();
  function now(): Guests {
    const fence = readFence(directory);
    if (fence.isClosed) throw new Fault('unavailable', 'host.fenced', 'The guests of the host were stopped, and it has not begun anew.');
    if (fence.count !== count) guests = read();
    count = fence.count;
    return guests;
  }
  return {
    find: (instanceId) => now().find(instanceId),
    aside: (instanceId, generation) => now().aside(instanceId, generation),
    setAside: (slot) => now().setAside(slot),
    takeBack: (record) => now().takeBack(record),
    removeAside: (slot) => now().removeAside(slot),
    named: (name) => now().named(name),
    all: () => now().all(),
    memoryInUseMiB: () => now().memoryInUseMiB(),
    read: (slot) => now().read(slot),
    put: (record) => now().put(record),
    remove: (slot) => now().remove(slot),
  };
}

function writeFence(directory: string, { isClosed, count }: FenceState): void {
  mkdirSync(directory, { recursive: true });
  const draft = join(directory, `${FILE}.${process.pid}`);
  writeFileSync(draft, `${isClosed ? 'closed' : 'open'} ${count}\n`);
  renameSync(draft, join(directory, FILE));
}

function stems(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(SUFFIX));
  } catch {
    return []; // never opened by a driver: nothing can run
  }
}

/** Ours alone; a foreign guest is not ours to stop. */
function stopOne(folder: string, name: string): boolean {
  const path = join(folder, name);
  const record = parseRecord(readFileSync(path, 'utf8'));
  if (record.instanceId === null || record.power === 'shutdown' || record.power === 'crashed' || record.power === 'suspended') return false;
  const draft = join(folder, `fenced.${process.pid}`);
  writeFileSync(draft, renderRecord({ ...record, power: 'shutdown', fenced: true }));
  renameSync(draft, path);
  return true;
}
