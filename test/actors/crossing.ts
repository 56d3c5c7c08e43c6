/** What happens to a message between two nodes, for tests of the parsers; and messages that somebody broke on the way. */
import { expect } from 'vitest';
import type { Address } from '../../runtime/actor/address.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { pick, seededRandom, type Random } from '../../runtime/base/random.ts';

export type Message = { readonly type: string };
export type Sent = { readonly to: Address; readonly message: Message };
export type Parse = (type: string, body: unknown) => Message;

/** What of a message may be left out, by the names of members. */
export type Loose = {
  /** Maps whose keys are the sender's. */
  readonly maps: readonly string[];
  /** Members that a message may lack. */
  readonly optional: readonly string[];
};

type Members = { [key: string]: unknown };
const MUTATIONS = 10_000;

/** As a frame carries it and the receiving node reads it. */
export function cross(parse: Parse, message: Message): Message {
  const { type, body } = framed(message);
  return parse(type, body);
}

export function expectUnchanged(parse: Parse, message: Message): void {
  expect(cross(parse, message)).toEqual(JSON.parse(JSON.stringify(message)));
}

/** The messages for a kind, the first of each form: one that differs only in its values proves nothing more. */
export function messagesFor(kind: string, sent: readonly Sent[]): Message[] {
  const forms = new Map<string, Message>();
  for (const { to, message } of sent) {
    if (!to.startsWith(`${kind}/`)) continue;
    const form = JSON.stringify(formOf(message));
    if (!forms.has(form)) forms.set(form, message);
  }
  return [...forms.values()];
}

/** Type, the names of the verb, and all members. */
function formOf(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return [formOf(value[0])];
  if (isMembers(value)) return Object.entries(value).map(([key, item]) => [key, formOf(item, key)]);
  return name === 'type' || name === 'name' ? value : value === null ? null : typeof value;
}

export function faultOf(parse: Parse, type: string, body: unknown): Fault {
  try {
    parse(type, body);
  } catch (error) {
    if (Fault.is(error)) return error;
    throw error;
  }
  throw new Error(`${type} was accepted: ${JSON.stringify(body)?.slice(0, 200)}`);
}

/** Every member that may not be left out is missed, wherever it is. Answers with how many were tried. */
export function expectAllNeeded(parse: Parse, message: Message, loose: Loose): number {
  const { type, body } = framed(message);
  const places = placesOf(body).filter((path) => !isLoose(path, loose));
  for (const path of places) {
    const fault = faultOf(parse, type, without(body, path));
    expect([fault.code, fault.reason], path.join('.')).toEqual(['invalid', 'message.invalid']);
  }
  return places.length;
}

/** Breaks messages at random: each is refused with Fault `invalid`, or what comes out has all that it needs. */
export function expectUnbreakable(parse: Parse, messages: readonly Message[], loose: Loose, seed: number): { accepted: number; refused: number } {
  const random = seededRandom(seed);
  const count = { accepted: 0, refused: 0 };
  for (let i = 0; i < MUTATIONS; i++) {
    const { type, body } = framed(pick(random, messages));
    const { sound, broken } = mutate(body, random, messages);
    const said = random.next() < 0.02 ? pick(random, ['__proto__', 'constructor', 'toString', '', type.toUpperCase()]) : type;
    try {
      const accepted = parse(said, broken);
      count.accepted++;
      const lacks = accepted.type === type ? missing(sound, accepted, loose, []) : 'type';
      if (lacks !== undefined) throw new Error(`${type} was accepted without ${lacks} (seed ${seed}, mutation ${i}): ${JSON.stringify(broken)?.slice(0, 500)}`);
    } catch (error) {
      if (!Fault.is(error)) throw error;
      count.refused++;
      if (error.code !== 'invalid' || error.reason !== 'message.invalid')
        throw new Error(`${type} was refused as ${error.reason} (seed ${seed}, mutation ${i})`);
    }
  }
  return count;
}

function framed(message: Message): { type: string; body: Members } {
  const { type, ...body } = JSON.parse(JSON.stringify(message)) as Message & Members;
  return { type, body };
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function placesOf(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => [[...path, key], ...placesOf(item, [...path, key])]);
}

function isLoose(path: readonly string[], { maps, optional }: Loose): boolean {
  const last = path.at(-1) ?? '';
  return path.slice(0, -1).some((name) => maps.includes(name)) || optional.includes(last) || /^\d+$/.test(last);
}

function without(body: Members, path: readonly string[]): unknown {
  const copy: unknown = structuredClone(body);
  const owner = path.slice(0, -1).reduce((at, name) => (at as Members)[name], copy);
  delete (owner as Members)[path.at(-1) ?? ''];
  return copy;
}

/** The first member of the sound message that the accepted one lacks. What became null or another list holds nothing. */
function missing(sound: unknown, accepted: unknown, loose: Loose, path: readonly string[]): string | undefined {
  if (typeof sound !== 'object' || sound === null || typeof accepted !== 'object' || accepted === null) return undefined;
  for (const [key, item] of Object.entries(sound)) {
    const here = [...path, key];
    if (isLoose(here, loose)) continue;
    if (!Object.hasOwn(accepted, key)) return here.join('.');
    const found = missing(item, (accepted as Members)[key], loose, here);
    if (found !== undefined) return found;
  }
  return undefined;
}

const JUNK: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => -1,
  () => 0,
  () => 1.5,
  () => 1e308,
  () => Number.MAX_SAFE_INTEGER + 2,
  () => '',
  () => 'x',
  () => 'a b',
  () => '\u0000',
  () => '\ud800',
  () => [],
  () => [null],
  () => ({}),
  () => ({ toString: 1 }),
  () => JSON.parse('{"__proto__": {"a": "b"}}') as unknown,
  () => ({ constructor: 'x' }),
  () => nested(40),
  () => '00000000-0000-4000-8000-00000000000G',
  () => ({ length: 1 }),
  () => undefined,
];
/** Beyond limits of size. Dear to make, so they come seldom. */
const LARGE: readonly (() => unknown)[] = [
  () => 'x'.repeat(200_000),
  () => Array.from({ length: 2_000 }, () => ({})),
  () => Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`k${i}`, 'v'])),
];

function junk(random: Random): unknown {
  return pick(random, random.next() < 0.01 ? LARGE : JUNK)();
}

function nested(depth: number): unknown {
  let value: unknown = 'deep';
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

/** One to three blows: members gone, new, exchanged, of another type; now and then the whole body. As JSON can carry it. */
function mutate(sound: Members, random: Random, messages: readonly Message[]): { sound: Members; broken: unknown } {
  if (random.next() < 0.02) return { sound, broken: junk(random) };
  const other = framed(pick(random, messages)).body;
  if (random.next() < 0.02) return { sound: other, broken: other };
  const body = structuredClone(sound);
  const blows = 1 + Math.floor(random.next() * 3);
  for (let i = 0; i < blows; i++) strike(body, random);
  return { sound, broken: JSON.parse(JSON.stringify(body)) as unknown };
}

function strike(body: Members, random: Random): void {
  const places = placesOf(body);
  const path = places.length === 0 ? ['x'] : pick(random, places);
  const owner = path.slice(0, -1).reduce((at, name) => (at as Members)[name], body as unknown) as Members;
  const key = path.at(-1) ?? '';
  const chance = random.next();
  if (chance < 0.3) delete owner[key];
  else if (chance < 0.8) owner[key] = junk(random);
  else if (chance < 0.9)
    Object.defineProperty(owner, pick(random, ['extra', '__proto__', 'constructor', 'type']), {
      value: junk(random),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  else owner[key] = structuredClone(body);
}
