/**
 * Opens the services that a node answers: embedded Identity and Image, the Compute API with its streams, health. Each
 * is a listener; what it takes to stop one is what opening it returns.
 */
import type { EventFeed } from '../actors/model/event.ts';
import type { QuotaLimits } from '../actors/model/quota.ts';
import type { Actors } from '../runtime/actor/ask.ts';
import type { Clock } from '../runtime/base/clock.ts';
import type { Log } from '../runtime/base/log.ts';
import type { Random } from '../runtime/base/random.ts';
import { COMPUTE_DEFAULTS, type ComputeSettings, openComputePolicy } from './compute/parts.ts';
import type { RateLimit } from './compute/rate-limits.ts';
import type { Rule } from './compute/rules.ts';
import { watcherOf } from './compute/watcher.ts';
import { computeApi } from './compute/router.ts';
import { identityApi, IDENTITY_SETTINGS } from './embedded/identity/api.ts';
import { seedIdentity } from './embedded/identity/seed.ts';
import { imageApi, IMAGE_SETTINGS } from './embedded/image/api.ts';
import { seedImage } from './embedded/image/seed.ts';
import { openTickets } from './embedded/image/ticket.ts';
import { healthDoor, openMetrics, type HealthCheck } from './health.ts';
import { openGlanceImages } from './kit/glance-images.ts';
import { openKeystoneProjects } from './kit/keystone-projects.ts';
import { openKeystoneTokens, type ServiceToken } from './kit/keystone-tokens.ts';
import type { Caller, TokenChecker } from './kit/auth.ts';
import type { Policy } from './kit/policy.ts';
import { readPolicyFile, watchPolicyFile } from './kit/policy-file.ts';
import { openListener, type ListenerOptions } from './server.ts';
import { STREAM_DEFAULTS } from './stream/limits.ts';
import { openStatusStream } from './stream/stream.ts';

export type DoorSettings = {
  /** What services listen on, what other nodes call, and what clients are told to call. */
  readonly bind: string;
  readonly nodeAddress: string;
  readonly publicAddress: string;
  readonly region: string;
  readonly ports: { readonly identity: number; readonly image: number; readonly compute: number; readonly health: number };
  /** Other processes of this machine listen on the same ones, but for health. */
  readonly sharePorts: boolean;
  /** Where tokens are checked, embedded or not, with `/v3`. */
  readonly identityUrl: string;
  /** Of the account by which we ask there. */
  readonly serviceToken: ServiceToken;
  /** What the catalog says of images; undefined: nothing. */
  readonly shownImageUrl: string | undefined;
  /** Where images are looked up. */
  readonly imageUrl: string | (() => Promise<string>);
  readonly quotas: QuotaLimits;
  readonly rateLimits: readonly RateLimit[];
  readonly pageMax: number;
  readonly bodyMaxBytes: number;
  readonly imageMaxBytes: number;
  readonly placeLimitMs: number;
  readonly hostDownMs: number;
  readonly auditPeriod: ComputeSettings['auditPeriod'];
  /** Origins of pages that may open a stream. */
  readonly streamOrigins: readonly string[];
  /** Changes of policy rules; undefined: the defaults hold. */
  readonly policyFile: string | undefined;
};

export type DoorParts = {
  /** This node's name. */
  readonly node: string;
  readonly actors: Actors;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly settings: DoorSettings;
};

/** Ends what was opened. */
export type CloseDoor = () => Promise<void>;

export class Doors {
  readonly #parts: DoorParts;
  readonly #metrics = openMetrics({ processMetrics: true });
  readonly #services: { name: string; url: string }[] = [];
  #adminProjectId: string | undefined;

  constructor(parts: DoorParts) {
    this.#parts = parts;
  }

  /** What listens, for people. */
  get services(): readonly { readonly name: string; readonly url: string }[] {
    return this.#services;
  }

  /** The embedded Identity service, with its first accounts and the catalog. */
  async openIdentity(passwords: { admin: string; demo: string; service: string }): Promise<CloseDoor> {
    const { actors, clock, random, log, settings } = this.#parts;
    const { ports, region, shownImageUrl } = settings;
    const seeded = await seedIdentity(actors, {
      adminPassword: passwords.admin,
      demoPassword: passwords.demo,
      servicePassword: passwords.service,
      region,
      random,
      endpoints: [
        { type: 'identity', name: 'keystone', url: '{identity}/v3' },
        { type: 'compute', name: 'nova', url: '{compute}/v2.1' },
        { type: 'image', name: 'glance', url: '{image}' },
      ],
    });
    this.#adminProjectId = seeded.adminProjectId;
    const image = shownImageUrl === undefined ? {} : { image: shownImageUrl };
    const addresses = { identity: this.#base(ports.identity), compute: this.#base(ports.compute), ...image };
    const app = identityApi({ actors, clock, random, log, settings: { ...IDENTITY_SETTINGS, addresses } });
    return this.#listen('Identity', '/v3', { name: 'identity', port: ports.identity, app });
  }

  /** The embedded Image service; its bytes are files below `blobs`, and those of the nodes that have the same ticket key. */
  async openImage(blobs: string, ticketKey: string): Promise<CloseDoor> {
    const { node, actors, clock, random, log, settings } = this.#parts;
    const url = baseUrl(settings.nodeAddress, settings.ports.image);
    if (this.#adminProjectId !== undefined) await seedImage(actors, { blobs, owner: this.#adminProjectId, clock, random, node, url });
    const tokens = this.#tokens();
    const { app, close: closeApi } = await imageApi({
      actors,
      node,
      url,
      tickets: openTickets(ticketKey, clock),
      blobs,
      clock,
      random,
      log,
      tokens: (token, signal) => tokens.check(token, signal),
      settings: { ...IMAGE_SETTINGS, sizeMaxBytes: settings.imageMaxBytes },
    });
    const close = await this.#listen('Image', '', { name: 'image', port: settings.ports.image, app, limits: { requestMs: 0 } }).catch(
      async (error: unknown) => {
        await closeApi();
        throw error;
      },
    );
    return async () => {
      await close();
      await closeApi();
    };
  }

  /** The Compute API and, on the same port, the status streams. */
  async openCompute(feed: EventFeed): Promise<CloseDoor> {
    const { actors, clock, random, log, settings } = this.#parts;
    const { ports, identityUrl, quotas, rateLimits, pageMax, bodyMaxBytes, placeLimitMs, hostDownMs, auditPeriod } = settings;
    const tokens = this.#tokens();
    const policy = this.#openPolicy();
    const images = openGlanceImages({ url: settings.imageUrl });
    const limits = { quotas, rateLimits, pageMax, bodyMaxBytes, placeLimitMs, hostDownMs, auditPeriod };
    const compute = { ...COMPUTE_DEFAULTS, identityUrl, imageUrl: this.#base(ports.image), ...limits };
    const projects = openKeystoneProjects(identityUrl);
    const door = computeApi({ actors, tokens, images, projects, clock, random, log, settings: compute, meter: this.#metrics, policy });
    const streams = { ...STREAM_DEFAULTS, origins: settings.streamOrigins };
    const rights = (caller: Caller): Caller | null => watcherOf(policy, caller);
    const stream = openStatusStream({ actors, feed, tokens, rights, clock, random, log, settings: streams });
    const close = await this.#listen('Compute', '/v2.1', {
      name: 'compute',
      port: ports.compute,
      app: async (request, response) => {
        if (!stream.handleRequest(request, response)) await door(request, response);
      },
      upgrade: (request, socket, head) => {
        if (!stream.handleUpgrade(request, socket, head)) socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
      },
    });
    const { policyFile } = settings;
    const watch = policyFile === undefined ? undefined : watchPolicyFile(policyFile, { clock, log }, (changes) => policy.replace(changes));
    return async () => {
      watch?.close();
      await stream.close();
      await close();
    };
  }

  /** `/health` and `/metrics`, on every node whatever its roles. */
  openHealth(checks: { readonly [part: string]: HealthCheck }): Promise<CloseDoor> {
    const { clock, settings } = this.#parts;
    const app = healthDoor({ checks, registry: this.#metrics.registry, clock });
    return this.#listen('Health', '/health', { name: 'health', port: settings.ports.health, app });
  }

  /** One for all doors of this node. Fault `invalid` (reason `config.policy`) when the file is wrong. */
  #openPolicy(): Policy<Rule> {
    const { policyFile } = this.#parts.settings;
    const policy = openComputePolicy({});
    if (policyFile !== undefined) readPolicyFile(policyFile, (changes) => policy.replace(changes));
    return policy;
  }

  async #listen(shown: string, path: string, options: Pick<ListenerOptions, 'name' | 'port' | 'app' | 'upgrade' | 'limits'>): Promise<CloseDoor> {
    const { clock, log, settings } = this.#parts;
    const sharePort = settings.sharePorts && options.name !== 'health';
    const listener = await openListener({ ...options, host: settings.bind, sharePort, clock, log });
    this.#services.push({ name: shown, url: `${this.#base(listener.port)}${path}` });
    return () => listener.close();
  }

  #tokens(): TokenChecker {
    const { clock, log, settings } = this.#parts;
    const { identityUrl: url, serviceToken } = settings;
    return openKeystoneTokens({ url, clock, log, serviceToken });
  }

  #base(port: number): string {
    return baseUrl(this.#parts.settings.publicAddress, port);
  }
}

/** `http://127.0.0.1:8774`, an IPv6 address in brackets. */
export function baseUrl(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
