/** Every promise that a simulated cluster can break. */
import type { Checker } from './checker.ts';
import { BOUNDED } from './bounded.ts';
import { DOORS } from './doors.ts';
import { EVENTS } from './events.ts';
import { GROUPS } from './groups.ts';
import { HOST_LOSS } from './host-loss.ts';
import { IMAGES } from './images.ts';
import { KEPT } from './kept.ts';
import { ONE_PLACE } from './one-place.ts';
import { ONE_WRITER } from './one-writer.ts';
import { STREAMS } from './streams.ts';
import { SUMS } from './sums.ts';
import { WORK_ENDS } from './work-ends.ts';
import { ZONES } from './zones.ts';

export const CHECKERS: readonly Checker[] = [ONE_WRITER, WORK_ENDS, ONE_PLACE, HOST_LOSS, SUMS, GROUPS, EVENTS, STREAMS, KEPT, IMAGES, DOORS, BOUNDED, ZONES];
