/**
 * The files by which existing clients find a fresh cloud: `clouds.yaml` and `openrc`, closed to other accounts since
 * they hold passwords. Written anew when the cloud is ready, each in one step; a client never reads half of one.
 */
import { join } from 'node:path';
import { stringify } from 'yaml';
import { writeWhole } from '../../../runtime/base/whole-file.ts';

export type CloudAccount = {
  /** Its name in `clouds.yaml`, which `OS_CLOUD` chooses. */
  readonly cloud: string;
  readonly username: string;
  readonly password: string;
  readonly project: string;
  readonly userDomain: string;
  readonly projectDomain: string;
};

export type ClientFiles = { readonly cloudsYaml: string; readonly openrc: string };

/** `openrc` is for the first account. */
export function writeClientFiles(dir: string, cloud: { authUrl: string; region: string; accounts: readonly [CloudAccount, ...CloudAccount[]] }): ClientFiles {
  const { authUrl, region, accounts } = cloud;
  const files = { cloudsYaml: join(dir, 'clouds.yaml'), openrc: join(dir, 'openrc') };
  const clouds = Object.fromEntries(accounts.map((account) => [account.cloud, cloudEntry(authUrl, region, account)]));
  writeWhole(
    files.cloudsYaml,
    `# Written at each start. Use: export OS_CLIENT_CONFIG_FILE=${shellWord(files.cloudsYaml)} OS_CLOUD=${accounts[0].cloud}\n${stringify({ clouds })}`,
  );
  writeWhole(files.openrc, openrc(authUrl, region, accounts[0]));
  return files;
}

function cloudEntry(authUrl: string, region: string, account: CloudAccount): object {
  return {
    auth: {
      auth_url: authUrl,
      username: account.username,
      password: account.password,
      project_name: account.project,
      user_domain_name: account.userDomain,
      project_domain_name: account.projectDomain,
    },
    region_name: region,
    identity_api_version: 3,
    interface: 'public',
  };
}

function openrc(authUrl: string, region: string, account: CloudAccount): string {
  const variables = {
    OS_AUTH_URL: authUrl,
    OS_IDENTITY_API_VERSION: '3',
    OS_USERNAME: account.username,
    OS_PASSWORD: account.password,
    OS_PROJECT_NAME: account.project,
    OS_USER_DOMAIN_NAME: account.userDomain,
    OS_PROJECT_DOMAIN_NAME: account.projectDomain,
    OS_REGION_NAME: region,
    OS_INTERFACE: 'public',
  };
  // A cloud chosen before would win over what follows.
  const lines = ['unset OS_CLOUD OS_TOKEN OS_PROJECT_ID OS_DOMAIN_NAME OS_DOMAIN_ID OS_SYSTEM_SCOPE'];
  for (const [name, value] of Object.entries(variables)) lines.push(`export ${name}=${shellWord(value)}`);
  return `# Written at each start. Use: source this file\n${lines.join('\n')}\n`;
}

/** As one word of a shell, whatever stands in it. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
