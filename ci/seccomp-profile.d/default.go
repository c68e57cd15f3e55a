// Prints containerd's default seccomp profile for a container without capabilities, as JSON of the OCI runtime specification.
//
// Run in the module ci/cluster.d/containerd, which pins containerd.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func main() {
	without := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}}
	if err := json.NewEncoder(os.Stdout).Encode(seccomp.DefaultProfile(without)); err != nil {
		log.Fatal(err)
	}
}
