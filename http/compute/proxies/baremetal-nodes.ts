/** `/os-baremetal-nodes` (..2.35): a window on another service's machines, which this cloud has not; it was never for changes. */
import { Fault } from '../../../runtime/base/fault.ts';
import { invalid } from '../../kit/errors.ts';
import { SINCE } from '../microversions.ts';
import { route } from '../parts.ts';

const versions = [1, SINCE.noProxies - 1] as const;
const ALL = '/os-baremetal-nodes';
const ONE = '/os-baremetal-nodes/:id';

export const BAREMETAL_ROUTES = [
  route({ method: 'GET', path: ALL, versions, policy: 'os-baremetal-nodes:list', ok: 200, serve: refuseUnsupported }),
  route({ method: 'GET', path: ONE, versions, policy: 'os-baremetal-nodes:show', ok: 200, serve: refuseUnsupported }),
  route({ method: 'POST', path: ALL, versions, policy: null, ok: 200, serve: refuseChange }),
  route({ method: 'DELETE', path: ONE, versions, policy: null, ok: 200, serve: refuseChange }),
  route({ method: 'POST', path: `${ONE}/action`, action: 'add_interface', versions, policy: null, ok: 200, serve: refuseChange }),
  route({ method: 'POST', path: `${ONE}/action`, action: 'remove_interface', versions, policy: null, ok: 200, serve: refuseChange }),
];

function refuseUnsupported(): never {
  throw new Fault('unsupported', 'baremetal', 'The requested functionality is not supported.');
}

function refuseChange(): never {
  throw invalid('Command Not supported. Please use the bare metal service to perform this action.');
}
