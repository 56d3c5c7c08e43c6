import { describe, expect, it } from 'vitest';
import pg from 'pg';
import { reach, serverUrls } from '../../../runtime/database/primary.ts';
import { placeOf } from '../../../runtime/database/server-check.ts';
import { databaseOf } from '../../../actors/conductor/migrations/orm.ts';

const TWO = 'postgresql://u:p@a:5432,[::1]:5433/cell?target_session_attrs=read-write&application_name=x';

describe('a URL of several servers', () => {
  it('is one URL for each, with all that they share', () => {
    expect(serverUrls(TWO)).toEqual(['postgresql://u:p@a:5432/cell?application_name=x', 'postgresql://u:p@[::1]:5433/cell?application_name=x']);
    expect(serverUrls('postgresql://u:p%2Cq,r@a,b/cell')).toEqual(['postgresql://u:p%2Cq,r@a/cell', 'postgresql://u:p%2Cq,r@b/cell']);
  });

  it('may not name more servers than anybody has', () => {
    expect(() => serverUrls(`postgresql://${Array.from({ length: 17 }, (_, i) => `h${i}`).join(',')}/cell`)).toThrow(/at most 16/);
  });

  it('is named without its password, and its database is known', () => {
    expect(placeOf(TWO)).toBe('a:5432, [::1]:5433/cell as u');
    expect(databaseOf(TWO)).toBe('cell');
  });

  it('is left as it is when it names one', () => {
    const url = 'postgresql://u:p@%2Frun%2Fpg:5433/x';
    expect(reach(url)).toEqual({ connectionString: url, Client: pg.Client });
  });

  it('fails with what the servers said when none of them answers', async () => {
    const { Client, connectionString } = reach('postgresql://u:p@127.0.0.1:1,127.0.0.1:2/cell');
    const client = new Client({ connectionString });
    client.on('error', () => undefined); // the one that connects is told by its promise
    await expect(client.connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
