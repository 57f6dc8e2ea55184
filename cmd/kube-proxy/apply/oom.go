package apply

import (
	"os"
	"strconv"
)

// SetOOMScore tells the kernel how gladly to end this process when memory runs out: -1000 (never) to 1000 (proc(5)).
func SetOOMScore(score int32) error {
	return os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(int(score))), 0o644)
}
