/**
 * The fence of a libvirt host: pulls the plug of every domain that carries our mark, over connections of its own. The
 * hypervisor itself refuses nobody afterwards: a driver that slept through its lease asks before it starts a guest
 * (actors/host/lease.ts), and what it started in the very moment is stopped when this is asked again.
 */
import type { Clock } from '../../runtime/base/clock.ts';
import type { Log } from '../../runtime/base/log.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { HostFence } from '../driver.ts';
import { LibvirtConnection } from './connection.ts';
import { Domains, type Domain } from './domains.ts';
import { locateLibvirt, type Wish } from './locate.ts';

/** Plugs pulled at once: all must be out within the host's lease. */
const CUTS_AT_ONCE = 16;

type Connected = { readonly short: LibvirtConnection; readonly slow: LibvirtConnection; readonly domains: Domains };

export function openLibvirtFence({ clock, log, ...wish }: Wish & { readonly clock: Clock; readonly log: Log }): HostFence {
  let connected: Connected | undefined;

  /** When it is needed, and not before: a guard that waits holds no place in libvirtd. */
  async function connect(): Promise<Connected> {
    if (connected) return connected;
    const { uri, endpoint } = await locateLibvirt(wish);
    const [short, slow] = [new LibvirtConnection({ endpoint, uri, clock, log }), new LibvirtConnection({ endpoint, uri, clock, log })];
    return (connected = { short, slow, domains: new Domains({ short, slow, clock }) });
  }

  async function cut(domains: Domains, dom: Domain, signal: AbortSignal): Promise<boolean> {
    const isOurs = (await domains.generation(dom, signal)) !== undefined;
    if (!isOurs || isOff(await domains.power(dom, signal))) return false;
    await domains.cut(dom, signal);
    const power = await domains.power(dom, signal);
    if (!isOff(power)) throw new Fault('unavailable', 'host.fence', 'A guest still runs.', { detail: { guest: dom.name, power } });
    return true;
  }

  return {
    async close(signal) {
      const { domains } = await connect();
      const rest = [...(await domains.all(signal))];
      let stopped = 0;
      const work = async (): Promise<void> => {
        for (let dom = rest.pop(); dom !== undefined; dom = rest.pop()) if (await cut(domains, dom, signal)) stopped++;
      };
      const ends = await Promise.allSettled(Array.from({ length: CUTS_AT_ONCE }, work));
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed) throw failed.reason;
      return { stopped };
    },
    async open() {},
    async end() {
      await Promise.all([connected?.short.close(), connected?.slow.close()]);
    },
  };
}

function isOff(power: string): boolean {
  return power === 'shutdown' || power === 'crashed';
}
