#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Whether compare-runs sees a regression where there is one, and only there.
[ -x ./compare-runs ] || { echo "compare-runs was not built"; exit 77; }
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
status=0

# result NAME QUICK MACHINE PEER VALUE LOWER UPPER HIGHER_IS_BETTER [COVERAGE [NOISY]]: a
# file with one median.
result() {
	cat >"$folder/$1" <<END
{"context": {"quick": $2, "machine": "$3"}, "benchmarks": [
{"name": "w1/$4/workers:2", "run_name": "w1/$4/workers:2", "run_type": "iteration",
 "real_time": 1, "peer": "$4", "unit": "ms", "value": 1},
{"name": "w1/$4/workers:2_median", "run_name": "w1/$4/workers:2", "run_type": "aggregate",
 "aggregate_name": "median", "real_time": $5, "peer": "$4", "unit": "ms", "value": $5,
 "lower": $6, "upper": $7, "coverage": ${9:-0.97}, "higher_is_better": $8, "noisy": ${10:-false}}]}
END
}

# table NAME HIGHER_IS_BETTER COVERAGE NOISY PEER LOWER UPPER ...: a file with the medians of
# these peers in two tables; the one of 1 worker has them all alike.
table() {
	name=$1 higher=$2 coverage=$3 noisy=$4
	shift 4
	echo '{"context": {}, "benchmarks": [' >"$folder/$name"
	while [ $# -ge 3 ]; do
		median 2 "$1" "$2" "$3" >>"$folder/$name"
		echo , >>"$folder/$name"
		median 1 "$1" 1 9 >>"$folder/$name"
		shift 3
		[ $# = 0 ] || echo , >>"$folder/$name"
	done
	echo ']}' >>"$folder/$name"
}

median() {
	cat <<END
{"name": "w1/$2/workers:$1_median", "run_name": "w1/$2/workers:$1", "run_type": "aggregate",
 "aggregate_name": "median", "real_time": $3, "workload": "w1", "peer": "$2", "workers": $1,
 "unit": "ms", "value": $3, "lower": $3, "upper": $4, "coverage": $coverage,
 "higher_is_better": $higher, "noisy": $noisy}
END
}

# expect STATUS TEXT WHAT [OPTION]: the exit status of compare-runs, and what its output holds.
expect() {
	./compare-runs $4 "$folder/old" "$folder/new" >"$folder/out" 2>&1
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
result old false A forkpool 10 9 11 false 0.75
result new false A forkpool 13 12 14 false
expect 0 "0 worse" "three rounds are too few to call it worse"
expect 0 "1 with too few rounds" "the count of these"
result old false A forkpool 10 9 11 false
result new false A forkpool 13 12 14 false 0.75
expect 0 "1 with too few rounds" "too few rounds in the new file"
result new false A forkpool 13 12 14 false 0.97 true
expect 0 "WORSE, noisy" "a noisy median is shown"
expect 0 "1 of forkpool's are worse but noisy" "and decides nothing"

table old false 0.97 false forkpool 10 11 tbb 12 13 serial 20 21
table new false 0.97 false forkpool 15 16 tbb 12 13 serial 20 21
expect 4 "1 inversion among 6 pairs" "two that changed places" --inversions
expect 4 "w1, 2 workers, ms:" "where they did" --inversions
expect 3 "1 inversion among 6 pairs" "they are told in any comparison"
table new false 0.97 false forkpool 12.5 16 tbb 12 13 serial 20 21
expect 0 "0 inversions among 6 pairs" "two that are level now" --inversions
table new false 0.97 false forkpool 8 9 tbb 9.5 10 serial 10.5 11
expect 0 "0 inversions among 6 pairs" "all faster, in the same order" --inversions
table old true 0.97 false forkpool 10 11 tbb 12 13 serial 20 21
table new true 0.97 false forkpool 30 31 tbb 22 23 serial 20 21
expect 4 "3 inversions among 6 pairs" "rates, all turned round" --inversions
expect 0 "3 inversions among 6 pairs" "which is no fault of forkpool's"
table new true 0.97 true forkpool 30 31 tbb 22 23 serial 20 21
expect 0 "0 inversions among 6 pairs, and 3 with noisy" "noisy ones" --inversions
table new true 0.75 false forkpool 30 31 tbb 22 23 serial 20 21
expect 0 "6 of the pairs have too few rounds" "too few rounds for an order" --inversions
table new true 0.97 false pipe 30 31 forkpool 22 23
expect 0 "0 inversions among 0 pairs" "pairs that one file has not" --inversions
expect 2 "usage" "an option that is none" --wurst

./compare-runs --help >"$folder/out" || { echo "--help: status $?"; status=1; }
result old false A forkpool 10 9 11 false
./compare-runs "$folder/old" || { echo "an old run alone: status $?"; status=1; }
echo '{"benchmarks": [' >"$folder/new"
expect 2 "near end of file" "a file cut short"
echo '{"context": {}}' >"$folder/new"
expect 2 "no list" "another kind of file"
exit $status
