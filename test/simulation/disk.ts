/**
 * The disk of a simulated hypervisor: outlives its drivers, tells every change in the moment in which it is made, and
 * can be taken away from its driver by what ends guests from outside: the power of the machine, or a guard.
 */
import type { GuestDisk, GuestShelf } from '../../drivers/simulated/disk.ts';
import { Fault } from '../../runtime/base/fault.ts';

export type SeenGuest = {
  readonly host: string;
  readonly stem: string;
  readonly instanceId: string;
  readonly generation: number;
  readonly power: string;
  readonly asleep?: string;
  readonly disk?: string;
};

export type SimDisk = GuestDisk & {
  /** A driver has it. */
  isTaken(): boolean;
  /** Nobody who has taken the disk so far reads or writes it any more. */
  putOff(): void;
  /** No guest runs; each keeps its disk. Answers with how many did. */
  stopAll(): number;
};

export function openSimDisk(host: string, seen: (guest: SeenGuest | { readonly host: string; readonly gone: string }) => void): SimDisk {
  const texts = new Map<string, string>();
  let owner: object | undefined;

  function write(stem: string, text: string): void {
    texts.set(stem, text);
    const { instanceId, generation, power, asleep, disk } = JSON.parse(text) as SeenGuest; // the driver's own text
    seen({ host, stem, instanceId, generation, power, ...(asleep !== undefined && { asleep }), ...(disk !== undefined && { disk }) });
  }

  function remove(stem: string): void {
    if (texts.delete(stem)) seen({ host, gone: stem });
  }

  return {
    async take(): Promise<GuestShelf> {
      const me = {};
      owner = me;
      const own = <T>(act: () => T): T => {
        if (owner === me) return act();
        throw new Fault('unavailable', 'host.disk', 'Another driver has taken this hypervisor.');
      };
      return {
        stems: () => own(() => [...texts.keys()]),
        read: (stem) => own(() => texts.get(stem) ?? ''),
        write: (stem, text) => own(() => write(stem, text)),
        remove: (stem) => own(() => remove(stem)),
        setAside: (stem) => own(() => remove(stem)),
        release() {
          if (owner === me) owner = undefined;
        },
      };
    },
    isTaken: () => owner !== undefined,
    putOff: () => (owner = undefined),
    stopAll() {
      let stopped = 0;
      for (const [stem, text] of texts) {
        const guest = JSON.parse(text) as SeenGuest;
        if (guest.power !== 'running' && guest.power !== 'paused') continue; // what is saved stays saved
        write(stem, JSON.stringify({ ...guest, power: 'shutdown' }));
        stopped += 1;
      }
      return stopped;
    },
  };
}
