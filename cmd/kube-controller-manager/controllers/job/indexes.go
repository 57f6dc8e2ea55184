package job

import (
	"slices"
	"sort"
	"strconv"
	"strings"
)

// indexes is a set of completion indexes as ordered, disjoint, non-adjacent spans: the form of status.completedIndexes.
type indexes []span

type span struct{ first, last int }

// parseIndexes reads "1,3-5". Indexes of limit and above, and what does not parse, are left out: the field is ours to write.
func parseIndexes(s string, limit int) indexes {
	var spans []span
	for part := range strings.SplitSeq(s, ",") {
		lower, upper, isSpan := strings.Cut(strings.TrimSpace(part), "-")
		first, err := strconv.Atoi(lower)
		if err != nil || first < 0 || first >= limit {
			continue
		}
		last := first
		if isSpan {
			if last, err = strconv.Atoi(upper); err != nil || last < first {
				continue
			}
		}
		spans = append(spans, span{first, min(last, limit-1)})
	}
	return normalize(spans)
}

// normalize sorts spans and joins those that touch.
func normalize(spans []span) indexes {
	slices.SortFunc(spans, func(a, b span) int { return a.first - b.first })
	var set indexes
	for _, s := range spans {
		if n := len(set); n > 0 && s.first <= set[n-1].last+1 {
			set[n-1].last = max(set[n-1].last, s.last)
			continue
		}
		set = append(set, s)
	}
	return set
}

// with returns the set with more indexes in it.
func (x indexes) with(more ...int) indexes {
	if len(more) == 0 {
		return x
	}
	spans := slices.Clone([]span(x))
	for _, i := range more {
		spans = append(spans, span{i, i})
	}
	return normalize(spans)
}

func (x indexes) has(i int) bool {
	at := sort.Search(len(x), func(n int) bool { return x[n].last >= i })
	return at < len(x) && x[at].first <= i
}

func (x indexes) total() int {
	n := 0
	for _, s := range x {
		n += s.last - s.first + 1
	}
	return n
}

// overlap counts the indexes that are in both sets.
func (x indexes) overlap(y indexes) int {
	n := 0
	for i, j := 0, 0; i < len(x) && j < len(y); {
		if from, to := max(x[i].first, y[j].first), min(x[i].last, y[j].last); from <= to {
			n += to - from + 1
		}
		if x[i].last < y[j].last {
			i++
		} else {
			j++
		}
	}
	return n
}

// String writes the set as "1,3-5"; two neighbours are written with a comma.
func (x indexes) String() string {
	var b strings.Builder
	for i, s := range x {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(s.first))
		switch {
		case s.last == s.first+1:
			b.WriteString("," + strconv.Itoa(s.last))
		case s.last > s.first:
			b.WriteString("-" + strconv.Itoa(s.last))
		}
	}
	return b.String()
}
