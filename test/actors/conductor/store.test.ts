import { storeContract } from '../../contract/store.ts';
import { memoryRig } from '../../doubles/memory-cell.ts';

storeContract('the store in memory', memoryRig);
