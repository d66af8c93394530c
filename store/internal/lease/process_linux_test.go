package lease

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProcess(t *testing.T) {
	us := Process()
	require.NotEmpty(t, us)
	assert.False(t, Dead(us))
	assert.False(t, Dead(""))
	assert.False(t, Dead("another machine/1/2"))
	i := strings.LastIndex(us, "/")
	assert.True(t, Dead(us[:i]+"/1"), "the process ID is that of another process by now")

	sleeper := exec.Command("sleep", "60")
	require.NoError(t, sleeper.Start())
	start, ok := startTime(sleeper.Process.Pid)
	require.True(t, ok)
	here, _ := place()
	process := here + "/" + strconv.Itoa(sleeper.Process.Pid) + "/" + start
	assert.False(t, Dead(process))
	require.NoError(t, sleeper.Process.Signal(os.Kill))
	_ = sleeper.Wait()
	assert.True(t, Dead(process))
}
