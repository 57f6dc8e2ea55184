package app

import (
	"fmt"
	"slices"
	"strings"
)

// Select returns the rows that --controllers asks for, in the table's order. The first item that names a controller wins over
// later ones; "*" stands for every controller that is on by default.
func Select(table []Row, wanted []string) ([]Row, error) {
	canonical := map[string]string{}
	for _, row := range table {
		canonical[row.Name] = row.Name
		for _, alias := range row.Aliases {
			canonical[alias] = row.Name
		}
	}
	chosen, all := map[string]bool{}, false
	for _, item := range wanted {
		if item == "*" {
			all = true
			continue
		}
		given, off := strings.CutPrefix(item, "-")
		name, known := canonical[given]
		if !known {
			return nil, fmt.Errorf("--controllers: %q is not in the list of known controllers: %s", given, strings.Join(Names(table), ", "))
		}
		if _, decided := chosen[name]; !decided {
			chosen[name] = !off
		}
	}
	var rows []Row
	for _, row := range table {
		on, decided := chosen[row.Name]
		if !decided {
			on = all && !row.OffByDefault
		}
		if on {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// Names returns the sorted names of the table.
func Names(table []Row) []string {
	names := make([]string, 0, len(table))
	for _, row := range table {
		names = append(names, row.Name)
	}
	slices.Sort(names)
	return names
}

func offByDefault(table []Row) []string {
	var names []string
	for _, row := range table {
		if row.OffByDefault {
			names = append(names, row.Name)
		}
	}
	slices.Sort(names)
	return names
}
