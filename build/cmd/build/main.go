// Command build builds programs and images: `build binaries [NAME…]`, `build images [NAME…]`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"pilotis.dev/build/binaries"
	"pilotis.dev/build/images"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: build binaries|images [NAME…]")
		return 1
	}
	root, err := repository()
	if err == nil {
		switch args[0] {
		case "binaries":
			err = binaries.Builder{Root: root, Log: os.Stdout}.Build(ctx, args[1:]...)
		case "images":
			err = images.Builder{Root: root, Log: os.Stdout}.Build(args[1:]...)
		default:
			err = fmt.Errorf("unknown argument %q: binaries and images can be built", args[0])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		return 1
	}
	return 0
}

// repository is the folder with go.work at or above the working directory.
func repository() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, statErr := os.Stat(dir + "/go.work"); statErr == nil {
			return dir, nil
		}
		if err = os.Chdir(".."); err != nil {
			break
		}
		up, wdErr := os.Getwd()
		if wdErr != nil || up == dir {
			return "", fmt.Errorf("no go.work here or above: run it inside the repository")
		}
		dir = up
	}
	return "", err
}
