/**
 * Request bodies against JSON Schema, per range of microversions. A schema is compiled when the first request of its
 * range comes (tens of milliseconds), and costs about a microsecond after. The message names the input, its value
 * and what is wrong with it; values of secret members are never repeated (S17).
 */
import { isIP } from 'node:net';
import { Ajv } from 'ajv';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { Fault } from '../../runtime/base/fault.ts';
import { redact } from '../../runtime/base/log.ts';
import { parseTime } from './query.ts';

export type JsonSchema = { readonly [keyword: string]: unknown };

/** `at` draws the schema of a version; it changes only at `breaks` (ascending, the first is 1). */
export type BodySchema = { readonly breaks: readonly number[]; readonly at: (version: number) => JsonSchema };

const VALUE_MAX = 255;
const UUID_FORMAT = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const BASE64 = /^[A-Za-z0-9+/\s]*={0,2}\s*$/;
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]*$/u;

/** Blanks may break lines; what remains must be whole groups of four. */
export function isBase64(text: string): boolean {
  if (!BASE64.test(text)) return false;
  return text.replaceAll(/\s/g, '').length % 4 === 0;
}

const ajv = new Ajv({ strict: false, verbose: true, allErrors: false, messages: true });
ajv.addFormat('uuid', (text: string) => UUID_FORMAT.test(text));
ajv.addFormat('ipv4', (text: string) => isIP(text) === 4);
ajv.addFormat('ipv6', (text: string) => isIP(text) === 6);
ajv.addFormat('base64', isBase64);
ajv.addFormat('printable', (text: string) => PRINTABLE.test(text));
ajv.addFormat('trimmed', (text: string) => text.trim() === text && text !== '');
ajv.addFormat('date-time', (text: string) => parseTime(text) !== undefined);
ajv.addKeyword({ keyword: 'integerText', schemaType: 'object', compile: compileIntegerText, errors: true });

/** `integerText: {min, max}`: an integer, or a text of its digits. */
function compileIntegerText({ min, max }: { min: number; max: number }) {
  function validate(value: unknown): boolean {
    const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
    let message = '';
    if (typeof number !== 'number' || !Number.isInteger(number)) message = `is not of type 'integer'`;
    else if (number < min) message = `is less than the minimum of ${min}`;
    else if (number > max) message = `is greater than the maximum of ${max}`;
    if (message === '') return true;
    validate.errors = [{ keyword: 'integerText', message, params: {} }];
    return false;
  }
  validate.errors = [] as Partial<ErrorObject>[];
  return validate;
}

export type BodyCheck = (body: unknown, version: number, legacy: boolean) => void;

/** The check of one schema: Fault `invalid` with the first error. Legacy mode ignores members it does not know. */
export function compileBody(schema: BodySchema): BodyCheck {
  const strict: (ValidateFunction | undefined)[] = [];
  const loose: (ValidateFunction | undefined)[] = [];
  return (body, version, legacy) => {
    let index = schema.breaks.length - 1;
    while (index > 0 && (schema.breaks[index] ?? 0) > version) index--;
    const compiled = legacy ? loose : strict;
    let validate = compiled[index];
    if (!validate) {
      const drawn = schema.at(schema.breaks[index] ?? 1);
      validate = ajv.compile(legacy ? loosened(drawn) : drawn);
      compiled[index] = validate;
    }
    if (!validate(body)) throw schemaFault(validate.errors);
  };
}

/** The same schema without the refusal of unknown members, and with names that may have outer blanks. */
function loosened(schema: unknown): JsonSchema {
  const copy = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(copy);
    if (node === null || typeof node !== 'object') return node;
    const out: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(node)) {
      if (key === 'additionalProperties' && value === false) continue;
      if (key === 'format' && value === 'trimmed') continue;
      out[key] = copy(value);
    }
    return out;
  };
  const result = copy(schema);
  return result !== null && typeof result === 'object' ? { ...result } : {};
}

function schemaFault(errors: readonly ErrorObject[] | null | undefined): Fault {
  const error = errors?.at(-1); // a failed choice comes after what failed in it
  if (!error) return new Fault('invalid', 'schema', 'The body is not valid.');
  const why = wording(error);
  const name = error.instancePath.split('/').slice(1).at(-1)?.replaceAll('~1', '/').replaceAll('~0', '~');
  if (name === undefined) return new Fault('invalid', 'schema', why);
  return new Fault('invalid', 'schema', `Invalid input for field/attribute ${name.slice(0, 100)}. Value: ${shown(name, error.data)}. ${why}`);
}

/** The value as it may be repeated: secrets starred, long ones cut. */
function shown(name: string, value: unknown): string {
  const clean = redact({ [name]: value });
  const item = clean !== null && typeof clean === 'object' && !Array.isArray(clean) ? Object.values(clean)[0] : value;
  const text = typeof item === 'string' ? item : (JSON.stringify(item) ?? 'null');
  return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}…` : text;
}

function wording(error: ErrorObject): string {
  const { keyword, params } = error;
  const secret = /pass|secret|user_data/i.test(error.instancePath);
  const value = secret ? 'the value' : quoted(error.data);
  switch (keyword) {
    case 'required':
      return `'${params['missingProperty']}' is a required property`;
    case 'additionalProperties':
      return `Additional properties are not allowed ('${String(params['additionalProperty']).slice(0, 60)}' was unexpected)`;
    case 'type':
      return `${value} is not of type ${String(params['type'])
        .split(',')
        .map((type) => `'${type}'`)
        .join(', ')}`;
    case 'enum':
      return `${value} is not one of ${JSON.stringify(params['allowedValues'])}`;
    case 'pattern':
      return `${value} does not match '${params['pattern']}'`;
    case 'format':
      return `${value} is not a '${params['format']}'`;
    case 'maxLength':
    case 'maxItems':
      return `${value} is too long`;
    case 'minLength':
    case 'minItems':
      return `${value} is too short`;
    case 'maxProperties':
      return `${value} has too many properties`;
    case 'minProperties':
      return `${value} does not have enough properties`;
    case 'minimum':
      return `${value} is less than the minimum of ${params['limit']}`;
    case 'maximum':
      return `${value} is greater than the maximum of ${params['limit']}`;
    case 'uniqueItems':
      return `${value} has non-unique elements`;
    case 'integerText':
      return `${value} ${error.message}`;
    case 'anyOf':
    case 'oneOf':
      return `${value} is not valid under any of the given schemas`;
    default:
      return `${value} ${error.message ?? 'is not valid'}`;
  }
}

const QUOTE_MAX = 60;

function quoted(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : (JSON.stringify(redact(value)) ?? 'null');
  return text.length > QUOTE_MAX ? `${text.slice(0, QUOTE_MAX)}…` : text;
}
