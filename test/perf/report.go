package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// figure is one measured value.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Goal is what is wanted, as text; empty where none was set.
	Goal string `json:"goal,omitempty"`
}

// report collects figures in the order in which they were measured.
type report struct{ figures []figure }

func (r *report) add(name string, value float64, unit, goal string) {
	f := figure{name, value, unit, goal}
	r.figures = append(r.figures, f)
	fmt.Fprintf(os.Stderr, "  %s: %s\n", f.Name, f.text())
}

func (f figure) text() string {
	precision := 0
	if f.Value < 10 {
		precision = 2
	}
	return strings.TrimSpace(fmt.Sprintf("%.*f %s", precision, f.Value, f.Unit))
}

// String is a table in Markdown.
func (r *report) String() string {
	var b strings.Builder
	b.WriteString("| figure | goal | measured |\n| --- | --- | --- |\n")
	for _, f := range r.figures {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.Name, f.Goal, f.text())
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
