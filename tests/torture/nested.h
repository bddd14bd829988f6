/* SPDX-License-Identifier: MIT */
/* What kill_anywhere expects of items that map: a part of it, and included there alone. */
/* Items that map: the worker that was killed ran one of them, or one of their items. */
static bool expect_nested_items(void)
{
	uint32_t most = h.path->retries + 1, lost = 0, i, k, ran;

	for (i = 0; i < h.path->count; i++) {
		const struct forkpool_status *st = &h.sh->status[i];
		bool ok = st->outcome == FORKPOOL_ITEM_OK;

		lost += !ok;
		EXPECT(ok || (st->outcome == FORKPOOL_ITEM_CRASHED && st->code == SIGKILL) ||
		       (st->outcome == FORKPOOL_ITEM_FAILED && st->code == INNER_CRASHED),
		       "item %u: outcome %d, code %d", i, st->outcome, st->code);
		EXPECT(!ok || h.sh->out[i] == 3 * i + 1, "item %u gave %u", i, h.sh->out[i]);
		for (k = i * INNER; k < (i + 1) * INNER; k++) {
			ran = fp_load_rlx(&h.sh->inner_ran[k]);
			EXPECT(ran <= most * most && (ran || !ok), "item %u's item %u ran %u times",
			       i, k % INNER, ran);
		}
	}
	EXPECT(lost <= !h.path->retries, "%u items lost", lost);
	return lost;
}

/*
 * Have the others done all but what the victim holds, [begin, end) of the job, or
 * (helps) of an item's map?  Who waits for what the victim runs of an item's
 * map begins nothing else; but what there is of the maps that have begun is run.
 */
static bool others_are_done_with_maps(uint64_t begin, uint64_t end, bool helps)
{
	uint32_t i, k;

	for (i = 0; i < h.path->count; i++) {
		if (!helps && i >= begin && i < end)
			continue;
		if (!fp_load_sc(&h.sh->ran[i]) && !helps)
			return false;
		for (k = 0; k < INNER && fp_load_sc(&h.sh->ran[i]); k++)
			if (!fp_load_sc(&h.sh->inner_ran[i * INNER + k]) &&
			    !(helps && k >= begin && k < end))
				return false;
	}
	return begin < end;
}
