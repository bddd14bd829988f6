/* SPDX-License-Identifier: MIT */
/* The nursery: parent of all workers; see nursery.c. */
#ifndef FP_PROC_NURSERY_H
#define FP_PROC_NURSERY_H

#include "proc/crew.h"

/* What the host may ask on the control socket. */
enum fp_command {
	FP_CMD_LOOK = 'L',	/* at what the segment says: `stop`, `watched`, `kills` */
	FP_CMD_RESIZE = 'R',	/* so many workers; see staff.c */
	FP_CMD_GROWN = 'G',	/* all that resize `number` added are ready */
};

/* One message on the socket, which keeps them apart. */
struct fp_order {
	uint32_t cmd;		/* enum fp_command */
	uint32_t number;	/* of a resize; not 0 */
	uint32_t workers;
};

struct fp_nursery_args {
	const struct fp_crew *crew;
	pid_t parent;		/* the keeper; 0 = there is none */
	int host;		/* pidfd of the host */
	int control;		/* our end of the socket */
	struct fp_event *event;	/* the nursery's own copy of what workers inherit */
};

/* The nursery's whole life, right after the fork that made it. */
_Noreturn void fp_nursery_main(const struct fp_nursery_args *args);

#endif
