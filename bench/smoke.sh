#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Whether the runner works: every workload and peer at tiny sizes, with results
# checked; the files it writes; how it ends.  Times are of no interest.  Run in
# the folder that `run` was built in; the last lines count as automake's tests do.
srcdir=${srcdir:-.}
passed=0
failed=0
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

# check WHAT COMMAND...: what it prints is shown only when it fails.
check() {
	what=$1
	shift
	if "$@" >"$folder/log" 2>&1; then
		echo "PASS: bench smoke: $what"
		passed=$((passed + 1))
	else
		cat "$folder/log"
		echo "FAIL: bench smoke: $what"
		failed=$((failed + 1))
	fi
}

has() {
	command -v "$1" >/dev/null 2>&1
}

status_is() {
	expected=$1
	shift
	"$@"
	[ $? = "$expected" ]
}

all_run() {
	./run --smoke --workloads default,idle --json smoke.json && [ -s smoke.json ]
}

pinned_run() {
	./run --smoke --workloads w2,w5-hot --workers sweep --pin --peers forkpool,serial,condvar
}

# The file says which seed it was, and has both numbers of workers where there are two CPUs.
scaled_run() {
	./run --smoke --workloads w1 --scale --peers forkpool,serial --seed 7 \
		--json "$folder/scaled.json" && grep -q '"seed": 7,' "$folder/scaled.json" &&
		grep -q 'w1/serial/workers:1"' "$folder/scaled.json"
}

page_make() {
	./run --smoke --workloads w2,w5-hot --html smoke.html && [ -s smoke.html ]
}

# Nothing of it may stay: neither a process nor a file, and what was measured is there.
ended_run() {
	mkdir "$folder/work" || return
	TMPDIR=$folder/work ./run --quick --workloads tiny-10,w5-hot --workers 2 \
		--json "$folder/work/out.json" 2>"$folder/err" &
	pid=$!
	sleep 4
	kill -TERM "$pid"
	wait "$pid"
	[ $? = 143 ] || { echo "it did not end by the signal"; return 1; }
	if grep -i warning "$folder/err"; then return 1; fi
	[ "$(ls "$folder/work")" = out.json ] || { ls "$folder/work"; return 1; }
	for environment in /proc/[0-9]*/environ; do
		if tr '\0' '\n' 2>/dev/null <"$environment" | grep -q "^TMPDIR=$folder/work"; then
			echo "$environment: a process was left"
			return 1
		fi
	done
	json_check "$folder/work/out.json"
}

# A program of another maker that never ends is ended.
stuck_run() {
	mkdir "$folder/bin" || return
	{
		echo '#!/bin/sh'
		echo "trap '' TERM"
		echo "'$(command -v mpirun)' \"\$@\""
		echo 'while :; do sleep 1000; done'
	} >"$folder/bin/mpirun"
	chmod +x "$folder/bin/mpirun"
	PATH=$folder/bin:$PATH timeout 60 ./run --smoke --workloads w1 --peers serial,mpi \
		--json "$folder/stuck.json" && grep -q 'w1/mpi/' "$folder/stuck.json"
}

json_check() {
	has python3 || return 0
	python3 -m json.tool "$1"
}

check "all workloads and peers" all_run
check "JSON" json_check smoke.json
check "pinned, and more workers than CPUs" pinned_run
check "from one worker on" scaled_run
check "list" ./run --list
check "help" ./run --help
check "a misspelt workload" status_is 2 ./run --workloads w0
check "a misspelt option" status_is 2 ./run --wurst
check "a file that can't be written" status_is 2 ./run --json /nonexistent/file
check "a folder for a file" status_is 2 ./run --json "$folder"
check "ended by a signal" ended_run
if has mpirun && [ -x mpi_worker ]; then
	check "a program that never ends" stuck_run
fi
if [ -x compare-runs ]; then
	echo '{"benchmarks": [' >"$folder/half.json"
	check "an old run that is none" status_is 2 ./run --compare "$folder/half.json"
	check "compare" ./compare-runs smoke.json smoke.json
fi
if has python3 && has gnuplot && [ -e "$srcdir/page.py" ]; then
	check "page" page_make
fi
echo "# PASS:  $passed"
echo "# FAIL:  $failed"
[ "$failed" = 0 ]
