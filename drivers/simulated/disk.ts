/**
 * Where guests outlive their driver. A shelf holds one small text for each guest, by stem (`<instance id>`).
 * Each write replaces the whole text at once: whoever opens the shelf after a crash reads the old text or the new.
 * Writes are synchronous on purpose: a verb changes memory and shelf in one step that nothing can interrupt.
 * The file twin is in file-disk.ts; the one here is for tests, which keep it while its driver "crashes".
 */
import { Fault } from '../../runtime/base/fault.ts';

export interface GuestDisk {
  /**
   * Takes the disk for one driver. Fault `conflict` when a living process has it; the memory twin takes it away
   * from the former driver instead, whose next write then fails.
   */
  take(): Promise<GuestShelf>;
}

/** Faults of every verb: `overloaded` (no space left), `unavailable` (anything else that the disk says). */
export interface GuestShelf {
  stems(): string[];
  read(stem: string): string;
  write(stem: string, text: string): void;
  /** No error when it is gone already. */
  remove(stem: string): void;
  /** Takes a text that cannot be parsed out of `stems`; the file twin keeps it for the operator. */
  setAside(stem: string): void;
  /** Lets another driver take the disk. */
  release(): void;
}

/** Survives its drivers as long as it is referenced; the last driver that took it owns it. */
export function memoryDisk(): GuestDisk {
  const texts = new Map<string, string>();
  let owner: object | undefined;

  return {
    async take() {
      const me = {};
      owner = me;
      const own = <T>(act: () => T): T => {
        if (owner === me) return act();
        throw new Fault('unavailable', 'host.disk', 'Another driver has taken this hypervisor.');
      };
      return {
        stems: () => own(() => [...texts.keys()]),
        read: (stem) => own(() => readText(texts, stem)),
        write: (stem, text) => own(() => void texts.set(stem, text)),
        remove: (stem) => own(() => void texts.delete(stem)),
        setAside: (stem) => own(() => void texts.delete(stem)),
        release() {
          if (owner === me) owner = undefined;
        },
      };
    },
  };
}

function readText(texts: ReadonlyMap<string, string>, stem: string): string {
  const text = texts.get(stem);
  if (text === undefined) throw new Fault('unavailable', 'host.disk', 'The state of the guest is gone from its disk.');
  return text;
}
