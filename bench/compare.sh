#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Whether compare-runs sees a regression where there is one, and only there.
[ -x ./compare-runs ] || { echo "compare-runs was not built"; exit 77; }
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
status=0

# result NAME QUICK MACHINE PEER VALUE LOWER UPPER HIGHER_IS_BETTER: a file with one median.
result() {
	cat >"$folder/$1" <<END
{"context": {"quick": $2, "machine": "$3"}, "benchmarks": [
{"name": "w1/$4/workers:2", "run_name": "w1/$4/workers:2", "run_type": "iteration",
 "real_time": 1, "peer": "$4", "unit": "ms", "value": 1},
{"name": "w1/$4/workers:2_median", "run_name": "w1/$4/workers:2", "run_type": "aggregate",
 "aggregate_name": "median", "real_time": $5, "peer": "$4", "unit": "ms", "value": $5,
 "lower": $6, "upper": $7, "coverage": 0.97, "higher_is_better": $8, "noisy": false}]}
END
}

# expect STATUS TEXT WHAT: the exit status of compare-runs, and what its output holds.
expect() {
	./compare-runs "$folder/old" "$folder/new" >"$folder/out" 2>&1
	got=$?
	if [ "$got" != "$1" ] || ! grep -q "$2" "$folder/out"; then
		echo "$3: status $got, expected $1 and '$2' in:"
		cat "$folder/out"
		status=1
	fi
}

result old false A forkpool 10 9 11 false
result new false A forkpool 13 12 14 false
expect 3 "WORSE" "slower beyond both intervals"
expect 3 "1 worse, 1 of these" "the count of it"
result new false A forkpool 12 10.5 14 false
expect 0 "1 the same" "slower within the intervals"
result new false A forkpool 7 6 8 false
expect 0 "1 better" "faster"
result new false B forkpool 10 9 11 false
expect 0 "another machine" "another machine"
result new true A forkpool 10 9 11 false
expect 2 "quick" "other sizes"
result new false A pipe-item 10 9 11 false
expect 0 "1 only in the old file, 1 only in the new" "nothing in common"
result new false A forkpool 7 6 8 true
result old false A forkpool 10 9 11 true
expect 3 "WORSE" "a rate that fell"
result new false A forkpool 13 12 14 true
expect 0 "1 better" "a rate that rose"
result old false A pipe-item 10 9 11 false
result new false A pipe-item 13 12 14 false
expect 0 "1 worse, 0 of these" "another peer that got slower"
./compare-runs "$folder/old" || { echo "an old run alone: status $?"; status=1; }
echo '{"benchmarks": [' >"$folder/new"
expect 2 "near end of file" "a file cut short"
echo '{"context": {}}' >"$folder/new"
expect 2 "no list" "another kind of file"
exit $status
