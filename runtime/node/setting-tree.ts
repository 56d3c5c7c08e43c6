/**
 * Walks the schema of the configuration: which settings a path can mean, what lies below a section, which values are
 * secret. Knows only the forms that sections are made of: objects, lists, records, unions, optional and default ones.
 */
import { z } from 'zod';
import { metaOf } from './setting.ts';

export type Path = readonly string[];
type Schema = z.core.$ZodType;

/** The schemas that stand at a path: several where a setting has several forms. Empty: no such setting. */
export function schemasAt(root: Schema, path: Path): Schema[] {
  return path.reduce<Schema[]>((at, key) => at.flatMap((schema) => forms(schema)).flatMap((schema) => below(schema, key)), [root]);
}

/** Names of the settings in a section, in their order; empty for a value. */
export function keysOf(schemas: readonly Schema[]): string[] {
  return schemas.flatMap(forms).flatMap((schema) => (schema instanceof z.ZodObject ? Object.keys(schema.shape) : []));
}

/** A record or a list: any key that its schema takes may stand there. */
export function isOpen(schemas: readonly Schema[]): boolean {
  return schemas.flatMap(forms).some((schema) => schema instanceof z.ZodRecord || schema instanceof z.ZodArray);
}

export function accepts(schemas: readonly Schema[], value: unknown): boolean {
  return schemas.some((schema) => z.safeParse(schema, value).success);
}

/** What the setting at the path allows, in words, from the nearest schema that says so. */
export function allowedAt(root: Schema, path: Path): string | undefined {
  for (const schema of schemasAt(root, path)) {
    for (const layer of layers(schema)) {
      const { allowed } = metaOf(layer);
      if (allowed !== undefined) return allowed;
    }
  }
  return undefined;
}

export function isPath(root: Schema, path: Path): boolean {
  return schemasAt(root, path)
    .flatMap(layers)
    .some((schema) => metaOf(schema).path === true);
}

/** The value as it may be shown: secrets as `***`. A value at an unknown path is not shown at all unless it is short and plain. */
export function shown(root: Schema, path: Path, value: unknown): string {
  const secrets = schemasAt(root, path)
    .flatMap(layers)
    .flatMap((schema) => metaOf(schema).secret ?? []);
  if (secrets.includes('whole')) return '***';
  if (value !== null && typeof value === 'object') {
    const parts = Object.entries(value).map(([key, item]) => {
      const text = shown(root, [...path, key], item);
      return Array.isArray(value) ? text : `${key}: ${text}`;
    });
    return Array.isArray(value) ? `[${parts.join(', ')}]` : `{ ${parts.join(', ')} }`;
  }
  if (typeof value === 'string') return JSON.stringify(withoutPassword(value));
  return String(value);
}

/** `scheme://user:password@…` without the password, wherever such a thing stands. */
export function withoutPassword(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s/]*@/gi, '$1:***@');
}

/** The schema itself and what it wraps, from the outside in. */
function layers(schema: Schema): Schema[] {
  const inner = wrapped(schema);
  return inner === undefined ? [schema] : [schema, ...layers(inner)];
}

function wrapped(schema: Schema): Schema | undefined {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodExactOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable
  )
    return schema.def.innerType;
  return undefined;
}

function forms(schema: Schema): Schema[] {
  const inner = wrapped(schema);
  if (inner !== undefined) return forms(inner);
  if (schema instanceof z.ZodUnion || schema instanceof z.ZodDiscriminatedUnion) return schema.def.options.flatMap(forms);
  return [schema];
}

function below(schema: Schema, key: string): Schema[] {
  if (schema instanceof z.ZodObject) {
    const inner: Schema | undefined = Object.hasOwn(schema.shape, key) ? schema.shape[key] : undefined;
    return inner === undefined ? [] : [inner];
  }
  if (schema instanceof z.ZodArray) return /^\d{1,4}$/.test(key) ? [schema.def.element] : [];
  if (schema instanceof z.ZodRecord) return z.safeParse(schema.def.keyType, key).success ? [schema.def.valueType] : [];
  return [];
}
