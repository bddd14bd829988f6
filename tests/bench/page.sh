#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench/page.py makes of page.json (made-up numbers) a page that is well formed, has
# every section, needs nothing from outside, and shows hostile names as text; and a
# picture.  What is no result of the suite gets a word on stderr and exit status 1.
set -u

src=${top_srcdir:-../..}
page_py=$src/bench/page.py
json=$src/tests/bench/page.json

for tool in python3 gnuplot; do
	command -v "$tool" >/dev/null || { echo "$tool is missing"; exit 77; }
done
python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' ||
	{ echo "python3 is too old"; exit 77; }

dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
trap 'exit 99' HUP INT TERM
status=0

fail() {
	echo "$*"
	status=1
}

python3 "$page_py" --picture "$dir/main.svg" "$json" "$dir/page.html" ||
	fail "no page"
python3 "$src/tests/bench/page-check.py" "$dir/page.html" 'forkpool bench' \
	'How to read this page' 'At a glance' 'Speed-up over the pipe pool' Workloads \
	Latency Grain 'Payload, in place' 'Payload, copied' Skew Submitters Recovery \
	Start-up 'Cost of options' || fail "the page is wrong"

# A peer of the sample is called <script>..., its machine has <b> in its name.
grep -q '&lt;script&gt;alert(1)' "$dir/page.html" || fail "the hostile peer is not shown"
grep -q '<script' "$dir/page.html" && fail "the hostile peer got through"
grep -q '<tr class="ours"><th scope="row">forkpool<' "$dir/page.html" ||
	fail "forkpool's rows do not stand out"
grep -q 'numbers &lt;b&gt;of no' "$dir/page.html" || fail "the machine is not escaped"

python3 -c '
import sys, xml.etree.ElementTree
root = xml.etree.ElementTree.parse(sys.argv[1]).getroot()
text = "".join(root.itertext())
sys.exit(not all(word in text for word in ("forkpool", "pipe-chunk", "py-pool")))
' "$dir/main.svg" || fail "the picture is wrong"

# What the page computes: ranks of the interval, crossings, ratios of the same rounds.
python3 - "$src/bench" "$json" <<'END' || fail "wrong figures"
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from page_data import crossing, interval_rank, results_load, speedup

assert [interval_rank(n) for n in (1, 5, 6, 10, 20, 30)] == [0, 0, 0, 1, 5, 9]
rising = [(0, 0.1), (10, 0.4), (1000, 0.6), (10000, 0.8)]
assert abs(crossing(rising, 0.5) - 100) < 1e-6
assert crossing(rising, 0.9) is None and crossing(rising, 0.05) == 0
# Where it falls again, only the last rise counts.
assert abs(crossing([(1, 0.9), (10, 0.3), (100, 0.9)], 0.9) - 100) < 1e-6
results = results_load(sys.argv[2])
mine, pipe = (next(e for e in results.workload("w1") if (e.peer, e.workers) == (p, 2))
              for p in ("forkpool", "pipe-chunk"))
middle, low, high = speedup(results, mine, pipe)
assert low <= middle <= high and abs(middle - pipe.time / mine.time) < 0.1
END

# Sections without data are left out.
python3 - "$json" "$dir/some.json" <<'END' || fail "no smaller sample"
import json, sys
data = json.load(open(sys.argv[1]))
data["benchmarks"] = [e for e in data["benchmarks"] if e["workload"] == "w1"]
json.dump(data, open(sys.argv[2], "w"))
END
python3 "$page_py" "$dir/some.json" "$dir/some.html" || fail "no page of w1 alone"
grep -qE '<h2[^>]*>(Grain|Latency|Recovery)' "$dir/some.html" && fail "empty sections"

# refuse TEXT: a file with that in it is refused, with a word, and leaves no page.
refuse() {
	printf '%s' "$1" >"$dir/bad.json"
	python3 "$page_py" "$dir/bad.json" "$dir/bad.html" 2>"$dir/said"
	got=$?
	[ $got = 1 ] || fail "exit status $got for: $1"
	grep -q '^page.py: ' "$dir/said" || fail "no word about: $1"
	[ "$(wc -l <"$dir/said")" = 1 ] || fail "more than a line about: $1"
	[ ! -e "$dir/bad.html" ] || fail "a page of: $1"
}
median='"run_type": "aggregate", "aggregate_name": "median"'
whole='"workload": "w", "peer": "p", "workers": 1, "unit": "ms", "real_time": 1'
refuse ''
refuse '{"context": {}, "benchmarks": ['
refuse '[]'
refuse '{"context": {}, "benchmarks": []}'
refuse '{"context": {}, "benchmarks": [3]}'
refuse "{\"context\": {}, \"benchmarks\": [{$median, $whole}]}"
refuse "{\"context\": {}, \"benchmarks\": [{$median, $whole, \"value\": NaN}]}"
refuse "{\"context\": {}, \"benchmarks\": [{$median, $whole, \"value\": 1e999}]}"
refuse "{\"context\": {}, \"benchmarks\": [{$median, $whole, \"value\": \"1\"}]}"
refuse "{\"context\": {}, \"benchmarks\": [{$median, $whole, \"value\": 1}, {$median, $whole, \"value\": 1}]}"

# Without gnuplot, and where nothing can be written.
python3=$(python3 -c 'import sys; print(sys.executable)')
(PATH=$dir; export PATH; "$python3" "$page_py" "$json" "$dir/none.html") 2>"$dir/said"
[ $? = 1 ] && grep -q 'gnuplot is missing' "$dir/said" || fail "gnuplot is not missed"
python3 "$page_py" "$json" "$dir/none/page.html" 2>"$dir/said"
[ $? = 1 ] && grep -q '^page.py: .*none/page.html' "$dir/said" || fail "written to nowhere"

# Nothing else was left.
left=$(ls "$dir" | tr '\n' ' ')
[ "$left" = 'bad.json main.svg page.html said some.html some.json ' ] || fail "left: $left"
[ ! -e "$src/bench/__pycache__" ] || fail "left: __pycache__"
exit $status
