/** Whether a project exists, as the Identity service says to the caller. Who may not ask, or asks in vain, learns nothing. */
import { Fault } from '../../runtime/base/fault.ts';
import { askOutside } from './outside-json.ts';

export interface ProjectCatalog {
  /** false: there is none for certain; null: nobody knows. */
  exists(projectId: string, token: string, signal: AbortSignal): Promise<boolean | null>;
}

const ASK_MS = 3_000;

/** `url` ends with `/v3`. */
export function openKeystoneProjects(url: string): ProjectCatalog {
  return {
    async exists(projectId, token, signal) {
      try {
        const asked = { service: 'identity', url: `${url}/projects/${encodeURIComponent(projectId)}`, headers: { 'x-auth-token': token } };
        const { status } = await askOutside({ ...asked, signal, timeoutMs: ASK_MS });
        return status === 200 ? true : status === 404 ? false : null;
      } catch (thrown) {
        if (Fault.is(thrown, 'unavailable')) return null;
        throw thrown;
      }
    },
  };
}
