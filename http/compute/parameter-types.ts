/** The kinds of input that recur in request bodies, as JSON Schema. Source: member tables of the Compute API. */
import type { JsonSchema } from '../kit/schema.ts';

/** What PostgreSQL's integer holds. */
export const INTEGER_MAX = 2_147_483_647;

export const NAME: JsonSchema = { type: 'string', minLength: 1, maxLength: 255, format: 'printable', allOf: [{ format: 'trimmed' }] };
export const ZONE_NAME: JsonSchema = { type: 'string', minLength: 1, maxLength: 255, format: 'printable', allOf: [{ format: 'trimmed' }] };
export const HOST_NAME: JsonSchema = { type: 'string', minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9\\-._]*$' };
export const TEXT: JsonSchema = { type: 'string' };
export const UUID: JsonSchema = { type: 'string', format: 'uuid' };
export const DESCRIPTION: JsonSchema = { type: ['string', 'null'], minLength: 0, maxLength: 255, format: 'printable' };
export const LONG_DESCRIPTION: JsonSchema = { type: ['string', 'null'], minLength: 0, maxLength: 65_535, format: 'printable' };
export const TAG: JsonSchema = { type: 'string', minLength: 1, maxLength: 60, pattern: '^[^,/]*$' };
export const DISK_CONFIG: JsonSchema = { type: 'string', enum: ['AUTO', 'MANUAL'] };
export const ANYTHING: JsonSchema = {};

/** `trusted` words of the API for booleans; `toBoolean` reads them. */
const TRUE_WORDS = [true, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES', 'Yes', 'yes'];
const FALSE_WORDS = [false, 'False', 'FALSE', 'false', '0', 'OFF', 'Off', 'off', 'NO', 'No', 'no'];
export const BOOLEAN: JsonSchema = { type: ['boolean', 'string'], enum: [...TRUE_WORDS, ...FALSE_WORDS] };

export function integer(min: number, max = INTEGER_MAX): JsonSchema {
  return { type: ['integer', 'string'], integerText: { min, max } };
}

export function text(minLength: number, maxLength: number): JsonSchema {
  return { type: 'string', minLength, maxLength };
}

/** An object of these members and no other. */
export function members(properties: { readonly [name: string]: JsonSchema }, required: readonly string[] = []): JsonSchema {
  return { type: 'object', properties, required, additionalProperties: false };
}

export function list(items: JsonSchema, more: JsonSchema = {}): JsonSchema {
  return { type: 'array', items, ...more };
}

export const KEY_PATTERN = '^[a-zA-Z0-9\\-_:. ]{1,255}$';

/** Keys and values of metadata: both at most 255 characters. */
export const METADATA: JsonSchema = {
  type: 'object',
  patternProperties: { [KEY_PATTERN]: { type: 'string', maxLength: 255 } },
  additionalProperties: false,
};

/** Values of flavor extra specs may be numbers too. */
export const SPECS: JsonSchema = {
  type: 'object',
  patternProperties: { [KEY_PATTERN]: { type: ['string', 'number'], maxLength: 255 } },
  additionalProperties: false,
};

export function toBoolean(value: unknown): boolean {
  return TRUE_WORDS.includes(typeof value === 'string' ? value : value === true);
}

export function toInteger(value: unknown): number {
  return typeof value === 'number' ? value : Number(value);
}
