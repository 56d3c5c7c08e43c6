/**
 * Images that an operator wants on this host ahead of time. One after the other: what runs here already must not starve
 * for it. What cannot be had is given up and said in the log; what may come back is left for the next look.
 */
import type { Actors } from '../../runtime/actor/ask.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { GuestImage, HypervisorDriver } from '../../drivers/driver.ts';
import { CONDUCTOR } from '../conductor/messages.ts';

type Parts = { readonly driver: HypervisorDriver; readonly actors: Actors; readonly log: Log };

/** Lists that are taken up in one go: each is shorter by what was done, so this only ends a loop that would not. */
const LISTS_MAX = 64;
const LATER = ['unavailable', 'overloaded', 'timeout', 'cancelled'] as const;

export async function fetchImages(parts: Parts, host: string, signal: AbortSignal): Promise<object> {
  for (let lists = 0; lists < LISTS_MAX; lists++) {
    const wanted = await parts.actors.ask(CONDUCTOR, { type: 'hostWantedImages', host }, { signal });
    if (wanted.length === 0) break;
    for (const image of wanted) {
      await fetchOne(parts, host, image, signal);
      await parts.actors.ask(CONDUCTOR, { type: 'hostImageDone', host, imageId: image.id }, { signal });
    }
  }
  return {};
}

async function fetchOne({ driver, log }: Parts, host: string, image: GuestImage, signal: AbortSignal): Promise<void> {
  try {
    await driver.fetchImage?.(image, signal);
    log.info('image fetched ahead of time', { host, imageId: image.id, isKept: driver.fetchImage !== undefined });
  } catch (error) {
    if (signal.aborted || LATER.some((code) => Fault.is(error, code))) throw error;
    log.warn('image cannot be fetched ahead of time', { host, imageId: image.id, error });
  }
}
