package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// figure is one measured value.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Goal is what is wanted, as text; empty where none was set.
	Goal string `json:"goal,omitempty"`
	// Other is what the programs had that were measured in turn, if there were any.
	Other *float64 `json:"other,omitempty"`
}

// report collects figures in the order in which they were measured.
type report struct{ figures []figure }

func (r *report) add(name string, value float64, unit, goal string) {
	f := figure{Name: name, Value: value, Unit: unit, Goal: goal}
	r.figures = append(r.figures, f)
	fmt.Fprintf(os.Stderr, "  %s: %s\n", f.Name, f.text())
}

// medians has the median of each figure of reports that have the same figures in the same order.
func medians(reports []*report) *report {
	r := &report{figures: slices.Clone(reports[0].figures)}
	for i := range r.figures {
		values := make([]float64, len(reports))
		for j, one := range reports {
			values[j] = one.figures[i].Value
		}
		slices.Sort(values)
		r.figures[i].Value = (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	return r
}

// compare sets beside each figure what other has for it.
func (r *report) compare(other *report) {
	for i := range r.figures {
		r.figures[i].Other = &other.figures[i].Value
	}
}

func (f figure) text() string { return f.show(f.Value) }

func (f figure) show(value float64) string {
	precision := 0
	if value < 10 {
		precision = 2
	}
	return strings.TrimSpace(fmt.Sprintf("%.*f %s", precision, value, f.Unit))
}

// String is a table in Markdown, with the other's figures and the ratio to them if they were compared.
func (r *report) String() string {
	var b strings.Builder
	compared := len(r.figures) > 0 && r.figures[0].Other != nil
	b.WriteString("| figure | goal | measured |")
	if compared {
		b.WriteString(" the other | ratio |")
	}
	b.WriteString("\n| --- | --- | --- |")
	if compared {
		b.WriteString(" --- | --- |")
	}
	b.WriteByte('\n')
	for _, f := range r.figures {
		fmt.Fprintf(&b, "| %s | %s | %s |", f.Name, f.Goal, f.text())
		if compared {
			fmt.Fprintf(&b, " %s | %.2f |", f.show(*f.Other), f.Value/(*f.Other))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (r *report) write(path string) error {
	data, err := json.MarshalIndent(r.figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
