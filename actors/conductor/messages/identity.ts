/**
 * Records of the embedded Identity service; unused with an external one. Secrets never travel: a password is its
 * scrypt text, a token its SHA-256 in hex. Times are wall milliseconds of the asker.
 *
 * Every change that may take a right away raises the identity revision in its own transaction; whoever keeps
 * validated tokens asks `identityRevision` and forgets them when it moved.
 *
 * Faults: `notFound` (reason `identity.<what>`), `conflict` (a used name or id), `invalid`, `forbidden`.
 */

export type IdentityDomain = { readonly id: string; readonly name: string; readonly description: string; readonly enabled: boolean };
export type IdentityProject = {
  readonly id: string;
  readonly name: string;
  readonly domainId: string;
  readonly description: string;
  readonly enabled: boolean;
};
export type IdentityUser = {
  readonly id: string;
  readonly name: string;
  readonly domainId: string;
  readonly enabled: boolean;
  readonly defaultProjectId: string | null;
  readonly email: string | null;
  readonly description: string | null;
};
export type IdentityRole = { readonly id: string; readonly name: string; readonly description: string | null };
export type IdentityRegion = { readonly id: string; readonly description: string };
export type IdentityService = {
  readonly id: string;
  readonly type: string;
  readonly name: string;
  readonly description: string;
  readonly enabled: boolean;
};
export type IdentityEndpoint = {
  readonly id: string;
  readonly serviceId: string;
  readonly regionId: string;
  readonly interface: 'public' | 'internal' | 'admin';
  readonly url: string;
  readonly enabled: boolean;
};
/** A key pair for signed requests. The secret is kept as it is: a signature can't be checked with a hash of it. */
export type IdentityEc2Key = { readonly access: string; readonly secret: string; readonly userId: string; readonly projectId: string };

/** What a role is held on. Its id is empty for `system`. */
export type GrantTarget = { readonly kind: 'project' | 'domain' | 'system'; readonly id: string };
export type IdentityGrant = { readonly userId: string; readonly roleId: string; readonly target: GrantTarget };
/** A grant with the names that a list may show. */
export type NamedGrant = IdentityGrant & {
  readonly userName: string;
  readonly userDomainId: string;
  readonly roleName: string;
  readonly targetName: string;
  readonly targetDomainId: string;
};

/** A name is unique within its domain, so it needs one. */
export type Named = { readonly id: string } | { readonly name: string; readonly domain: { readonly id: string } | { readonly name: string } };
export type WantedScope =
  | { readonly kind: 'project'; readonly project: Named }
  | { readonly kind: 'domain'; readonly domain: { readonly id: string } | { readonly name: string } }
  | { readonly kind: 'system' }
  | { readonly kind: 'unscoped' }
  /** Nothing was asked for: the user's default project when it can be used, else unscoped. */
  | { readonly kind: 'default' };

export type IdentityLogin = { readonly userId: string; readonly passwordHash: string | null; readonly enabled: boolean };

export type TokenScope =
  | { readonly kind: 'project'; readonly id: string; readonly name: string; readonly domainId: string; readonly domainName: string }
  | { readonly kind: 'domain'; readonly id: string; readonly name: string }
  | { readonly kind: 'system' }
  | { readonly kind: 'unscoped' };

/** What a valid token says now: roles are read anew at each load, implied ones included. */
export type TokenView = {
  readonly userId: string;
  readonly userName: string;
  readonly userDomainId: string;
  readonly userDomainName: string;
  readonly scope: TokenScope;
  readonly roles: readonly { readonly id: string; readonly name: string }[];
  readonly methods: readonly string[];
  readonly auditIds: readonly string[];
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
};

/** Some of its names may be absent: any. `limit` bounds every list. */
export type IdentityFilter = {
  readonly id?: string;
  readonly name?: string;
  readonly domainId?: string;
  readonly enabled?: boolean;
  readonly type?: string;
  readonly serviceId?: string;
  readonly regionId?: string;
  readonly interface?: string;
};

/** What may be listed, made, changed and removed alike. */
export type IdentityKinds = {
  Domain: IdentityDomain;
  Project: IdentityProject;
  User: IdentityUser;
  Role: IdentityRole;
  Region: IdentityRegion;
  Service: IdentityService;
  Endpoint: IdentityEndpoint;
};
export type IdentityKind = keyof IdentityKinds;

type Lists = { [K in IdentityKind as `identityList${K}`]: { body: { filter: IdentityFilter; limit: number }; reply: readonly IdentityKinds[K][] } };
type Creates = { [K in IdentityKind as `identityCreate${K}`]: { body: { record: IdentityKinds[K]; passwordHash?: string }; reply: IdentityKinds[K] } };
type Updates = {
  /** Members left out stay. Switching a user, project or domain off revokes its tokens. */
  [K in IdentityKind as `identityUpdate${K}`]: {
    body: { id: string; change: Partial<Omit<IdentityKinds[K], 'id'>>; passwordHash?: string };
    reply: IdentityKinds[K];
  };
};
type Deletes = { [K in IdentityKind as `identityDelete${K}`]: { body: { id: string }; reply: undefined } };

export type IdentityProtocol = Lists &
  Creates &
  Updates &
  Deletes & {
    identityRevision: { body: object; reply: number };

    /** The password to compare with; null when there is no such user. `enabled` counts the user's domain too. */
    identityLogin: { body: { user: Named }; reply: IdentityLogin | null };
    /** Replaces the password and revokes the user's tokens. */
    identitySetPassword: { body: { userId: string; passwordHash: string }; reply: undefined };

    /**
     * Stores a token for the scope, when the user is enabled and holds a role there and the proof (the password as it
     * was compared, or the token that was shown) still stands; null else: nothing was stored.
     * Past `TOKENS_PER_USER_MAX` the user's oldest tokens go.
     */
    identityIssueToken: {
      body: {
        hash: string;
        userId: string;
        proof: { passwordHash: string } | { tokenHash: string };
        scope: WantedScope;
        methods: readonly string[];
        auditIds: readonly string[];
        issuedAtMs: number;
        expiresAtMs: number;
      };
      reply: TokenView | null;
    };
    /** null when unknown, expired, or its user, project or last role is gone. */
    identityLoadToken: { body: { hash: string; nowMs: number }; reply: TokenView | null };
    /** What a token of that user on that project would say now, for requests signed with an EC2 key; no token is made. */
    identityAuthorize: { body: { userId: string; projectId: string }; reply: TokenView | null };
    /** Harmless when there is none. */
    identityRevokeToken: { body: { hash: string }; reply: undefined };
    /** Removes expired tokens, at most a thousand; says how many. */
    identityPurgeTokens: { body: { nowMs: number }; reply: number };

    /** Any member may be null: any. */
    identityListGrants: {
      body: { userId: string | null; roleId: string | null; target: { kind: GrantTarget['kind']; id: string | null } | null; limit: number };
      reply: readonly NamedGrant[];
    };
    /** Twice is once. */
    identityGrant: { body: IdentityGrant; reply: undefined };
    /** Fault `notFound` when it was not granted. */
    identityRevokeGrant: { body: IdentityGrant; reply: undefined };
    /** Enabled projects on which the user holds a role, by name. */
    identityProjectsOfUser: { body: { userId: string; limit: number }; reply: readonly IdentityProject[] };
    identityDomainsOfUser: { body: { userId: string; limit: number }; reply: readonly IdentityDomain[] };

    identityCreateEc2Key: { body: { key: IdentityEc2Key; max: number }; reply: IdentityEc2Key };
    identityListEc2Keys: { body: { userId: string; limit: number }; reply: readonly IdentityEc2Key[] };
    identityShowEc2Key: { body: { access: string }; reply: IdentityEc2Key | null };
    identityDeleteEc2Key: { body: { userId: string; access: string }; reply: undefined };
  };
