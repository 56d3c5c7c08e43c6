/** The image's architecture and hypervisor type, where it names them, are the host's. Source: scheduler page, image properties. */
import type { Filter } from './filter.ts';

export const IMAGE_PROPERTIES: Filter = {
  name: 'ImagePropertiesFilter',
  passes: ({ report }, { imageProperties }) => {
    const arch = imageProperties['hw_architecture'] ?? imageProperties['architecture'];
    const type = imageProperties['img_hv_type'] ?? imageProperties['hypervisor_type'];
    if (arch !== undefined && arch.toLowerCase() !== report.arch.toLowerCase()) return false;
    return type === undefined || type.toLowerCase() === report.hypervisorType.toLowerCase();
  },
};
