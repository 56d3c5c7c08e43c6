/**
 * Named points at which a test may end the process as a power cut would: before and after each await of commit,
 * claim, verb and reply. Off unless the environment names one: `NOVACT_FAILPOINT=commit.after:3` dies at the third
 * time that point is reached.
 */
export type Failpoint = (name: string) => void;

export const noFailpoint: Failpoint = () => {};

export function failpointFrom(setting: string | undefined, die: () => void): Failpoint {
  if (!setting) return noFailpoint;
  const [wanted, count = '1'] = setting.split(':');
  let left = Number(count);
  return (name) => {
    if (name === wanted && --left === 0) die();
  };
}
