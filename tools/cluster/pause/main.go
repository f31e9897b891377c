// Command pause is the first process of every pod: it holds the pod's namespaces and buries whom its containers
// left behind.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for buried := 1; buried > 0; {
			buried, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
	}
	os.Exit(1)
}
