/** Whether an address lies in a network: exact integer arithmetic for both families. */
import { BlockList, isIP } from 'node:net';

/** False also when the two are of different families or the text is no network. */
export function addressWithin(address: string, cidr: string): boolean {
  const [net = '', bits = ''] = cidr.split('/');
  const family = isIP(net);
  if (family === 0 || isIP(address) !== family || !/^\d{1,3}$/.test(bits)) return false;
  const name = family === 6 ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(net, Number(bits), name);
  return list.check(address, name);
}
