/**
 * What every route of the Compute API is given: the doors to actors, identity and images, and the brief caches in
 * front of them. Nothing here knows a route.
 */
import type { NetworkRecord } from '../../actors/model/addressing.ts';
import type { Flavor } from '../../actors/model/flavor.ts';
import { QUOTA_DEFAULTS } from '../../actors/model/quota.ts';
import type { QuotaLimits } from '../../actors/model/quota.ts';
import { CONDUCTOR } from '../../actors/conductor/messages.ts';
import type { HostView } from '../../actors/conductor/messages/read.ts';
import type { Actors } from '../../runtime/actor/ask.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { Random } from '../../runtime/base/random.ts';
import type { TokenChecker } from '../kit/auth.ts';
import { BODY_MAX } from '../kit/body.ts';
import { BriefCache } from '../kit/brief-cache.ts';
import type { Call } from '../kit/call.ts';
import { FragmentCache } from '../kit/fragment.ts';
import type { CatalogImage, ImageCatalog } from '../kit/image-catalog.ts';
import { PAGE_MAX } from '../kit/paging.ts';
import { openPolicy } from '../kit/policy.ts';
import type { Policy, RuleTable } from '../kit/policy.ts';
import type { ProjectCatalog } from '../kit/keystone-projects.ts';
import type { AnyRoute, Route } from '../kit/route.ts';
import { KNOWN_RULES, POLICY_OPTIONS } from './further-rules.ts';
import { type RateLimit, RateLimits } from './rate-limits.ts';
import type { Rule } from './rules.ts';

export type ComputeSettings = {
  /** Shown in `WWW-Authenticate`: where tokens come from. */
  readonly identityUrl: string;
  /** Where the image service is reached by users; used in `alternate` links of the image proxy. */
  readonly imageUrl: string;
  /** Replaces scheme and host in links; null: as the client asked. */
  readonly linkPrefix: string | null;
  /** Whether `X-Forwarded-*` of the peer are believed. */
  readonly behindProxy: boolean;
  /** Changes of policy rules. */
  readonly policy: RuleTable;
  /** What a generated ssh key pair is. */
  readonly keyPairAlgorithm: 'rsa' | 'ed25519';
  /** Limits of projects for which nothing else was set. */
  readonly quotas: QuotaLimits;
  /** How often a project may ask this node; none: as often as it likes. */
  readonly rateLimits: readonly RateLimit[];
  /** The longest page of a list. */
  readonly pageMax: number;
  readonly bodyMaxBytes: number;
  /** A placement that found nobody for so long has failed. */
  readonly placeLimitMs: number;
  /** A host is down when its beat is older. */
  readonly hostDownMs: number;
  /** What the usage audit counts by. */
  readonly auditPeriod: 'hour' | 'day' | 'month' | 'year';
};

export const COMPUTE_DEFAULTS: ComputeSettings = {
  identityUrl: 'http://127.0.0.1:5000/v3',
  imageUrl: 'http://127.0.0.1:9292',
  linkPrefix: null,
  behindProxy: false,
  policy: {},
  keyPairAlgorithm: 'rsa',
  quotas: QUOTA_DEFAULTS,
  rateLimits: [],
  pageMax: PAGE_MAX,
  bodyMaxBytes: BODY_MAX,
  placeLimitMs: 30_000,
  hostDownMs: 60_000,
  auditPeriod: 'month',
};

/** Counts and times of served requests; filled by `http/health.ts`. */
export interface RequestMeter {
  served(route: string, method: string, status: number, seconds: number): void;
}

export type ComputeNeeds = {
  readonly actors: Actors;
  readonly tokens: TokenChecker;
  readonly images: ImageCatalog;
  /** Where it is known which projects there are; without it nobody asks. */
  readonly projects?: ProjectCatalog;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly settings: ComputeSettings;
  readonly meter?: RequestMeter;
  /** Shared with other doors of this node; otherwise made from the settings. */
  readonly policy?: Policy<Rule>;
};

/** How long look-ups are believed. Short enough that an administrator sees a change at once. */
const BRIEF_MS = 2_000;
const HOSTS_MS = 1_000;
const ENTRIES_MAX = 2_000;

export type ComputeParts = ComputeNeeds & {
  readonly policy: Policy<Rule>;
  readonly rates: RateLimits;
  readonly fragments: FragmentCache;
  readonly caches: {
    readonly flavors: BriefCache<Flavor | null>;
    readonly images: BriefCache<CatalogImage | null>;
    readonly networks: BriefCache<readonly NetworkRecord[]>;
    readonly hosts: BriefCache<readonly HostView[]>;
    readonly zones: BriefCache<readonly { name: string; available: boolean; hosts: readonly string[] }[]>;
    readonly limits: BriefCache<QuotaLimits>;
  };
};

/** The rules of the Compute API with an operator's changes. Fault `invalid` when they are wrong. */
export function openComputePolicy(changes: RuleTable): Policy<Rule> {
  return openPolicy(KNOWN_RULES, changes, POLICY_OPTIONS);
}

export function openParts(needs: ComputeNeeds): ComputeParts {
  const cache = <T>(ttlMs: number): BriefCache<T> => new BriefCache<T>(needs.clock, { ttlMs, max: ENTRIES_MAX });
  return {
    ...needs,
    policy: needs.policy ?? openComputePolicy(needs.settings.policy),
    rates: new RateLimits(needs.settings.rateLimits, needs.clock),
    fragments: new FragmentCache(),
    caches: {
      flavors: cache(BRIEF_MS),
      images: cache(BRIEF_MS),
      networks: cache(BRIEF_MS),
      hosts: cache(HOSTS_MS),
      zones: cache(HOSTS_MS),
      limits: cache(BRIEF_MS),
    },
  };
}

export type ComputeRoute = AnyRoute<ComputeParts, Rule>;

/** Gives a route its types; the table forgets what `find` found. */
export function route<Found = undefined>(definition: Route<ComputeParts, Rule, Found>): ComputeRoute {
  return definition;
}

/** The flavor as this caller may see it. */
export function flavorOf(parts: ComputeParts, call: Call, flavorId: string): Promise<Flavor | null> {
  const projectId = call.caller.isAdmin ? null : call.caller.projectId;
  return parts.caches.flavors.take(`${projectId ?? ''}/${flavorId}`, () => parts.actors.ask(CONDUCTOR, { type: 'showFlavor', flavorId, projectId }));
}

export function imageOf(parts: ComputeParts, call: Call, imageId: string): Promise<CatalogImage | null> {
  const { projectId, isAdmin } = call.caller;
  return parts.caches.images.take(`${isAdmin ? '' : projectId}/${imageId}`, () => parts.images.show(imageId, call.token, AbortSignal.timeout(IMAGE_ASK_MS)));
}

const IMAGE_ASK_MS = 5_000;

export function networksOf(parts: ComputeParts, projectId: string): Promise<readonly NetworkRecord[]> {
  return parts.caches.networks.take(projectId, () => parts.actors.ask(CONDUCTOR, { type: 'listNetworks', projectId }));
}

export function hostsNow(parts: ComputeParts): Promise<readonly HostView[]> {
  return parts.caches.hosts.take('', () => parts.actors.ask(CONDUCTOR, { type: 'listHosts' }));
}

export function zonesNow(parts: ComputeParts): Promise<readonly { name: string; available: boolean; hosts: readonly string[] }[]> {
  return parts.caches.zones.take('', () => parts.actors.ask(CONDUCTOR, { type: 'listZones' }));
}

/** Of a user in a project: the user's own where they are set. */
export function limitsOf(parts: ComputeParts, { projectId, userId }: { projectId: string; userId: string }): Promise<QuotaLimits> {
  const read = async (): Promise<QuotaLimits> => (await parts.actors.ask(CONDUCTOR, { type: 'showQuota', projectId, userId })).limits;
  return parts.caches.limits.take(`${projectId} ${userId}`, read);
}
