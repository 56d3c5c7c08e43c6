/**
 * The way to image bytes at any Image v2 service: its address, from the settings or the catalog, and the token of the
 * cloud's own service account, which is what a real Image service takes for a ticket.
 */
import { Fault } from '../../runtime/base/fault.ts';
import type { ServiceSession } from './keystone.ts';

/** Without `/v2`. Fault `unavailable` when the catalog names none. */
export async function imageServiceUrl(session: ServiceSession, configured: string | undefined): Promise<string> {
  const url = configured ?? (await session.token()).endpoint('image');
  if (url === undefined) throw new Fault('unavailable', 'image.noEndpoint', 'The catalog names no image service.');
  return url.replace(/\/+$/, '').replace(/\/v2$/, '');
}

/** `again`: the token that was given last was refused, so that a new one is made. */
export async function glanceWay(
  session: ServiceSession,
  imageId: string,
  options: { readonly url: string | undefined; readonly again: boolean },
): Promise<{ readonly urls: readonly string[]; readonly token: string; readonly expiresAtMs: number }> {
  if (options.again) session.forget();
  const base = await imageServiceUrl(session, options.url);
  const { token, expiresAtMs } = await session.token();
  return { urls: [`${base}/v2/images/${encodeURIComponent(imageId)}/file`], token, expiresAtMs };
}
