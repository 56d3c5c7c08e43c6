/**
 * Every route of the Compute API as its newest reference has it: method, path (`#action` of a body), the first and the
 * last minor version in which it is there, and the codes that it answers then. 410 stands for what was dropped.
 */
export type ReferenceRoute = {
  readonly method: string;
  readonly path: string;
  readonly action: string | null;
  readonly from: number;
  readonly to: number;
  readonly codes: readonly number[];
};

const TABLE = `
GET / 1-104 200 404
GET /versions/:id 1-104 200 404
GET /extensions 1-104 200
GET /extensions/:id 1-104 200 404
GET /flavors 1-104 200 400
POST /flavors 1-104 200 400 409
GET /flavors/detail 1-104 200 400
GET /flavors/:id 1-104 200 404
PUT /flavors/:id 55-104 200 400 404
DELETE /flavors/:id 1-104 202 404
POST /flavors/:id/action#addTenantAccess 1-104 200 400 403 404 409
POST /flavors/:id/action#removeTenantAccess 1-104 200 400 403 404
GET /flavors/:flavor_id/os-extra_specs 1-104 200 404
POST /flavors/:flavor_id/os-extra_specs 1-104 200 400 404 409
GET /flavors/:flavor_id/os-extra_specs/:id 1-104 200 404
PUT /flavors/:flavor_id/os-extra_specs/:id 1-104 200 400 404 409
DELETE /flavors/:flavor_id/os-extra_specs/:id 1-104 200 404
GET /flavors/:flavor_id/os-flavor-access 1-104 200 404
GET /images 1-35 200 400
GET /images/detail 1-35 200 400
GET /images/:id 1-35 200 404
DELETE /images/:id 1-35 204 403 404
GET /images/:image_id/metadata 1-38 200 403 404
POST /images/:image_id/metadata 1-38 200 400 403 404
PUT /images/:image_id/metadata 1-38 200 400 403 404
GET /images/:image_id/metadata/:id 1-38 200 403 404
PUT /images/:image_id/metadata/:id 1-38 200 400 403 404
DELETE /images/:image_id/metadata/:id 1-38 204 403 404
GET /limits 1-104 200
GET /os-agents 1-104 410
POST /os-agents 1-104 410
PUT /os-agents/:id 1-104 410
DELETE /os-agents/:id 1-104 410
GET /os-aggregates 1-104 200
POST /os-aggregates 1-104 200 400 409
GET /os-aggregates/:id 1-104 200 400 404
PUT /os-aggregates/:id 1-104 200 400 404 409
DELETE /os-aggregates/:id 1-104 200 400 404
POST /os-aggregates/:id/action#add_host 1-104 200 400 404 409
POST /os-aggregates/:id/action#remove_host 1-104 200 400 404 409
POST /os-aggregates/:id/action#set_metadata 1-104 200 400 404
POST /os-aggregates/:id/images 81-104 202 400 404
POST /os-assisted-volume-snapshots 1-104 200 400
DELETE /os-assisted-volume-snapshots/:id 1-104 204 400 404
GET /os-availability-zone 1-104 200
GET /os-availability-zone/detail 1-104 200
GET /os-baremetal-nodes 1-35 200 404 501
POST /os-baremetal-nodes 1-35 200 400
GET /os-baremetal-nodes/:id 1-35 200 404 501
DELETE /os-baremetal-nodes/:id 1-35 200 400
POST /os-baremetal-nodes/:id/action#add_interface 1-35 200 400
POST /os-baremetal-nodes/:id/action#remove_interface 1-35 200 400
POST /os-cells 1-104 410
GET /os-cells 1-104 410
GET /os-cells/capacities 1-104 410
GET /os-cells/detail 1-104 410
GET /os-cells/info 1-104 410
POST /os-cells/sync_instances 1-104 410
GET /os-cells/:id 1-104 410
PUT /os-cells/:id 1-104 410
DELETE /os-cells/:id 1-104 410
GET /os-cells/:id/capacities 1-104 410
POST /os-certificates 1-104 410
GET /os-certificates/:id 1-104 410
GET /os-cloudpipe 1-104 410
POST /os-cloudpipe 1-104 410
PUT /os-cloudpipe/:id 1-104 410
GET /os-console-auth-tokens/:id 1-104 200 400 401 404
GET /os-fixed-ips/:id 1-35 410
POST /os-fixed-ips/:id/action#reserve 1-35 410
POST /os-fixed-ips/:id/action#unreserve 1-35 410
GET /os-floating-ip-dns 1-35 410
PUT /os-floating-ip-dns/:id 1-35 410
DELETE /os-floating-ip-dns/:id 1-35 410
GET /os-floating-ip-dns/:domain_id/entries/:id 1-35 410
PUT /os-floating-ip-dns/:domain_id/entries/:id 1-35 410
DELETE /os-floating-ip-dns/:domain_id/entries/:id 1-35 410
GET /os-floating-ip-pools 1-35 200
GET /os-floating-ips 1-35 200
POST /os-floating-ips 1-35 200 400 403 404
GET /os-floating-ips/:id 1-35 200 400 404
DELETE /os-floating-ips/:id 1-35 202 400 403 404 409
GET /os-floating-ips-bulk 1-35 410
POST /os-floating-ips-bulk 1-35 410
GET /os-floating-ips-bulk/:id 1-35 410
PUT /os-floating-ips-bulk/:id 1-35 410
GET /os-fping 1-35 410
GET /os-fping/:id 1-35 410
GET /os-hosts 1-42 200
GET /os-hosts/:id 1-42 200 404
PUT /os-hosts/:id 1-42 200 400 404 501
GET /os-hosts/:id/reboot 1-42 200 400 404 501
GET /os-hosts/:id/shutdown 1-42 200 400 404 501
GET /os-hosts/:id/startup 1-42 200 400 404 501
GET /os-hypervisors 1-104 200 400 404
GET /os-hypervisors/detail 1-104 200 400 404
GET /os-hypervisors/statistics 1-87 200
GET /os-hypervisors/:id 1-104 200 400 404
GET /os-hypervisors/:id/search 1-52 200 404
GET /os-hypervisors/:id/servers 1-52 200 404
GET /os-hypervisors/:id/uptime 1-87 200 400 404 501
GET /os-instance_usage_audit_log 1-104 200
GET /os-instance_usage_audit_log/:id 1-104 200 400
GET /os-keypairs 1-104 200 400
POST /os-keypairs 1-104 200 201 400 403 409
GET /os-keypairs/:id 1-104 200 404
DELETE /os-keypairs/:id 1-104 202 204 404
GET /os-migrations 1-104 200 400
GET /os-networks 1-35 200
POST /os-networks 1-35 410
POST /os-networks/add 1-35 410
GET /os-networks/:id 1-35 200 404
DELETE /os-networks/:id 1-35 410
POST /os-networks/:id/action#disassociate 1-35 410
POST /os-networks/:id/action#disassociate_host 1-35 410
POST /os-networks/:id/action#disassociate_project 1-35 410
POST /os-networks/:id/action#associate_host 1-35 410
GET /os-quota-class-sets/:id 1-104 200
PUT /os-quota-class-sets/:id 1-104 200 400
GET /os-quota-sets/:id 1-104 200 400
PUT /os-quota-sets/:id 1-104 200 400
DELETE /os-quota-sets/:id 1-104 202
GET /os-quota-sets/:id/detail 1-104 200 400
GET /os-quota-sets/:id/defaults 1-104 200 400
GET /os-security-group-default-rules 1-35 410
POST /os-security-group-default-rules 1-35 410
GET /os-security-group-default-rules/:id 1-35 410
DELETE /os-security-group-default-rules/:id 1-35 410
POST /os-security-group-rules 1-35 200 400 403 404
DELETE /os-security-group-rules/:id 1-35 202 400 404 409
GET /os-security-groups 1-35 200 404
POST /os-security-groups 1-35 200 400 403
GET /os-security-groups/:id 1-35 200 400 404
PUT /os-security-groups/:id 1-35 200 400 404
DELETE /os-security-groups/:id 1-35 202 400 404
POST /os-server-external-events 1-104 200 207 403
GET /os-server-groups 1-104 200
POST /os-server-groups 1-104 200 400 403 409
GET /os-server-groups/:id 1-104 200 404
DELETE /os-server-groups/:id 1-104 204 404
GET /os-services 1-104 200
PUT /os-services/:id 1-104 200 400 404
DELETE /os-services/:id 1-104 204 400 404 409
GET /os-simple-tenant-usage 1-104 200 400
GET /os-simple-tenant-usage/:id 1-104 200 400
GET /os-snapshots 1-35 200
POST /os-snapshots 1-35 200 400 403
GET /os-snapshots/detail 1-35 200
GET /os-snapshots/:id 1-35 200 404
DELETE /os-snapshots/:id 1-35 202 404
GET /os-tenant-networks 1-35 200
POST /os-tenant-networks 1-35 410
GET /os-tenant-networks/:id 1-35 200 404
DELETE /os-tenant-networks/:id 1-35 410
GET /os-volumes 1-35 200
POST /os-volumes 1-35 200 400 403 404
GET /os-volumes/detail 1-35 200
GET /os-volumes/:id 1-35 200 404
DELETE /os-volumes/:id 1-35 202 400 404
GET /servers 1-104 200 400 403
POST /servers 1-104 202 400 403 409
GET /servers/detail 1-104 200 400 403
GET /servers/:id 1-104 200 404
PUT /servers/:id 1-104 200 404 409
DELETE /servers/:id 1-104 204 404 409
POST /servers/:id/action#confirmResize 1-104 204 400 404 409
POST /servers/:id/action#revertResize 1-104 202 400 404 409
POST /servers/:id/action#reboot 1-104 202 404 409
POST /servers/:id/action#resize 1-104 202 400 401 403 404 409
POST /servers/:id/action#rebuild 1-104 202 400 403 404 409
POST /servers/:id/action#createImage 1-104 202 400 403 404 409
POST /servers/:id/action#os-start 1-104 202 404 409
POST /servers/:id/action#os-stop 1-104 202 404 409
POST /servers/:id/action#trigger_crash_dump 17-104 202 400 404 409
POST /servers/:id/action#resetNetwork 1-104 410
POST /servers/:id/action#injectNetworkInfo 1-104 202 404 409
POST /servers/:id/action#os-resetState 1-104 202 404
POST /servers/:id/action#changePassword 1-104 202 404 409 501
POST /servers/:id/action#os-getConsoleOutput 1-104 200 404 409 501
POST /servers/:id/action#createBackup 1-104 202 400 403 404 409
POST /servers/:id/action#restore 1-104 202 403 404 409
POST /servers/:id/action#forceDelete 1-104 202 404 409
POST /servers/:id/action#evacuate 1-104 200 400 403 404 409
POST /servers/:id/action#addFloatingIp 1-43 202 400 403 404
POST /servers/:id/action#removeFloatingIp 1-43 202 400 403 404 409
POST /servers/:id/action#lock 1-104 202 404
POST /servers/:id/action#unlock 1-104 202 404
POST /servers/:id/action#migrate 1-104 202 400 403 404 409
POST /servers/:id/action#os-migrateLive 1-104 202 400 403 404 409
POST /servers/:id/action#addFixedIp 1-43 202 400 404
POST /servers/:id/action#removeFixedIp 1-43 202 400 404
POST /servers/:id/action#pause 1-104 202 404 409 501
POST /servers/:id/action#unpause 1-104 202 404 409 501
POST /servers/:id/action#os-getVNCConsole 1-5 200 400 404 409 501
POST /servers/:id/action#os-getSPICEConsole 1-5 200 400 404 409 501
POST /servers/:id/action#os-getRDPConsole 1-5 410
POST /servers/:id/action#os-getSerialConsole 1-5 200 400 404 409 501
POST /servers/:id/action#rescue 1-104 200 400 404 409 501
POST /servers/:id/action#unrescue 1-104 202 404 409 501
POST /servers/:id/action#addSecurityGroup 1-104 202 400 404 409
POST /servers/:id/action#removeSecurityGroup 1-104 202 400 404 409
POST /servers/:id/action#shelve 1-104 202 400 403 404 409
POST /servers/:id/action#shelveOffload 1-104 202 400 404 409
POST /servers/:id/action#unshelve 1-104 202 400 403 404 409
POST /servers/:id/action#suspend 1-104 202 400 403 404 409
POST /servers/:id/action#resume 1-104 202 404 409
GET /servers/:server_id/consoles 1-104 410
POST /servers/:server_id/consoles 1-104 410
GET /servers/:server_id/consoles/:id 1-104 410
DELETE /servers/:server_id/consoles/:id 1-104 410
GET /servers/:server_id/diagnostics 1-104 200 400 404 409 501
GET /servers/:server_id/ips 1-104 200 404
GET /servers/:server_id/ips/:id 1-104 200 404
GET /servers/:server_id/metadata 1-104 200 404
POST /servers/:server_id/metadata 1-104 200 403 404 409
PUT /servers/:server_id/metadata 1-104 200 403 404 409
GET /servers/:server_id/metadata/:id 1-104 200 404
PUT /servers/:server_id/metadata/:id 1-104 200 400 403 404 409
DELETE /servers/:server_id/metadata/:id 1-104 204 404 409
GET /servers/:server_id/migrations 23-104 200 404
GET /servers/:server_id/migrations/:id 23-104 200 404
DELETE /servers/:server_id/migrations/:id 24-104 202 400 404 409
POST /servers/:server_id/migrations/:id/action#force_complete 22-104 202 400 403 404 409
GET /servers/:server_id/os-instance-actions 1-104 200 400 404
GET /servers/:server_id/os-instance-actions/:id 1-104 200 404
GET /servers/:server_id/os-interface 1-104 200 404 501
POST /servers/:server_id/os-interface 1-104 200 400 403 404 409 500 501
GET /servers/:server_id/os-interface/:id 1-104 200 403 404
DELETE /servers/:server_id/os-interface/:id 1-104 202 400 404 409 501
GET /servers/:server_id/os-server-password 1-104 200 404
DELETE /servers/:server_id/os-server-password 1-104 204 404
GET /servers/:server_id/os-virtual-interfaces 1-43 410
GET /servers/:server_id/os-volume_attachments 1-104 200 404
POST /servers/:server_id/os-volume_attachments 1-104 200 202 400 403 404 409
GET /servers/:server_id/os-volume_attachments/:id 1-104 200 404
PUT /servers/:server_id/os-volume_attachments/:id 1-104 202 400 404 409
DELETE /servers/:server_id/os-volume_attachments/:id 1-104 202 400 403 404 409
POST /servers/:server_id/remote-consoles 6-104 200 400 404 409 501
GET /servers/:server_id/os-security-groups 1-104 200 404
GET /servers/:server_id/shares 97-104 200 400 403 404
POST /servers/:server_id/shares 97-104 201 400 403 404 409
GET /servers/:server_id/shares/:id 97-104 200 400 403 404
DELETE /servers/:server_id/shares/:id 97-104 200 400 403 404 409
GET /servers/:server_id/tags 26-104 200 404
PUT /servers/:server_id/tags 26-104 200 404 409
DELETE /servers/:server_id/tags 26-104 204 404 409
GET /servers/:server_id/tags/:id 26-104 204 404
PUT /servers/:server_id/tags/:id 26-104 201 204 400 404 409
DELETE /servers/:server_id/tags/:id 26-104 204 404 409
GET /servers/:server_id/topology 78-104 200 404
`;

export const REFERENCE_ROUTES: readonly ReferenceRoute[] = TABLE.trim()
  .split('\n')
  .map((line) => {
    const [method = '', where = '', versions = '', ...codes] = line.split(' ');
    const [path = '', action] = where.split('#');
    const [from = 0, to = 0] = versions.split('-').map(Number);
    return { method, path, action: action ?? null, from, to, codes: codes.map(Number) };
  });

/** How a row is named where it is marked. */
export function nameOf({ method, path, action }: ReferenceRoute): string {
  return `${method} ${path}${action === null ? '' : `#${action}`}`;
}
