/** Bodies of Identity v3, parsed at the door. Unknown members are dropped; wrong types and lengths are refused. */
import { z } from 'zod';
import type { Named, WantedScope } from '../../../actors/conductor/messages/identity.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { PASSWORD_MAX } from './password.ts';

const ID_MAX = 64;
const DESCRIPTION_MAX = 65_535;
const URL_MAX = 2_048;

const id = z.string().min(1).max(ID_MAX);
const text = (max: number) =>
  z
    .string()
    .refine((value) => value.trim().length > 0, 'must not be empty')
    .max(max);
const described = z.string().max(DESCRIPTION_MAX);
const domainName = text(64);
const userName = text(255);

const domainRef = z.union([z.object({ id }), z.object({ name: domainName })]);
const projectRef = z.union([z.object({ id }), z.object({ name: text(64), domain: domainRef })]);
const userRef = z.union([z.object({ id }), z.object({ name: userName, domain: domainRef })]);
const password = z.string().max(PASSWORD_MAX);

const scope = z.union([
  z.object({ project: projectRef }).transform(({ project }): WantedScope => ({ kind: 'project', project })),
  z.object({ domain: domainRef }).transform(({ domain }): WantedScope => ({ kind: 'domain', domain })),
  z.object({ system: z.object({ all: z.literal(true) }) }).transform((): WantedScope => ({ kind: 'system' })),
  z.union([z.literal('unscoped'), z.object({ unscoped: z.object({}) })]).transform((): WantedScope => ({ kind: 'unscoped' })),
]);

export type AuthOrder = {
  methods: string[];
  password?: { user: Named; password: string } | undefined;
  token?: string | undefined;
  scope: WantedScope;
};

export const authBody = z
  .object({
    auth: z.object({
      identity: z.object({
        methods: z.array(z.string().max(255)).min(1).max(8),
        password: z.object({ user: z.intersection(userRef, z.object({ password })) }).optional(),
        token: z.object({ id: z.string().min(1).max(255) }).optional(),
      }),
      scope: scope.optional(),
    }),
  })
  .transform(({ auth }): AuthOrder => {
    const { methods, password: shown, token } = auth.identity;
    const { password: secret, ...user } = shown?.user ?? { password: '' };
    return {
      methods,
      scope: auth.scope ?? { kind: 'default' },
      ...(shown ? { password: { user: user as Named, password: secret } } : {}),
      ...(token ? { token: token.id } : {}),
    };
  });

const nullable = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? undefined);

export const BODIES = {
  Domain: z.object({ name: domainName, description: nullable(described), enabled: z.boolean().optional() }),
  Project: z.object({ name: text(64), domain_id: nullable(id), description: nullable(described), enabled: nullable(z.boolean()) }),
  User: z.object({
    name: userName,
    domain_id: nullable(id),
    password: password.nullish(),
    enabled: nullable(z.boolean()),
    default_project_id: id.nullish(),
    email: z.string().max(255).nullish(),
    description: described.nullish(),
  }),
  Role: z.object({ name: text(255), description: described.nullish() }),
  Region: z.object({ id: text(255).optional(), description: nullable(described) }),
  Service: z.object({ type: text(255), name: nullable(z.string().max(255)), description: nullable(described), enabled: z.boolean().optional() }),
  Endpoint: z.object({
    service_id: id,
    region_id: nullable(text(255)),
    region: nullable(text(255)),
    interface: z.enum(['public', 'internal', 'admin']),
    url: z
      .string()
      .min(1)
      .max(URL_MAX)
      .refine((url) => URL.canParse(url.replaceAll(/[$%]\(\w+\)s/g, 'x')), 'must be an address'),
    enabled: z.boolean().optional(),
  }),
} as const;

export const passwordChange = z.object({ user: z.object({ password: password.min(1), original_password: password }) });
export const ec2KeyBody = z.object({ tenant_id: id });

/** Fault `invalid` naming the first member that is wrong. */
export function parseBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path.map(String).join('/') ?? '';
  throw new Fault('invalid', 'identity.schema', `Invalid input for field '${path}': ${issue?.message ?? 'malformed'}.`);
}
