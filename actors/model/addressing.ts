/** Networks and the addresses that servers have on them. */
export type NetworkRecord = {
  readonly id: string;
  readonly label: string;
  /** `10.20.0.0/16` */
  readonly cidr: string;
  readonly gateway: string | null;
  /** null: every project may use it. */
  readonly projectId: string | null;
};

/** One network port of a server, as stored with it and in `fixed_ip` (unique per network and address). */
export type Nic = {
  readonly networkId: string;
  readonly label: string;
  readonly address: string;
  readonly prefix: number;
  readonly gateway: string | null;
  readonly mac: string;
};
