/* SPDX-License-Identifier: MIT */
/* What kill_anywhere's items allocate, and that nothing of it is left: a part of it, and included there alone. */
static void heap_count(struct fp_heap_count *ret)
{
	const struct fp_heap_place place = fp_segment_heap(h.seg, false);
	struct fp_units units;

	fp_units_view(&units, &place, FP_HEAP_NURSERY);
	fp_heap_count(&units, ret);
}

static void heap_begin(void)
{
	uint32_t i;

	heap_count(&h.before);
	if (h.path->nested)
		return;
	for (i = 0; i < h.path->count; i++)
		h.sh->given[i] = h.path->retries ? NULL : forkpool_shm_alloc(h.pool, RUN);
}

/* Whether a lost item had freed what it was given, the unit's word tells: nobody else's run is the host's. */
static void free_given(void *given)
{
	const struct fp_heap_place place = fp_segment_heap(h.seg, false);
	struct fp_units units;
	uint64_t w;

	fp_units_view(&units, &place, FP_HEAP_NURSERY);
	w = given ? fp_unit_load(&units, (uint32_t)(((char *)given - place.base) >> units.shift)) : 0;
	if (fp_unit_kind(w) == FP_UNIT_RUN && fp_unit_by(w) == FP_HEAP_HOST)
		forkpool_shm_free(h.pool, given);
}

/* After the job: what its items handed on is freed, and then nothing is left. */
static void heap_end(void)
{
	struct fp_heap_count now;
	uint32_t i, k;

	for (i = 0; i < h.path->count && !h.path->nested; i++) {
		for (k = 0; k < 2 && h.sh->status[i].outcome == FORKPOOL_ITEM_OK; k++)
			forkpool_shm_free(h.pool, h.sh->block[i][k]);
		free_given(h.sh->given[i]);
	}
	heap_count(&now);
	EXPECT(now.runs == h.before.runs && now.objects == h.before.objects && !now.passing,
	       "%d runs, %d objects are left, %d pass", (int)(now.runs - h.before.runs),
	       (int)(now.objects - h.before.objects), (int)now.passing);
	expect_sound();
}
