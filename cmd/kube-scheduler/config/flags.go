package config

import "github.com/spf13/pflag"

// changed names the flags of fs that the command line sets.
func changed(fs *pflag.FlagSet) []string {
	var names []string
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			names = append(names, f.Name)
		}
	})
	return names
}
