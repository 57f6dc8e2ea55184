package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestKubeletLeavesWhenItsLockIsWanted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	ctx, err := holdLock(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatal("it left although nobody wanted the lock")
	}
	second, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it stayed")
	}
}
