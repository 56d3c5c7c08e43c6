/**
 * libvirt's errors as Faults. Users see our sentence; libvirt's own text, which names files and addresses, goes to
 * `detail`. Errors that nobody foresaw become a retryable `unavailable`: another host may succeed.
 */
import { Fault, type FaultCode, type Json } from '../../runtime/base/fault.ts';
import type { ValueOf } from './xdr.ts';
import type { ERROR_PAYLOAD } from './procedures.ts';

type Meaning = { readonly code: FaultCode; readonly reason: string; readonly message: string };

/** By libvirt's error number. */
const MEANINGS: { readonly [code: number]: Meaning } = {
  2: { code: 'overloaded', reason: 'libvirt.noMemory', message: 'The hypervisor has no memory left.' },
  3: { code: 'unsupported', reason: 'libvirt.noSupport', message: 'The hypervisor cannot do this.' },
  8: { code: 'invalid', reason: 'libvirt.invalidArg', message: 'The hypervisor does not accept the request.' },
  27: { code: 'invalid', reason: 'libvirt.xml', message: 'The hypervisor does not accept the description of the guest.' },
  35: { code: 'invalid', reason: 'libvirt.xml', message: 'The hypervisor does not accept the description of the guest.' },
  42: { code: 'notFound', reason: 'libvirt.noDomain', message: 'The hypervisor has no such guest.' },
  55: { code: 'conflict', reason: 'libvirt.operationInvalid', message: 'The guest is in another state.' },
  67: { code: 'invalid', reason: 'libvirt.configUnsupported', message: 'The hypervisor cannot run a guest like this.' },
  68: { code: 'timeout', reason: 'libvirt.operationTimeout', message: 'The hypervisor was busy for too long.' },
  74: { code: 'unsupported', reason: 'libvirt.argumentUnsupported', message: 'The guest is not made for this.' },
  80: { code: 'notFound', reason: 'libvirt.noMetadata', message: 'The guest carries no such mark.' },
  86: { code: 'conflict', reason: 'libvirt.agentSilent', message: 'Nobody inside the guest answers.' },
  87: { code: 'unavailable', reason: 'libvirt.busy', message: 'The hypervisor is busy with this guest.' },
  92: { code: 'invalid', reason: 'libvirt.xml', message: 'The hypervisor does not accept the description of the guest.' },
};
const UNFORESEEN: Meaning = { code: 'unavailable', reason: 'libvirt.failed', message: 'The hypervisor failed.' };
/** QEMU says these through libvirt's catch-all error number. */
const FULL_TEXTS = /cannot allocate memory|cannot set up guest memory|no space left on device|cannot create thread/i;

/** By its catch-all number too: a guest of another cloud, or of an earlier one whose data is gone. */
const NAME_TAKEN = /^operation failed: domain '[^']*' already exists with uuid/;

export function libvirtFault(error: ValueOf<typeof ERROR_PAYLOAD>): Fault {
  const text = error.message ?? '';
  const detail: Json = { libvirtCode: error.code, libvirtDomain: error.domain, text };
  if (FULL_TEXTS.test(text)) return new Fault('overloaded', 'libvirt.full', 'The host has no room left.', { detail });
  if (NAME_TAKEN.test(text)) return new Fault('conflict', 'libvirt.nameTaken', 'Another guest of the hypervisor has the name of this one.', { detail });
  if (text.includes('virtlogd-sock')) {
    // Without it nothing starts: not even a log written by QEMU itself gets around it (seen with libvirt 9).
    return new Fault('unavailable', 'libvirt.logDaemon', 'The log daemon of the hypervisor does not run.', { detail });
  }
  const meaning = MEANINGS[error.code] ?? UNFORESEEN;
  return new Fault(meaning.code, meaning.reason, meaning.message, { detail });
}

export function unreachableHypervisor(detail: string, cause?: unknown): Fault {
  return new Fault('unavailable', 'libvirt.unreachable', 'The hypervisor does not answer.', { detail, cause });
}

export function cancelled(): Fault {
  return new Fault('cancelled', 'libvirt.cancelled', 'The operation was cancelled.');
}

/** Failures of a hypervisor that does answer: it would fail again, so the same host is not asked for the same until its time is over. */
const LASTING: readonly string[] = ['libvirt.failed', 'libvirt.logDaemon', 'image.tool'];

/** What keeps a guest from starting here, as `unsupported`: another host may do better. */
export function startFault(error: unknown): unknown {
  if (!Fault.is(error) || !LASTING.includes(error.reason)) return error;
  return new Fault('unsupported', error.reason, error.message, { detail: error.detail, cause: error });
}

export function hasReason(error: unknown, reason: string): boolean {
  return Fault.is(error) && error.reason === reason;
}
