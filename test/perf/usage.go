package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc/PID/stat: USER_HZ, which is 100 on every Linux machine that Go knows.
const clockTick = 10 * time.Millisecond

// resident is the process's VmRSS in MB.
func resident(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, found := strings.Cut(string(status), "VmRSS:")
	if !found {
		return 0, fmt.Errorf("process %d has no VmRSS", pid)
	}
	var kB float64
	if _, err := fmt.Sscan(after, &kB); err != nil {
		return 0, err
	}
	return kB / 1024, nil
}

// cpu is the CPU time that the process has used.
func cpu(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from the state on, field 3 of proc(5)
	var total time.Duration
	for _, field := range fields[11:13] { // utime and stime
		ticks, err := strconv.Atoi(string(field))
		if err != nil {
			return 0, err
		}
		total += time.Duration(ticks) * clockTick
	}
	return total, nil
}
