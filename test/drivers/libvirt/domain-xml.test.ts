import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GuestSpec } from '../../../drivers/driver.ts';
import { domainXml, text, type Machine } from '../../../drivers/libvirt/domain-xml.ts';
import type { GuestFiles } from '../../../drivers/libvirt/storage.ts';

const machine: Machine = { domainType: 'qemu', arch: 'x86_64', bridge: undefined, changesOwners: false };
const files: GuestFiles = {
  disks: [
    { path: '/s/disk.qcow2', base: { path: '/s/base', format: 'raw' } },
    { path: '/s/swap.qcow2', base: undefined },
  ],
  consoleLog: '/s/console.log',
  kernel: undefined,
  ramdisk: undefined,
};
const spec: GuestSpec = {
  instanceId: '11111111-1111-4111-8111-111111111111',
  generation: 3,
  name: 'instance-1',
  displayName: 'a',
  hostname: 'a',
  projectId: 'p',
  userId: 'u',
  vcpus: 2,
  memoryMiB: 96,
  rootGiB: 0,
  ephemeralGiB: 0,
  swapMiB: 0,
  image: { id: 'i', diskFormat: 'raw', sizeBytes: 1, hash: null, properties: {} },
  nics: [{ network: 'n', mac: '52:54:00:00:00:01', address: '10.0.0.2/24', gateway: null }],
  userData: null,
  metadata: {},
};

/** A reader of well-formed XML for the test: throws on anything else. Gives attribute values and texts. */
function read(xml: string): string[] {
  const open: string[] = [];
  const values: string[] = [];
  const rest = xml.replace(
    /<(\/?)([\w:]+)((?:\s+[\w:]+="[^"<]*")*)\s*(\/?)>|([^<>]+)/g,
    (_all, close: string, name: string, attributes: string, empty: string, content: string) => {
      if (content !== undefined) values.push(content);
      else if (close === '/') expect(open.pop()).toBe(name);
      else {
        for (const match of attributes.matchAll(/="([^"]*)"/g)) values.push(match[1] ?? '');
        if (empty === '') open.push(name);
      }
      return '';
    },
  );
  expect([rest, open]).toEqual(['', []]);
  for (const value of values) expect(value.replace(/&(amp|lt|gt|quot|apos|#9|#10|#13);/g, '')).not.toMatch(/[&<>"']/);
  return values;
}

describe('the description of a guest', () => {
  it('stays well-formed and carries no more than meant, whatever users write', () => {
    const hostile = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('"/><disk/>', "' x='", ']]>', '<!ENTITY a "b">', '&amp;', '\0\x01\ud800'));
    const count = read(domainXml(spec, files, machine)).length;
    fc.assert(
      fc.property(hostile, hostile, hostile, (displayName, commandLine, userId) => {
        const image = { ...spec.image, properties: { os_command_line: commandLine } };
        const xml = domainXml({ ...spec, displayName, userId, image, projectId: displayName }, files, machine);
        expect(read(xml).length).toBe(count);
      }),
    );
  });

  it('replaces what XML cannot carry', () => {
    expect(text('a\0b\x1fc\ud800d\uffff')).toBe('a\ufffdb\ufffdc\ufffdd\ufffd');
    expect(text('a\n"b"\t')).toBe('a&#10;&quot;b&quot;&#9;');
  });

  it('names the whole chain of disks with formats, and ends it', () => {
    const xml = domainXml(spec, files, machine);
    expect(xml).toContain('<source file="/s/disk.qcow2"/><backingStore type="file"><format type="raw"/><source file="/s/base"/><backingStore/></backingStore>');
    expect(domainXml(spec, files, { ...machine, changesOwners: true })).toContain('<source file="/s/base"><seclabel model="dac" relabel="no"/></source>');
    expect(xml).toContain('<source file="/s/swap.qcow2"/><backingStore/><target dev="vdb" bus="virtio"/>');
  });

  it('boots a kernel directly when there is one, with the command line of the image', () => {
    const image = { ...spec.image, properties: { os_command_line: 'quiet a="b"' } };
    const xml = domainXml({ ...spec, image }, { ...files, kernel: '/s/k', ramdisk: '/s/r' }, machine);
    expect(xml).toContain('<kernel>/s/k</kernel><initrd>/s/r</initrd><cmdline>quiet a=&quot;b&quot;</cmdline>');
    expect(domainXml(spec, { ...files, kernel: '/s/k' }, machine)).toContain('<cmdline>console=tty0 console=ttyS0 root=/dev/vda</cmdline>');
    expect(domainXml(spec, files, machine)).not.toContain('cmdline');
  });

  it('plugs NICs into the bridge when one is set', () => {
    expect(domainXml(spec, files, machine)).toContain('<interface type="user"><mac address="52:54:00:00:00:01"/><model type="virtio"/>');
    expect(domainXml(spec, files, { ...machine, bridge: 'br0' })).toContain(
      '<interface type="bridge"><mac address="52:54:00:00:00:01"/><source bridge="br0"/>',
    );
  });

  it('refuses names and image properties that it does not know', () => {
    expect(() => domainXml({ ...spec, name: '../x' }, files, machine)).toThrow(/name of the guest/);
    const image = { ...spec.image, properties: { hw_disk_bus: 'floppy' } };
    expect(() => domainXml({ ...spec, image }, files, machine)).toThrow(/hw_disk_bus/);
  });
});
