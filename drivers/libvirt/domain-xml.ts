/**
 * The description of a guest as libvirt takes it. Every value from outside passes `text`: what XML can't carry is
 * replaced, what means something in XML is escaped. Elements are built by functions, never by pasting strings.
 */
import type { GuestSpec } from '../driver.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { GuestDisk, GuestFiles } from './storage.ts';

export const METADATA_URI = 'urn:novact:instance:1';

export type Machine = {
  /** The attribute `type` of the domain: `test` for libvirt's own test hypervisor. */
  readonly domainType: 'qemu' | 'kvm' | 'test';
  readonly arch: string;
  /** Present: each NIC is a port of this bridge; else a network of its own behind the QEMU process. */
  readonly bridge: string | undefined;
  /** libvirt gives files to QEMU's user: not the shared ones, which a QEMU gone wrong could then write. */
  readonly changesOwners: boolean;
};

type Attributes = { readonly [name: string]: string | number | undefined };

const DISK_BUSES = ['virtio', 'ide', 'sata'] as const;
const NIC_MODELS = ['virtio', 'e1000', 'rtl8139'] as const;
const DEFAULT_COMMAND_LINE = 'console=tty0 console=ttyS0 root=/dev/vda';
const NAME = /^[\w][\w.-]{0,200}$/;
export const DEFAULT_ADMIN = 'root';
const ADMIN = /^[\w.-]{1,64}$/;
const YES = /^(yes|true|1|on)$/i;
const AGENT = 'org.qemu.guest_agent.0';
const LETTERS = 'abcdefgh';

export function domainXml(spec: GuestSpec, files: GuestFiles, machine: Machine): string {
  if (!NAME.test(spec.name)) throw new Fault('invalid', 'libvirt.name', 'The name of the guest is not acceptable.');
  const accelerated = machine.domainType === 'kvm';
  return element('domain', { type: machine.domainType }, [
    element('name', {}, [text(spec.name)]),
    element('uuid', {}, [text(spec.instanceId)]),
    metadata(spec, files),
    element('memory', { unit: 'MiB' }, [text(String(spec.memoryMiB))]),
    element('vcpu', {}, [text(String(spec.vcpus))]),
    machine.domainType === 'test' ? '' : smbios(spec),
    boot(spec, files, machine),
    element('features', {}, [element('acpi'), element('apic')]),
    accelerated ? element('cpu', { mode: 'host-model' }) : '',
    element('clock', { offset: 'utc' }),
    element('on_poweroff', {}, ['destroy']),
    element('on_reboot', {}, ['restart']),
    element('on_crash', {}, ['destroy']),
    element('devices', {}, devices(spec, files, machine)),
  ]);
}

/** What names the guest again after everything else was lost. */
function metadata(spec: GuestSpec, files: GuestFiles): string {
  return element('metadata', {}, [
    element('novact:instance', {
      'xmlns:novact': METADATA_URI,
      id: spec.instanceId,
      generation: spec.generation,
      project: spec.projectId,
      user: spec.userId,
      name: spec.displayName,
      admin: adminOf(spec),
      rescue: files.rescuedWith,
    }),
  ]);
}

/** Whose password `setPassword` sets. */
function adminOf({ image: { properties } }: GuestSpec): string {
  const named = properties.os_admin_user;
  if (named !== undefined && ADMIN.test(named)) return named;
  return properties.os_type === 'windows' ? 'Administrator' : DEFAULT_ADMIN;
}

/** cloud-init looks at the product to know where its metadata is. */
function smbios(spec: GuestSpec): string {
  const entry = (name: string, value: string): string => element('entry', { name }, [text(value)]);
  return element('sysinfo', { type: 'smbios' }, [
    element('system', {}, [
      entry('manufacturer', 'novact'),
      entry('product', 'OpenStack Compute'),
      entry('serial', spec.instanceId),
      entry('uuid', spec.instanceId),
      entry('family', 'Virtual Machine'),
    ]),
  ]);
}

function boot(spec: GuestSpec, files: GuestFiles, machine: Machine): string {
  const direct =
    files.kernel === undefined
      ? []
      : [
          element('kernel', {}, [text(files.kernel)]),
          files.ramdisk === undefined ? '' : element('initrd', {}, [text(files.ramdisk)]),
          element('cmdline', {}, [text(spec.image.properties.os_command_line ?? DEFAULT_COMMAND_LINE)]),
        ];
  // `pc` has free slots for what is plugged later; elsewhere libvirt knows best.
  const board = machine.arch === 'x86_64' && machine.domainType !== 'test' ? 'pc' : undefined;
  return element('os', {}, [
    element('type', { arch: machine.arch, machine: board }, ['hvm']),
    ...direct,
    element('boot', { dev: 'hd' }),
    machine.domainType === 'test' ? '' : element('smbios', { mode: 'sysinfo' }),
  ]);
}

function devices(spec: GuestSpec, files: GuestFiles, machine: Machine): string[] {
  const bus = choice(spec.image.properties.hw_disk_bus, DISK_BUSES, 'hw_disk_bus');
  const model = choice(spec.image.properties.hw_vif_model, NIC_MODELS, 'hw_vif_model');
  return [
    ...files.disks.map((disk, index) => diskElement(disk, index, { bus, machine })),
    ...spec.nics.map((nic) =>
      element('interface', { type: machine.bridge === undefined ? 'user' : 'bridge' }, [
        element('mac', { address: nic.mac }),
        machine.bridge === undefined ? '' : element('source', { bridge: machine.bridge }),
        element('model', { type: model }),
      ]),
    ),
    // The log belongs to libvirt's log daemon, so the terminal stays free for an interactive console.
    element('serial', { type: 'pty' }, [element('log', { file: files.consoleLog, append: 'off' }), element('target', { port: 0 })]),
    wants(spec.image.properties.hw_qemu_guest_agent)
      ? element('channel', { type: 'unix' }, [element('target', { type: 'virtio', name: 'org.qemu.guest_agent.0' })])
      : '',
    ...(YES.test(spec.image.properties.hw_qemu_guest_agent ?? '')
      ? [element('channel', { type: 'unix' }, [element('target', { type: 'virtio', name: AGENT })])]
      : []),
    element('rng', { model: 'virtio' }, [element('backend', { model: 'random' }, ['/dev/urandom'])]),
    element('memballoon', { model: 'virtio' }),
  ];
}

function diskElement(disk: GuestDisk, index: number, { bus, machine }: { bus: string; machine: Machine }): string {
  const device = `${bus === 'virtio' ? 'v' : bus === 'ide' ? 'h' : 's'}d${LETTERS[index] ?? 'z'}`;
  return element('disk', { type: 'file', device: 'disk' }, [
    element('driver', { name: 'qemu', type: 'qcow2', discard: 'unmap' }),
    element('source', { file: disk.path }),
    backing(disk, machine),
    element('target', { dev: device, bus }),
  ]);
}

/** The chain is said in full and ended, so that no one follows what a header claims. */
function backing(disk: GuestDisk, machine: Machine): string {
  if (disk.base === undefined) return element('backingStore');
  return element('backingStore', { type: 'file' }, [
    element('format', { type: disk.base.format }),
    element('source', { file: disk.base.path }, [machine.changesOwners ? element('seclabel', { model: 'dac', relabel: 'no' }) : '']),
    element('backingStore'),
  ]);
}

function choice<T extends string>(value: string | undefined, allowed: readonly [T, ...T[]], property: string): T {
  if (value === undefined) return allowed[0];
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw new Fault('invalid', 'image.property', `The image property ${property} has a value that is not supported.`);
  return found;
}

function wants(value: string | undefined): boolean {
  return value !== undefined && /^(yes|true|1|on)$/i.test(value);
}

function element(name: string, attributes: Attributes = {}, children: readonly string[] = []): string {
  const written = Object.entries(attributes).filter(([, value]) => value !== undefined);
  const start = [name, ...written.map(([key, value]) => `${key}="${text(String(value))}"`)].join(' ');
  const inner = children.join('');
  return inner === '' ? `<${start}/>` : `<${start}>${inner}</${name}>`;
}

const ESCAPES: { readonly [character: string]: string } = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};
/** Characters that XML 1.0 can't carry even escaped. */
// oxlint-disable-next-line no-control-regex -- they are the point
const IMPOSSIBLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

/** Safe as content and as an attribute's value. */
export function text(value: string): string {
  return value
    .toWellFormed()
    .replace(IMPOSSIBLE, '\ufffd')
    .replace(/[&<>"'\t\n\r]/g, (character) => ESCAPES[character] ?? '');
}
