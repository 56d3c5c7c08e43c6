/** Everything under `/servers`, joined. */
import type { ComputeRoute } from '../parts.ts';
import { SERVER_ACTION_ROUTES } from './actions.ts';
import { SERVER_CREATE_ROUTES } from './create.ts';
import { GUEST_ROUTES } from './guest-actions.ts';
import { IN_PLACE_ROUTES } from './in-place.ts';
import { SERVER_LIST_ROUTES } from './list.ts';
import { MOVE_ROUTES } from './moves.ts';
import { ACTION_HISTORY_ROUTES } from './parts/action-history.ts';
import { ADDRESS_ROUTES } from './parts/addresses.ts';
import { GUEST_PASSWORD_ROUTES } from './parts/guest-password.ts';
import { INSIDE_ROUTES } from './parts/inside.ts';
import { METADATA_ROUTES } from './parts/metadata.ts';
import { SERVER_MIGRATION_ROUTES } from './parts/migrations.ts';
import { SERVER_SECURITY_GROUP_ROUTES } from './parts/security-groups.ts';
import { TAG_ROUTES } from './parts/tags.ts';
import { SERVER_ROUTES_OF_ONE } from './show.ts';

export const SERVER_ROUTES: readonly ComputeRoute[] = [
  ...SERVER_LIST_ROUTES,
  ...SERVER_CREATE_ROUTES,
  ...SERVER_ROUTES_OF_ONE,
  ...SERVER_ACTION_ROUTES,
  ...MOVE_ROUTES,
  ...IN_PLACE_ROUTES,
  ...GUEST_ROUTES,
  ...METADATA_ROUTES,
  ...ADDRESS_ROUTES,
  ...SERVER_SECURITY_GROUP_ROUTES,
  ...GUEST_PASSWORD_ROUTES,
  ...INSIDE_ROUTES,
  ...TAG_ROUTES,
  ...SERVER_MIGRATION_ROUTES,
  ...ACTION_HISTORY_ROUTES,
];
