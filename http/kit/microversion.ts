/**
 * Microversions as headers say them. A version is kept as its minor number: 2.53 is 53.
 * `OpenStack-API-Version: compute 2.53` wins over `X-OpenStack-Nova-API-Version: 2.53`; neither means the minimum.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { Fault } from '../../runtime/base/fault.ts';

export type VersionRange = { readonly min: number; readonly max: number };

const VERSION = /^([1-9]\d*)\.([1-9]\d*|0)$/;
const HEADER_MAX = 200;

/** Faults: `invalid` (400) when malformed, reason `http.version` (406) when out of range. */
export function versionAsked(headers: IncomingHttpHeaders, range: VersionRange): number {
  const text = newForm(headers['openstack-api-version']) ?? oldForm(headers['x-openstack-nova-api-version']);
  if (text === undefined) return range.min;
  if (text === 'latest') return range.max;
  const match = VERSION.exec(text);
  if (!match) {
    throw new Fault('invalid', 'version', `API Version String '${text.slice(0, 40)}' is of invalid format. Must be of format MajorNum.MinorNum.`);
  }
  const minor = Number(match[2]);
  if (match[1] !== '2' || minor < range.min || minor > range.max) {
    throw new Fault(
      'invalid',
      'http.version',
      `Version ${text.slice(0, 40)} is not supported by the API. Minimum is 2.${range.min} and maximum is 2.${range.max}.`,
    );
  }
  return minor;
}

/** `compute 2.53`, perhaps among other services' versions. */
function newForm(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const text = String(header).slice(0, HEADER_MAX);
  for (const part of text.split(',')) {
    const [service, version, ...rest] = part.trim().split(/\s+/);
    if (service?.toLowerCase() !== 'compute') continue;
    return rest.length === 0 && version !== undefined ? version.toLowerCase() : part.trim();
  }
  return undefined;
}

function oldForm(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  return String(header).slice(0, HEADER_MAX).trim().toLowerCase();
}
