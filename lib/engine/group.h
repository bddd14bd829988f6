/* SPDX-License-Identifier: MIT */
/* Tasks to be waited for together; see group.c. */
#ifndef FP_ENGINE_GROUP_H
#define FP_ENGINE_GROUP_H

#include "engine/submit.h"

/* As fp_submit(); the tasks belong to the group from then on.  -EINVAL: it is another pool's. */
int64_t fp_group_submit(struct forkpool_group *group, struct forkpool *pool,
			const struct fp_spec *spec, struct forkpool_job **ret);

#endif
